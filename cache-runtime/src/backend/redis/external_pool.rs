use deadpool_redis::Pool;

use super::borrowed_connection::BorrowedConnection;
#[cfg(any(feature = "cluster", feature = "sentinel"))]
use super::borrowed_connection::PoolObject;
use super::checkout::Checkout;
#[cfg(feature = "sentinel")]
use super::cluster_layout::ClusterLayout;
use super::driver_error::{error_of, error_of_pool};
#[cfg(feature = "sentinel")]
use super::driver_error::{error_of_attempt, is_answer};
#[cfg(feature = "sentinel")]
use super::failover_watcher::{FailoverWatcher, identity};
use super::transport::Transport;
use crate::error::Error;
#[cfg(feature = "sentinel")]
use crate::error::ErrorKind;

/// A `deadpool_redis` pool that the program owns, for [`Builder::pool`](crate::Builder::pool). The
/// pool is for one server, a cluster (feature `cluster`) or a server that sentinels monitor
/// (feature `sentinel`), whose failovers are followed.
#[derive(Clone)]
pub struct ExternalPool(PoolKind);

#[derive(Clone)]
enum PoolKind {
    One(Pool),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Pool),
    #[cfg(feature = "sentinel")]
    Sentinel(deadpool_redis::sentinel::Pool),
}

impl ExternalPool {
    /// Returns `true` if the connected server may turn out to be the wrong one after a failover.
    pub(super) fn moves(&self) -> bool {
        match self.0 {
            #[cfg(feature = "sentinel")]
            PoolKind::Sentinel(_) => true,
            _ => false,
        }
    }

    /// Checks out a connection for good. Tracking stays off, because only the owner of a connection
    /// may enable it.
    pub(super) async fn connect(&self) -> Result<Checkout, Error> {
        let (mut transport, lent) = match &self.0 {
            PoolKind::One(pool) => {
                let connection = pool.get().await.map_err(error_of_pool)?;
                (
                    Transport::One((*connection).clone()),
                    BorrowedConnection::from(connection),
                )
            }
            #[cfg(feature = "cluster")]
            PoolKind::Cluster(pool) => {
                let connection = pool.get().await.map_err(error_of_pool)?;
                let transport = Transport::Lent((*connection).clone());
                (
                    transport,
                    BorrowedConnection(Some(PoolObject::Cluster(connection))),
                )
            }
            #[cfg(feature = "sentinel")]
            PoolKind::Sentinel(pool) => return watched(pool).await,
        };
        let topology = transport
            .topology()
            .await
            .map_err(|error| error_of(&error))?;
        Ok(Checkout::lent(transport, topology, lent))
    }
}

/// Checks out a connection to the server that the sentinels name. The pool may still hold
/// connections to a server that the sentinels have replaced.
#[cfg(feature = "sentinel")]
async fn watched(pool: &deadpool_redis::sentinel::Pool) -> Result<Checkout, Error> {
    let failover_watcher = FailoverWatcher::of_pool(pool).await;
    let failover_watcher = failover_watcher.map_err(|error| error_of_attempt(&error))?;
    for _ in 0..=pool.status().max_size {
        let connection = pool.get().await.map_err(error_of_pool)?;
        let mut connected = (*connection).clone();
        // A connection that is not used is dropped with this value and leaves the pool.
        let lent = BorrowedConnection(Some(PoolObject::Sentinel(connection)));
        let is_there = match &failover_watcher {
            Some(failover_watcher) => {
                let identity = identity(&mut connected).await.ok().flatten();
                identity.as_ref() == Some(failover_watcher.named())
            }
            None => true,
        };
        let mut transport = Transport::One(connected);
        match transport.ping(true).await {
            Ok(_) if is_there => {}
            Err(error) if is_answer(&error) && is_there => {}
            _ => continue,
        }
        let mut checkout = Checkout::lent(transport, ClusterLayout::one(), lent);
        checkout.failover_watcher = failover_watcher;
        return Ok(checkout);
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        "the pool leads to no server that its sentinels name as the primary",
    ))
}

impl From<Pool> for ExternalPool {
    fn from(pool: Pool) -> Self {
        Self(PoolKind::One(pool))
    }
}

#[cfg(feature = "cluster")]
impl From<deadpool_redis::cluster::Pool> for ExternalPool {
    fn from(pool: deadpool_redis::cluster::Pool) -> Self {
        Self(PoolKind::Cluster(pool))
    }
}

#[cfg(feature = "sentinel")]
impl From<deadpool_redis::sentinel::Pool> for ExternalPool {
    fn from(pool: deadpool_redis::sentinel::Pool) -> Self {
        Self(PoolKind::Sentinel(pool))
    }
}

impl std::fmt::Debug for ExternalPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The `Debug` output of a pool may contain its URL.
        f.write_str("Given")
    }
}
