#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc = include_str!("cached.md")]
pub use recached_macros::cached;
#[doc = include_str!("invalidates.md")]
pub use recached_macros::invalidates;
pub use recached_runtime::{
    ActiveOverride, AnyEntry, Builder, Cache, CheckReport, Credentials, Entry, Error, ErrorKind,
    ErrorStats, Event, ExternalPool, FleetOverrides, FunctionStats, InvalidationReport, Key,
    KeyPart, NearCacheStats, Override, OverrideSource, Overrides, Policy, Returns, Stats, Storable,
    blocking, codec,
};

#[cfg(feature = "tls")]
pub use recached_runtime::TlsConfig;

#[doc(hidden)]
pub use recached_runtime::macro_support as __private;

/// As [`Cache::invalidate`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate`].
pub async fn invalidate(pattern: &str) -> Result<InvalidationReport, Error> {
    Cache::global().invalidate(pattern).await
}

/// As [`Cache::invalidate_tag`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_tag`].
pub async fn invalidate_tag(tag: &str) -> Result<InvalidationReport, Error> {
    Cache::global().invalidate_tag(tag).await
}

/// As [`Cache::invalidate_keys`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_keys`].
pub async fn invalidate_keys(pattern: &str) -> Result<InvalidationReport, Error> {
    Cache::global().invalidate_keys(pattern).await
}

/// As [`Cache::invalidate_all`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::invalidate_all`].
pub async fn invalidate_all() -> Result<InvalidationReport, Error> {
    Cache::global().invalidate_all().await
}

/// As [`Cache::purge`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::purge`].
pub async fn purge(pattern: &str) -> Result<InvalidationReport, Error> {
    Cache::global().purge(pattern).await
}

/// As [`Cache::purge_all`], on the installed cache.
///
/// # Errors
///
/// As [`Cache::purge_all`].
pub async fn purge_all() -> Result<InvalidationReport, Error> {
    Cache::global().purge_all().await
}

/// As [`Cache::stats`], on the installed cache.
#[must_use]
pub fn stats() -> Stats {
    Cache::global().stats()
}

/// Guide: one page per topic, each beginning with the problem.
pub mod guide {
    #[doc = include_str!("guide/getting_started.md")]
    pub mod getting_started {}
    #[doc = include_str!("guide/options.md")]
    pub mod options {}
    #[doc = include_str!("guide/invalidation.md")]
    pub mod invalidation {}
    #[doc = include_str!("guide/transactions.md")]
    pub mod transactions {}
    #[doc = include_str!("guide/deploys.md")]
    pub mod deploys {}
    #[doc = include_str!("guide/stale_and_refresh.md")]
    pub mod stale_and_refresh {}
    #[doc = include_str!("guide/near_cache.md")]
    pub mod near_cache {}
    #[doc = include_str!("guide/keys.md")]
    pub mod keys {}
    #[doc = include_str!("guide/failure.md")]
    pub mod failure {}
    #[doc = include_str!("guide/overrides.md")]
    pub mod overrides {}
    #[doc = include_str!("guide/operating.md")]
    pub mod operating {}
    #[doc = include_str!("guide/managed_services.md")]
    pub mod managed_services {}
    #[doc = include_str!("guide/runbook.md")]
    pub mod runbook {}
    #[doc = include_str!("guide/testing.md")]
    pub mod testing {}
    #[doc = include_str!("guide/migrating.md")]
    pub mod migrating {}
}
