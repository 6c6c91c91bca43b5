use std::sync::Arc;
use std::time::Duration;

use super::credentials::CredentialsProvider;
use super::health::Health;
#[cfg(all(feature = "cluster", feature = "tls"))]
use super::tls_config::TlsConfig;
use super::topology::Topology;
use crate::entry::header::HEADER;
use crate::key::keyspace;

/// Configuration of a cache's Redis backend.
pub(crate) struct RedisConfig {
    pub(crate) namespace: Arc<str>,
    pub(crate) topology: Topology,
    pub(crate) credentials: Option<CredentialsProvider>,
    #[cfg(feature = "sentinel")]
    pub(crate) sentinel_credentials: Option<CredentialsProvider>,
    #[cfg(all(feature = "cluster", feature = "tls"))]
    pub(crate) certificates: Option<TlsConfig>,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) max_value_size: u64,
    pub(crate) health: Health,
}

impl RedisConfig {
    pub(super) fn names_key(&self) -> String {
        keyspace::functions(&self.namespace)
    }

    pub(super) fn overrides_key(&self) -> String {
        keyspace::overrides(&self.namespace)
    }

    /// Maximum size of an entry in bytes, header included. A larger entry is not read to its end,
    /// because all calls on the connection would wait behind it.
    pub(super) fn largest_entry(&self) -> u64 {
        // Redis counts in 63 bits.
        (HEADER as u64)
            .saturating_add(self.max_value_size)
            .min(1 << 62)
    }
}
