use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recached::Cache;

use crate::{Cluster, PATIENCE, Server, cache_on};

/// Two caches of one fleet; with no server, one twice.
pub struct Fixture {
    pub one: Cache,
    pub two: Cache,
    pub server: Option<Server>,
    _cluster: Option<Arc<Cluster>>,
}

impl Fixture {
    /// In this process.
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

    /// Its caches, each once.
    pub fn caches(&self) -> Vec<&Cache> {
        match self.server.is_some() || self._cluster.is_some() {
            true => vec![&self.one, &self.two],
            false => vec![&self.one],
        }
    }

    /// On a server of its own.
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

    /// On a cluster that it shares, in a namespace of its own.
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

/// Each claim, an async function of a [`Fixture`], as a test of both stores, and of a cluster.
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

/// Panics if the claim waits for what never comes.
pub async fn in_time(claim: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(PATIENCE * 2, claim).await;
    ended.expect("somebody waits in vain");
}
