use super::borrowed_connection::BorrowedConnection;
use super::cluster_layout::ClusterLayout;
#[cfg(feature = "sentinel")]
use super::failover_watcher::FailoverWatcher;
use super::health::ServerAddress;
use super::transport::Transport;

/// A connection that stays checked out, and whether its server tells of what is read on it.
pub(super) struct Checkout {
    pub(super) wire: Transport,
    /// Where its servers are.
    pub(super) topology: ClusterLayout,
    pub(super) tracking: bool,
    /// What the server calls it, if pushes come to it.
    pub(super) id: Option<i64>,
    #[cfg(feature = "sentinel")]
    pub(super) lookout: Option<FailoverWatcher>,
    pub(super) _lent: Option<BorrowedConnection>,
}

impl Checkout {
    /// The server, where it is one that sentinels have named.
    pub(super) fn place(&self) -> Option<&ServerAddress> {
        #[cfg(feature = "sentinel")]
        return self.lookout.as_ref().map(FailoverWatcher::named);
        #[cfg(not(feature = "sentinel"))]
        None
    }

    /// One whose server tells of nothing.
    pub(super) fn lent(wire: Transport, topology: ClusterLayout, lent: BorrowedConnection) -> Self {
        Self {
            wire,
            topology,
            tracking: false,
            id: None,
            #[cfg(feature = "sentinel")]
            lookout: None,
            _lent: Some(lent),
        }
    }
}
