use std::future::Future;

use recached::Cache;

use crate::{PATIENCE, Server, cache_on};

/// Two caches of one fleet; with no server, one twice.
pub struct Bed {
    pub one: Cache,
    pub two: Cache,
    pub server: Option<Server>,
}

impl Bed {
    /// In this process.
    pub fn in_process() -> Self {
        let one = Cache::builder().in_process().build().expect("it builds");
        let two = one.clone();
        let server = None;
        Self { one, two, server }
    }

    /// On a server of its own.
    pub fn on_redis() -> Self {
        let server = Server::start();
        let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "bed"));
        let server = Some(server);
        Self { one, two, server }
    }
}

/// Each claim, an async function of a [`Bed`], as a test of both stores.
#[macro_export]
macro_rules! on_both_stores {
    ($($claim:ident)+) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                $crate::in_time(super::$claim($crate::Bed::in_process())).await
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                $crate::in_time(super::$claim($crate::Bed::on_redis())).await
            })+
        }
    };
}

/// Panics if the claim waits for what never comes.
pub async fn in_time(claim: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(PATIENCE * 2, claim).await;
    ended.expect("somebody waits in vain");
}
