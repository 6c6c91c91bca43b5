use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::server::{BESIDE, Process, answers, free_port, server, signal};

const SLOTS: u16 = 16_384;

/// A cluster of one test: three primaries with one replica each. The nodes end with the test.
pub struct Cluster {
    nodes: Vec<Node>,
    /// Offset from the port of a node to its TLS port; 0 without TLS.
    tls: u16,
    _folder: TempDir,
}

struct Node {
    process: Option<Process>,
    port: u16,
    start: Box<dyn Fn() -> Process + Send + Sync>,
}

impl Cluster {
    /// Starts a cluster and waits until all of its nodes are up.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Returns the cluster that the tests of a binary share. The cluster lives as long as one test
    /// holds it. Each test uses its own keys.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::start());
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    /// Starts a cluster like [`start`](Self::start), with extra arguments for each server.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::begin(arguments, 0)
    }

    /// Starts a cluster like [`start_with`](Self::start_with), with TLS. The arguments name the
    /// certificates that the nodes show and trust. The nodes use TLS between each other and for
    /// connections to [`tls_url`](Self::tls_url).
    pub fn start_tls(arguments: &[&str]) -> Self {
        Self::begin(arguments, BESIDE)
    }

    fn begin(arguments: &[&str], tls: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nodes = (0..6).map(|place| node(&folder, place, arguments, tls));
        let nodes = nodes.collect();
        let cluster = Self {
            nodes,
            tls,
            _folder: folder,
        };
        let ids: Vec<String> = (0..6)
            .map(|place| cluster.ask(place, &["CLUSTER", "MYID"]))
            .collect();
        for place in 0..3_u16 {
            let (from, to) = (place * SLOTS / 3, (place + 1) * SLOTS / 3);
            let slots: Vec<String> = (from..to).map(|slot| slot.to_string()).collect();
            let mut words = vec!["CLUSTER", "ADDSLOTS"];
            words.extend(slots.iter().map(String::as_str));
            cluster.ask::<()>(place.into(), &words);
        }
        for place in 0..6 {
            let epoch = (place + 1).to_string();
            cluster.ask::<()>(place, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for place in 1..6 {
            let port = (cluster.nodes[place].port + tls).to_string();
            cluster.ask::<()>(0, &["CLUSTER", "MEET", "127.0.0.1", &port]);
        }
        for place in 0..6 {
            wait("all know each other", || {
                cluster.info(place).contains("cluster_known_nodes:6")
            });
        }
        for place in 3..6 {
            let replicate = ["CLUSTER", "REPLICATE", &ids[place - 3]];
            wait("it is a replica", || {
                cluster.try_ask::<()>(place, &replicate).is_ok()
            });
        }
        cluster.is_whole();
        cluster
    }

    /// Waits until the cluster serves all slots and each primary has a replica in sync.
    pub fn is_whole(&self) {
        for place in 0..6 {
            wait("the cluster is whole", || {
                let slots = self.try_ask::<Vec<Vec<redis::Value>>>(place, &["CLUSTER", "SLOTS"]);
                let replicated = slots.is_ok_and(|all| all.iter().all(|range| range.len() >= 4));
                replicated && self.info(place).contains("cluster_state:ok") && self.in_step(place)
            });
        }
    }

    fn in_step(&self, place: usize) -> bool {
        let info = self.try_ask::<String>(place, &["INFO", "replication"]);
        info.is_ok_and(|info| {
            info.contains("role:master") || info.contains("master_link_status:up")
        })
    }

    /// URL with four of the six nodes, the last node first.
    pub fn url(&self) -> String {
        format!("redis+cluster://{}", self.hosts(0))
    }

    /// URL like [`url`](Self::url), with TLS.
    pub fn tls_url(&self) -> String {
        format!("rediss+cluster://{}", self.hosts(self.tls))
    }

    fn hosts(&self, above: u16) -> String {
        let host = |node: &Node| format!("127.0.0.1:{}", node.port + above);
        let hosts: Vec<String> = self.nodes.iter().rev().map(host).collect();
        hosts[..4].join(",")
    }

    /// Port of a node on this machine.
    pub fn port(&self, place: usize) -> u16 {
        self.nodes[place].port
    }

    /// URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        let url = |node: &Node| format!("redis://127.0.0.1:{}", node.port);
        self.nodes.iter().map(url).collect()
    }

    /// Sends one command to one node, from outside the cache.
    pub fn ask<T: redis::FromRedisValue>(&self, place: usize, words: &[&str]) -> T {
        self.try_ask(place, words).expect("the node takes it")
    }

    /// Sends one command like [`ask`](Self::ask), and returns the error if the node rejects it.
    pub fn try_ask<T: redis::FromRedisValue>(
        &self,
        place: usize,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        let url = format!("redis://127.0.0.1:{}", self.nodes[place].port);
        let mut connection =
            redis::Client::open(url)?.get_connection_with_timeout(Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut connection)
    }

    fn info(&self, place: usize) -> String {
        self.try_ask(place, &["CLUSTER", "INFO"])
            .unwrap_or_default()
    }

    /// Nodes that currently report the role of a primary.
    pub fn primaries(&self) -> Vec<usize> {
        let is_primary = |place: &usize| {
            let role = self.try_ask::<Vec<redis::Value>>(*place, &["ROLE"]);
            role.is_ok_and(|role| {
                role.first() == Some(&redis::Value::BulkString(b"master".to_vec()))
            })
        };
        (0..6).filter(is_primary).collect()
    }

    /// Slot of a key.
    pub fn slot_of(&self, key: &str) -> u16 {
        self.ask(0, &["CLUSTER", "KEYSLOT", key])
    }

    /// Primary that serves a slot.
    pub fn primary_of(&self, slot: u16) -> usize {
        let asked = self.primaries()[0];
        for range in self.ask::<Vec<Vec<redis::Value>>>(asked, &["CLUSTER", "SLOTS"]) {
            let number = |value: &redis::Value| match value {
                redis::Value::Int(number) => {
                    u16::try_from(*number).expect("it is a slot or a port")
                }
                other => panic!("{other:?} is no number"),
            };
            let redis::Value::Array(primary) = &range[2] else {
                panic!("{range:?} has no primary");
            };
            if (number(&range[0])..=number(&range[1])).contains(&slot) {
                let port = number(&primary[1]);
                let place = self.nodes.iter().position(|node| node.port == port);
                return place.expect("it is one of ours");
            }
        }
        panic!("nobody has slot {slot}");
    }

    /// Begins to move a slot to another primary without moving any key. Returns the old and the new
    /// primary.
    pub fn begin_move(&self, slot: u16) -> (usize, usize) {
        let from = self.primary_of(slot);
        let to = *self
            .primaries()
            .iter()
            .find(|place| **place != from)
            .expect("there are three");
        let [from_id, to_id]: [String; 2] =
            [from, to].map(|place| self.ask(place, &["CLUSTER", "MYID"]));
        let text = slot.to_string();
        self.ask::<()>(to, &["CLUSTER", "SETSLOT", &text, "IMPORTING", &from_id]);
        self.ask::<()>(from, &["CLUSTER", "SETSLOT", &text, "MIGRATING", &to_id]);
        (from, to)
    }

    /// Moves a slot with its keys to another primary. Returns the old and the new primary.
    pub fn move_slot(&self, slot: u16) -> (usize, usize) {
        let (from, to) = self.begin_move(slot);
        let to_id: String = self.ask(to, &["CLUSTER", "MYID"]);
        let text = slot.to_string();
        let port = self.nodes[to].port.to_string();
        loop {
            let keys: Vec<String> = self.ask(from, &["CLUSTER", "GETKEYSINSLOT", &text, "100"]);
            if keys.is_empty() {
                break;
            }
            for key in keys {
                self.ask::<redis::Value>(from, &["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
            }
        }
        for place in [to, from] {
            self.ask::<()>(place, &["CLUSTER", "SETSLOT", &text, "NODE", &to_id]);
        }
        for place in self.primaries() {
            let _ = self.try_ask::<()>(place, &["CLUSTER", "SETSLOT", &text, "NODE", &to_id]);
        }
        (from, to)
    }

    /// A replica of this primary.
    pub fn replica_of(&self, primary: usize) -> usize {
        let id: String = self.ask(primary, &["CLUSTER", "MYID"]);
        let nodes: String = self.ask(primary, &["CLUSTER", "NODES"]);
        let is_its = |line: &&str| line.split(' ').nth(3) == Some(id.as_str());
        let replica = nodes.lines().find(is_its).expect("it has a replica");
        let is_it = |node: &Node| replica.contains(&format!(":{}@", node.port));
        let replica = self.nodes.iter().position(is_it);
        replica.expect("it is one of ours")
    }

    /// Makes a replica of this primary take over with all acknowledged writes. Returns the new
    /// primary.
    pub fn hand_over(&self, primary: usize) -> usize {
        let replica = self.replica_of(primary);
        let mut asked = None::<Instant>;
        wait("it has taken over", || {
            // The other primaries reject the vote until they know of all moved slots.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(2)) {
                asked = Some(Instant::now());
                let _ = self.try_ask::<()>(replica, &["CLUSTER", "FAILOVER"]);
            }
            let primaries = self.primaries();
            primaries.contains(&replica) && !primaries.contains(&primary)
        });
        replica
    }

    /// Freezes a node: connections stay open, the node does not reply.
    pub fn freeze(&self, place: usize) {
        self.signal(place, Signal::STOP);
    }

    /// Resumes a frozen node.
    pub fn thaw(&self, place: usize) {
        self.signal(place, Signal::CONT);
    }

    fn signal(&self, place: usize, what: Signal) {
        let process = self.nodes[place].process.as_ref();
        signal(process.expect("it runs").0.id(), what);
    }

    /// Kills a node.
    pub fn kill(&mut self, place: usize) {
        self.nodes[place].process = None;
    }

    /// Restarts a node with its cluster configuration and without its keys.
    pub fn restart(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        node.process = None;
        node.process = Some((node.start)());
    }

    /// Waits until the cluster has three primaries without `lost`, and each reports the state `ok`.
    pub fn fails_over(&self, lost: usize) {
        wait("a replica has taken over", || {
            let primaries = self.primaries();
            primaries.len() == 3
                && !primaries.contains(&lost)
                && primaries
                    .iter()
                    .all(|place| self.info(*place).contains("cluster_state:ok"))
        });
    }
}

fn node(folder: &TempDir, place: usize, arguments: &[&str], tls: u16) -> Node {
    let folder = folder.path().join(place.to_string());
    std::fs::create_dir(&folder).expect("the folder is writable");
    for _ in 0..20 {
        // The cluster bus of a node listens at its port plus 10,000.
        let port = free_port();
        let folder = folder.clone();
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        let start = move || {
            let mut command = server();
            command.current_dir(&folder);
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]);
            command.args(["--cluster-replica-validity-factor", "0", "--save", ""]);
            command.args(["--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
            // A replica that has received nothing from its primary yet does not count as a replica.
            command.args(["--repl-ping-replica-period", "1"]);
            command.args(&arguments);
            if tls > 0 {
                command.args(["--tls-port", &(port + tls).to_string()]);
                command.args(["--tls-cluster", "yes", "--tls-replication", "yes"]);
            }
            Process(command.spawn().expect("it was there just now"))
        };
        let mut process = start();
        if answers(&mut process.0, port) {
            return Node {
                process: Some(process),
                port,
                start: Box::new(start),
            };
        }
    }
    panic!("no server came up");
}

fn wait(what: &str, mut state: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !state() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
