//! The backend on a Redis server: connections, commands, scripts and pushes.

mod announced_names;
mod batcher;
mod borrowed_connection;
mod checkout;
mod chore_runner;
mod chores;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "cluster")]
mod cluster_connect;
mod cluster_layout;
mod commands;
pub(crate) mod config;
mod connection;
pub(crate) mod credentials;
mod database_id;
mod driver_error;
pub(crate) mod external_pool;
#[cfg(feature = "sentinel")]
mod failover_watcher;
mod fleet;
mod generations;
mod greeting;
mod hash;
pub(crate) mod health;
mod lookup;
mod node_batchers;
mod outbox;
mod pool;
#[cfg(feature = "cluster")]
mod primaries;
pub(crate) mod probe;
mod push_handler;
mod raw_entry;
mod redirected;
pub(crate) mod redis_backend;
mod registry;
mod scripts;
#[cfg(feature = "sentinel")]
mod sentinel;
pub(crate) mod session;
mod start;
mod supervisor;
mod sweep;
mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls_config;
pub(crate) mod topology;
mod transport;
mod url;
