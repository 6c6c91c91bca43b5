use super::borrowed_connection::BorrowedConnection;
use super::cluster_layout::ClusterLayout;
#[cfg(feature = "sentinel")]
use super::failover_watcher::FailoverWatcher;
use super::health::ServerAddress;
use super::transport::Transport;

/// A connection that stays checked out of its pool, with its servers and its tracking state.
pub(super) struct Checkout {
    pub(super) transport: Transport,
    /// Servers that hold the keys.
    pub(super) topology: ClusterLayout,
    pub(super) tracking: bool,
    /// Client id of the connection on the server, if the connection receives pushes.
    pub(super) id: Option<i64>,
    #[cfg(feature = "sentinel")]
    pub(super) failover_watcher: Option<FailoverWatcher>,
    pub(super) _lent: Option<BorrowedConnection>,
}

impl Checkout {
    /// Returns the address of the server if sentinels have named it.
    pub(super) fn place(&self) -> Option<&ServerAddress> {
        #[cfg(feature = "sentinel")]
        return self.failover_watcher.as_ref().map(FailoverWatcher::named);
        #[cfg(not(feature = "sentinel"))]
        None
    }

    /// Creates a checkout of a pool's connection, without tracking.
    pub(super) fn lent(
        transport: Transport,
        topology: ClusterLayout,
        lent: BorrowedConnection,
    ) -> Self {
        Self {
            transport,
            topology,
            tracking: false,
            id: None,
            #[cfg(feature = "sentinel")]
            failover_watcher: None,
            _lent: Some(lent),
        }
    }
}
