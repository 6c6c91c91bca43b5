use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recached::Cache;

use crate::{Cluster, PATIENCE, Server, cache_on};

/// Two caches of one fleet. Without a server, both are the same cache.
pub struct Fixture {
    pub one: Cache,
    pub two: Cache,
    pub server: Option<Server>,
    _cluster: Option<Arc<Cluster>>,
}

impl Fixture {
    /// A fixture with the memory backend.
    pub fn in_process() -> Self {
        let one = Cache::builder().in_process().build().expect("it builds");
        let two = one.clone();
        let (server, _cluster) = (None, None);
        Self {
            one,
            two,
            server,
            _cluster,
        }
    }

    /// The distinct caches of the fixture.
    pub fn caches(&self) -> Vec<&Cache> {
        match self.server.is_some() || self._cluster.is_some() {
            true => vec![&self.one, &self.two],
            false => vec![&self.one],
        }
    }

    /// A fixture on a server of its own.
    pub fn on_redis() -> Self {
        let server = Server::start();
        let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "fixture"));
        let (server, _cluster) = (Some(server), None);
        Self {
            one,
            two,
            server,
            _cluster,
        }
    }

    /// A fixture on the shared cluster, in a namespace of its own.
    pub fn on_a_cluster() -> Self {
        static BEDS: AtomicUsize = AtomicUsize::new(0);
        let cluster = Cluster::shared();
        let namespace = format!("fixture{}", BEDS.fetch_add(1, Ordering::Relaxed));
        let [one, two] = [(); 2].map(|()| cache_on(&cluster.url(), &namespace));
        let (server, _cluster) = (None, Some(cluster));
        Self {
            one,
            two,
            server,
            _cluster,
        }
    }
}

/// Expands each claim, an async function of a [`Fixture`], to a test in memory, on a server and on
/// a cluster.
#[macro_export]
macro_rules! on_both_stores {
    ($($claim:ident)+) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                $crate::in_time(super::$claim($crate::Fixture::in_process())).await
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                $crate::in_time(super::$claim($crate::Fixture::on_redis())).await
            })+
        }
        mod cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                $crate::in_time(super::$claim($crate::Fixture::on_a_cluster())).await
            })+
        }
    };
}

/// Runs a claim and panics if it does not end within twice [`PATIENCE`].
pub async fn in_time(claim: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(PATIENCE * 2, claim).await;
    ended.expect("somebody waits in vain");
}
