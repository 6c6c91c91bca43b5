//! The runtime of [`recached`](https://docs.rs/recached): keys, entries, flights, leases,
//! generations and the stores they live in.
//!
//! Use the facade. Arrows point downward: `cache` and `compute` → `lease`, `local`, `near`, `flight`,
//! `store` → `key`, `entry`, `codec`, `policy`, `error`.

mod background;
pub mod blocking;
mod builder;
mod cache;
#[cfg(feature = "tls")]
mod certificates;
mod check;
pub mod codec;
mod companion;
mod computation;
mod compute;
mod credentials;
mod draft;
mod entry;
mod error;
mod event;
mod faithful;
mod fingerprint;
mod flight;
mod function;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod group;
mod key;
mod lease;
mod local;
mod name;
mod near;
mod nonce;
mod packing;
mod pattern;
mod policy;
#[doc(hidden)]
#[allow(missing_docs, reason = "generated code is its only reader")]
pub mod private;
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
mod trouble;
mod warden;

pub use builder::Builder;
pub use cache::{Cache, Invalidated};
#[cfg(feature = "tls")]
pub use certificates::Certificates;
pub use check::Check;
pub use companion::Entry;
pub use credentials::Credentials;
pub use error::{Error, ErrorKind};
pub use event::Event;
pub use key::Key;
pub use policy::Policy;
pub use returns::Storable;
pub use setting::{InForce, Origin, Setting};
pub use settings::{FleetSettings, Settings};
pub use stats::{FunctionStats, NearStats, Stats};
pub use store::redis::Given;
