use deadpool_redis::{Connection, Pool};

use super::pool::error_of_pool;
use super::wire::Wire;
use crate::error::Error;

/// A pool of the program's own, for [`Builder::pool`](crate::Builder::pool): of
/// `deadpool_redis`, for one server, a cluster (feature `cluster`) or a server that sentinels watch
/// over (feature `sentinel`).
#[derive(Clone)]
pub struct Given(Kind);

#[derive(Clone)]
enum Kind {
    One(Pool),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Pool),
    #[cfg(feature = "sentinel")]
    Sentinel(deadpool_redis::sentinel::Pool),
}

/// What was checked out; it does not go back: it is given up because it is broken.
pub(super) struct Lent(Option<Object>);

enum Object {
    One(Connection),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Connection),
    #[cfg(feature = "sentinel")]
    Sentinel(deadpool_redis::sentinel::Connection),
}

impl Given {
    /// A connection for good, and what its pool shall count as in use.
    pub(super) async fn lend(&self) -> Result<(Wire, Lent), Error> {
        match &self.0 {
            Kind::One(pool) => {
                let connection = pool.get().await.map_err(error_of_pool)?;
                Ok((Wire::One((*connection).clone()), connection.into()))
            }
            #[cfg(feature = "cluster")]
            Kind::Cluster(pool) => {
                let connection = pool.get().await.map_err(error_of_pool)?;
                let wire = Wire::Lent((*connection).clone());
                Ok((wire, Lent(Some(Object::Cluster(connection)))))
            }
            #[cfg(feature = "sentinel")]
            Kind::Sentinel(pool) => {
                let connection = pool.get().await.map_err(error_of_pool)?;
                let wire = Wire::One((*connection).clone());
                Ok((wire, Lent(Some(Object::Sentinel(connection)))))
            }
        }
    }
}

impl From<Connection> for Lent {
    fn from(connection: Connection) -> Self {
        Self(Some(Object::One(connection)))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Object::One(connection)) => drop(Connection::take(connection)),
            #[cfg(feature = "cluster")]
            Some(Object::Cluster(it)) => drop(deadpool_redis::cluster::Connection::take(it)),
            #[cfg(feature = "sentinel")]
            Some(Object::Sentinel(it)) => drop(deadpool_redis::sentinel::Connection::take(it)),
            None => {}
        }
    }
}

impl From<Pool> for Given {
    fn from(pool: Pool) -> Self {
        Self(Kind::One(pool))
    }
}

#[cfg(feature = "cluster")]
impl From<deadpool_redis::cluster::Pool> for Given {
    fn from(pool: deadpool_redis::cluster::Pool) -> Self {
        Self(Kind::Cluster(pool))
    }
}

#[cfg(feature = "sentinel")]
impl From<deadpool_redis::sentinel::Pool> for Given {
    fn from(pool: deadpool_redis::sentinel::Pool) -> Self {
        Self(Kind::Sentinel(pool))
    }
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A pool's own text may hold its url.
        f.write_str("Given")
    }
}
