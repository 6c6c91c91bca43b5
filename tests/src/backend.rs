use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use recached::Cache;

use crate::{Cluster, Server, cache_on};

/// Where the caches of a test meet: a server or a cluster, in a namespace of its own.
pub struct Backend {
    pub namespace: String,
    place: Place,
}

enum Place {
    Server(Server),
    Cluster(Arc<Cluster>),
    /// That nobody else uses.
    Own(Cluster),
}

impl Backend {
    /// A server of its own.
    pub fn server() -> Self {
        Self::at(Place::Server(Server::start()))
    }

    /// A cluster that it shares.
    pub fn cluster() -> Self {
        Self::at(Place::Cluster(Cluster::shared()))
    }

    /// A cluster of its own, whose primaries stay what they are, whatever happens to them.
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

    /// A cache of its namespace.
    pub fn cache(&self) -> Cache {
        cache_on(&self.url(), &self.namespace)
    }

    /// The url of a user whose connections may not ask for pushes: as behind a proxy that passes
    /// none on.
    pub fn without_pushes(&self) -> String {
        let plain = ["ACL", "SETUSER", "plain", "on", ">plain", "~*", "+@all"];
        self.tell::<()>(&[&plain[..], &["-client"]].concat());
        self.url().replace("://", "://plain:plain@")
    }

    /// A plain connection to the server that has this key, to look from outside.
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

    /// One command from outside about a key, its second word, where `{ns}` is the namespace.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let key = words[1].replace("{ns}", &self.namespace);
        let mut command = redis::cmd(words[0]);
        command.arg(&key).arg(&words[2..]);
        let answer = command.query(&mut self.client(&key));
        answer.expect("the command is good")
    }

    /// One command to each server.
    pub fn tell<T: redis::FromRedisValue>(&self, words: &[&str]) -> Vec<T> {
        let tell = |cluster: &Cluster| (0..6).map(|place| cluster.ask(place, words)).collect();
        match &self.place {
            Place::Server(server) => vec![server.ask(words)],
            Place::Cluster(cluster) => tell(cluster),
            Place::Own(cluster) => tell(cluster),
        }
    }

    /// Removes everything, of other namespaces too.
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

    /// Freezes it: connections stay, nothing answers.
    pub fn freeze(&self) {
        match &self.place {
            Place::Server(server) => server.freeze(),
            Place::Cluster(_) => panic!("others need it"),
            Place::Own(cluster) => (0..6).for_each(|place| cluster.freeze(place)),
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        match &self.place {
            Place::Server(server) => server.thaw(),
            Place::Cluster(_) => {}
            Place::Own(cluster) => (0..6).for_each(|place| cluster.thaw(place)),
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        match &mut self.place {
            Place::Server(server) => server.kill(),
            Place::Cluster(_) => panic!("others need it"),
            Place::Own(cluster) => (0..6).for_each(|place| cluster.kill(place)),
        }
    }

    /// Starts it again, with nothing of what was there.
    pub fn restart(&mut self) {
        match &mut self.place {
            Place::Server(server) => server.restart(),
            Place::Cluster(_) => {}
            Place::Own(cluster) => (0..6).for_each(|place| cluster.restart(place)),
        }
    }
}

/// Each claim, an async function of a [`Backend`], as a test of a server and one of a cluster:
/// `shared`, or of its `own` where it does to it what others would feel.
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
