use deadpool_redis::Connection;

/// A connection checked out of a pool. Dropping it removes the connection from the pool instead of
/// returning it, because the connection is broken by then.
pub(super) struct BorrowedConnection(pub(super) Option<PoolObject>);

pub(super) enum PoolObject {
    One(Connection),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Connection),
    #[cfg(feature = "sentinel")]
    Sentinel(deadpool_redis::sentinel::Connection),
}

impl From<Connection> for BorrowedConnection {
    fn from(connection: Connection) -> Self {
        Self(Some(PoolObject::One(connection)))
    }
}

impl Drop for BorrowedConnection {
    fn drop(&mut self) {
        match self.0.take() {
            Some(PoolObject::One(connection)) => drop(Connection::take(connection)),
            #[cfg(feature = "cluster")]
            Some(PoolObject::Cluster(it)) => drop(deadpool_redis::cluster::Connection::take(it)),
            #[cfg(feature = "sentinel")]
            Some(PoolObject::Sentinel(it)) => drop(deadpool_redis::sentinel::Connection::take(it)),
            None => {}
        }
    }
}
