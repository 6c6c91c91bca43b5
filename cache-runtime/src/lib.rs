//! The runtime of [`recached`](https://docs.rs/recached). Use the facade.
//!
//! Imports point downward, in this order: `macro_support`, `api`, `protocol`, `backend`,
//! `registry`, `near_cache`, `values`, `entry`, `invalidation`, `overrides`, `telemetry`, `key`,
//! `process`, `error`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
mod backend;
mod entry;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod invalidation;
mod key;
#[doc(hidden)]
#[allow(missing_docs, reason = "generated code is its only reader")]
pub mod macro_support;
mod near_cache;
mod overrides;
mod process;
mod protocol;
mod registry;
mod telemetry;
mod values;

pub use api::blocking;
pub use api::builder::Builder;
pub use api::cache::Cache;
pub use api::check_report::CheckReport;
pub use api::entry_handle::Entry;
pub use api::overrides::{FleetOverrides, Overrides};
pub use backend::redis::credentials::Credentials;
pub use backend::redis::external_pool::ExternalPool;
#[cfg(feature = "tls")]
pub use backend::redis::tls_config::TlsConfig;
pub use entry::codec;
pub use entry::policy::Policy;
pub use error::{Error, ErrorKind};
pub use invalidation::report::InvalidationReport;
pub use key::{Key, KeyPart};
pub use macro_support::AnyEntry;
pub use overrides::rule::{ActiveOverride, Override, OverrideSource};
pub use telemetry::error_stats::ErrorStats;
pub use telemetry::event::Event;
pub use telemetry::stats::{FunctionStats, NearCacheStats, Stats};
pub use values::returns::Returns;
pub use values::value_kind::Storable;
