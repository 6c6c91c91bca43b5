//! The runtime of [`recached`](https://docs.rs/recached): keys, entries, flights, leases,
//! generations and the stores they live in.
//!
//! Use the facade. Arrows point downward: `cache` and `compute` → `lease`, `local`, `near`, `flight`,
//! `store` → `key`, `entry`, `codec`, `policy`, `error`.

mod announcing;
mod background;
pub mod blocking;
mod builder;
mod cache;
mod check;
pub mod codec;
mod companion;
mod computation;
mod compute;
mod credentials;
mod draft;
mod entry;
mod environment;
mod error;
mod error_stats;
mod event;
mod fingerprint;
mod flight;
mod function;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod group;
mod invalidation_report;
mod just_invalidated;
mod key;
mod lease;
mod local;
mod lossless;
mod name;
mod near;
mod nearest;
mod outlook;
mod packing;
mod pattern;
mod policy;
#[doc(hidden)]
#[allow(missing_docs, reason = "generated code is its only reader")]
pub mod private;
mod process;
mod refresh;
#[allow(missing_docs, reason = "generated code is its only reader")]
mod returns;
mod rules;
mod seal;
mod secret;
mod setting;
mod settings;
mod shape;
#[allow(missing_docs, reason = "generated code is its only reader")]
mod share;
mod stats;
mod store;
#[cfg(feature = "tls")]
mod tls_config;
mod trouble;
mod unique_id;
mod waits;
mod warden;

pub use builder::Builder;
pub use cache::Cache;
pub use check::CheckReport;
pub use companion::Entry;
pub use credentials::Credentials;
pub use error::{Error, ErrorKind};
pub use error_stats::ErrorStats;
pub use event::Event;
pub use invalidation_report::InvalidationReport;
pub use key::{Key, KeyPart};
pub use policy::Policy;
pub use private::AnyEntry;
pub use returns::{Returns, Storable};
pub use setting::{ActiveOverride, Override, OverrideSource};
pub use settings::{FleetOverrides, Overrides};
pub use stats::{FunctionStats, NearCacheStats, Stats};
pub use store::redis::ExternalPool;
#[cfg(feature = "tls")]
pub use tls_config::TlsConfig;
