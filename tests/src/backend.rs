use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recached::Cache;

use crate::{Cluster, Server, cache_on};

/// A server or a cluster with a namespace of its own, shared by the caches of one test.
pub struct Backend {
    pub namespace: String,
    place: Place,
}

enum Place {
    Server(Server),
    Cluster(Arc<Cluster>),
    /// A cluster that no other test uses.
    Own(Cluster),
}

impl Backend {
    /// Starts a server for this test only.
    pub fn server() -> Self {
        Self::at(Place::Server(Server::start()))
    }

    /// Joins the shared cluster.
    pub fn cluster() -> Self {
        Self::at(Place::Cluster(Cluster::shared()))
    }

    /// Starts a cluster for this test only. Failover is off, so its primaries stay primaries.
    pub fn own_cluster() -> Self {
        let no_failover = ["--cluster-replica-no-failover", "yes"];
        Self::at(Place::Own(Cluster::start_with(&no_failover)))
    }

    fn at(place: Place) -> Self {
        static BACKENDS: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("backend{}", BACKENDS.fetch_add(1, Ordering::Relaxed));
        Self { namespace, place }
    }

    pub fn url(&self) -> String {
        match &self.place {
            Place::Server(server) => server.url(),
            Place::Cluster(cluster) => cluster.url(),
            Place::Own(cluster) => cluster.url(),
        }
    }

    /// Builds a cache in the namespace of this backend.
    pub fn cache(&self) -> Cache {
        cache_on(&self.url(), &self.namespace)
    }

    /// URL of a user that may not run `CLIENT` commands, so its connections cannot enable pushes.
    /// This simulates a proxy that forwards no pushes.
    pub fn without_pushes(&self) -> String {
        let plain = ["ACL", "SETUSER", "plain", "on", ">plain", "~*", "+@all"];
        self.tell::<()>(&[&plain[..], &["-client"]].concat());
        self.url().replace("://", "://plain:plain@")
    }

    /// Opens a plain connection to the server that stores `key`, to inspect it from outside the
    /// cache.
    pub fn client(&self, key: &str) -> redis::Connection {
        let of = |cluster: &Cluster| {
            let place = cluster.primary_of(cluster.slot_of(key));
            format!("redis://127.0.0.1:{}", cluster.port(place))
        };
        let url = match &self.place {
            Place::Server(server) => server.url(),
            Place::Cluster(cluster) => of(cluster),
            Place::Own(cluster) => of(cluster),
        };
        let client = redis::Client::open(url).expect("the url is good");
        client.get_connection().expect("the server is up")
    }

    /// Sends one command about a key from outside the cache. The key is the second word; `{ns}` in
    /// it stands for the namespace.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let key = words[1].replace("{ns}", &self.namespace);
        let mut command = redis::cmd(words[0]);
        command.arg(&key).arg(&words[2..]);
        let answer = command.query(&mut self.client(&key));
        answer.expect("the command is good")
    }

    /// Sends one command to each server.
    pub fn tell<T: redis::FromRedisValue>(&self, words: &[&str]) -> Vec<T> {
        let tell = |cluster: &Cluster| (0..6).map(|place| cluster.ask(place, words)).collect();
        match &self.place {
            Place::Server(server) => vec![server.ask(words)],
            Place::Cluster(cluster) => tell(cluster),
            Place::Own(cluster) => tell(cluster),
        }
    }

    /// Removes all keys, including those of other namespaces.
    pub fn flush(&self) {
        match &self.place {
            Place::Server(server) => server.ask(&["FLUSHALL"]),
            Place::Cluster(_) => panic!("others have keys there"),
            Place::Own(cluster) => {
                for place in cluster.primaries() {
                    cluster.ask::<()>(place, &["FLUSHALL"]);
                }
            }
        }
    }

    /// Freezes all servers: connections stay open, no server replies.
    pub fn freeze(&self) {
        match &self.place {
            Place::Server(server) => server.freeze(),
            Place::Cluster(_) => panic!("others need it"),
            Place::Own(cluster) => (0..6).for_each(|place| cluster.freeze(place)),
        }
    }

    /// Resumes frozen servers.
    pub fn thaw(&self) {
        match &self.place {
            Place::Server(server) => server.thaw(),
            Place::Cluster(_) => {}
            Place::Own(cluster) => (0..6).for_each(|place| cluster.thaw(place)),
        }
    }

    /// Kills all servers.
    pub fn kill(&mut self) {
        match &mut self.place {
            Place::Server(server) => server.kill(),
            Place::Cluster(_) => panic!("others need it"),
            Place::Own(cluster) => (0..6).for_each(|place| cluster.kill(place)),
        }
    }

    /// Restarts all servers without their data.
    pub fn restart(&mut self) {
        match &mut self.place {
            Place::Server(server) => server.restart(),
            Place::Cluster(_) => {}
            Place::Own(cluster) => (0..6).for_each(|place| cluster.restart(place)),
        }
    }
}

/// Expands each claim, an async function of a [`Backend`], to a test on a server and a test on a
/// cluster. `shared` claims use the shared cluster. `own` claims get a cluster of their own because
/// they affect other tests.
#[macro_export]
macro_rules! on_server_and_cluster {
    ($flavor:tt shared [$($shared:ident)*] own [$($own:ident)*]) => {
        mod server {
            $(#[tokio::test(flavor = $flavor)]
            async fn $shared() {
                $crate::in_time(super::$shared($crate::Backend::server())).await
            })*
            $(#[tokio::test(flavor = $flavor)]
            async fn $own() {
                $crate::in_time(super::$own($crate::Backend::server())).await
            })*
        }
        mod cluster {
            $(#[tokio::test(flavor = $flavor)]
            async fn $shared() {
                $crate::in_time(super::$shared($crate::Backend::cluster())).await
            })*
            $(#[tokio::test(flavor = $flavor)]
            async fn $own() {
                $crate::in_time(super::$own($crate::Backend::own_cluster())).await
            })*
        }
    };
}
