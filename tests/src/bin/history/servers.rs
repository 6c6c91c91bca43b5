//! The servers that faults are injected into.

use std::thread::sleep;
use std::time::{Duration, Instant};

use recached_tests::{Cluster, Sentinels, Server};

/// Servers that store the entries.
pub(crate) enum Servers {
    Pair(Pair),
    Cluster(Cluster),
    Sentinels(Sentinels),
}

impl Servers {
    /// Starts the servers that the command line names.
    pub(crate) fn start(name: &str) -> Option<Self> {
        Some(match name {
            "server" => Self::Pair(Pair::start()),
            "cluster" => Self::Cluster(Cluster::start()),
            "sentinels" => {
                let sentinels = Sentinels::start();
                // A busy machine must not count as a dead server: a failover without held writes
                // loses writes.
                let patient = [
                    "SENTINEL",
                    "SET",
                    "main",
                    "down-after-milliseconds",
                    "60000",
                ];
                sentinels.ask_sentinels::<()>(&patient);
                Self::Sentinels(sentinels)
            }
            _ => return None,
        })
    }

    pub(crate) fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Pair(pair) => Some(pair),
            Self::Cluster(_) | Self::Sentinels(_) => None,
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Pair(pair) => pair.primary.url(),
            Self::Cluster(cluster) => cluster.url(),
            Self::Sentinels(sentinels) => sentinels.url(),
        }
    }

    /// Port of a server whose round trips measure the load of the machine.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Pair(pair) => pair.primary.port(),
            Self::Cluster(cluster) => cluster.port(0),
            Self::Sentinels(sentinels) => sentinels.port(0),
        }
    }
}

/// Time in milliseconds for which a primary takes no writes, so that its replica receives all
/// acknowledged writes.
const PAUSE: &str = "3000";

/// Pauses the writes of a primary and waits until its replica has received all of them. Redis
/// replicates asynchronously, and no cache can restore the invalidations that a failover loses.
fn hold_writes(ask: impl Fn(&[&str]) -> String) -> bool {
    ask(&["CLIENT", "PAUSE", PAUSE, "WRITE"]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let info = ask(&["INFO", "replication"]);
        let number = |name: &str| {
            let (_, rest) = info.split_once(name)?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u64>().ok()
        };
        let all = number("master_repl_offset:");
        if all.is_some() && number(",offset=") == all {
            return true;
        }
        sleep(Duration::from_millis(2));
    }
    ask(&["CLIENT", "UNPAUSE"]);
    false
}

/// Kills the primary of this slot. One of its replicas takes over, and the killed node returns as a
/// replica.
pub(crate) fn replace(cluster: &mut Cluster, slot: u16) -> bool {
    let primary = cluster.primary_of(slot);
    if !hold_writes(|words| cluster.ask(primary, words)) {
        return false;
    }
    cluster.kill(primary);
    cluster.fails_over(primary);
    cluster.restart(primary);
    cluster.is_whole();
    true
}

/// Makes the sentinels promote the replica.
pub(crate) fn succeed(sentinels: &Sentinels) -> bool {
    let primary = sentinels.primary();
    if !hold_writes(|words| sentinels.ask(primary, words)) {
        return false;
    }
    sentinels.fail_over();
    // The sentinels would do the same ten seconds later.
    let port = sentinels.port(1 - primary).to_string();
    sentinels.ask::<()>(primary, &["REPLICAOF", "127.0.0.1", &port]);
    sentinels.is_whole();
    true
}

/// A primary and its replica.
pub(crate) struct Pair {
    pub(crate) primary: Server,
    pub(crate) replica: Server,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let servers = Self {
            primary: Server::start(),
            replica: Server::start(),
        };
        servers.replicate();
        servers
    }

    fn replicate(&self) {
        // Nothing is saved to disk, since it would be loaded after a restart. A sync does not wait
        // for more replicas.
        for server in [&self.primary, &self.replica] {
            for (what, value) in [
                ("save", ""),
                ("repl-diskless-sync", "yes"),
                ("repl-diskless-sync-delay", "0"),
                ("repl-diskless-load", "swapdb"),
            ] {
                let _: () = server.ask(&["CONFIG", "SET", what, value]);
            }
        }
        let port = self.primary.port().to_string();
        let _: () = self.replica.ask(&["REPLICAOF", "127.0.0.1", &port]);
    }

    /// Restarts the primary as an empty server.
    pub(crate) fn restart(&mut self) {
        self.primary.restart();
        self.replicate();
    }

    /// Promotes the replica if it has received all acknowledged writes. No client may be connected
    /// to the primary any more. Redis replicates asynchronously, and no cache can restore the
    /// invalidations that a failover loses.
    pub(crate) fn fail_over(&mut self) -> bool {
        let mut client = self.primary.client();
        let mut ask = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]).query::<i64>(&mut client)
        };
        // `WAIT` covers the writes of its own connection, so this write must follow all others.
        let written = ask(&["INCR", "marks"]);
        let reached = ask(&["WAIT", "1", "1000"]);
        if written.is_err() || reached != Ok(1) {
            return false;
        }
        let _: () = self.replica.ask(&["REPLICAOF", "NO", "ONE"]);
        std::mem::swap(&mut self.primary, &mut self.replica);
        self.replicate();
        true
    }

    /// Number of connections of the fleet's processes.
    pub(crate) fn clients(&self) -> usize {
        let clients: String = self.primary.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
        // Do not count the connection that sends the command.
        clients.lines().count() - 1
    }
}
