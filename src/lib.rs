#![doc = include_str!("../README.md")]

#[doc = include_str!("cached.md")]
pub use recached_macros::cached;
#[doc = include_str!("invalidates.md")]
pub use recached_macros::invalidates;
pub use recached_runtime::{
    AnyEntry, Builder, Cache, Check, Credentials, Entry, Error, ErrorKind, ErrorStats, Event,
    FleetSettings, FunctionStats, Given, InForce, InvalidationReport, Key, KeyPart, Origin, Policy,
    Returns, Setting, Settings, Stats, Storable, blocking, codec,
};

#[cfg(feature = "tls")]
pub use recached_runtime::Certificates;

#[doc(hidden)]
pub use recached_runtime::private as __private;

/// As [`Cache::invalidate`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate`].
pub async fn invalidate(pattern: &str) -> Result<InvalidationReport, Error> {
    Cache::installed().invalidate(pattern).await
}

/// As [`Cache::invalidate_tag`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_tag`].
pub async fn invalidate_tag(tag: &str) -> Result<InvalidationReport, Error> {
    Cache::installed().invalidate_tag(tag).await
}

/// As [`Cache::invalidate_keys`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_keys`].
pub async fn invalidate_keys(pattern: &str) -> Result<InvalidationReport, Error> {
    Cache::installed().invalidate_keys(pattern).await
}

/// As [`Cache::invalidate_all`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_all`].
pub async fn invalidate_all() -> Result<InvalidationReport, Error> {
    Cache::installed().invalidate_all().await
}

/// As [`Cache::purge`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::purge`].
pub async fn purge(pattern: &str) -> Result<InvalidationReport, Error> {
    Cache::installed().purge(pattern).await
}

/// As [`Cache::purge_all`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::purge_all`].
pub async fn purge_all() -> Result<InvalidationReport, Error> {
    Cache::installed().purge_all().await
}

/// As [`Cache::stats`], on the installed cache.
#[must_use]
pub fn stats() -> Stats {
    Cache::installed().stats()
}
