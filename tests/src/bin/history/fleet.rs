//! The processes and servers that faults are done to.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use recached_tests::{Proxy, Server};
use rustix::process::{Pid, Signal, kill_process};

/// A place for one process at a time, behind a proxy of its own.
pub(crate) struct Slot {
    pub(crate) place: usize,
    pub(crate) proxy: Proxy,
    folder: PathBuf,
    processes: usize,
    process: Option<Child>,
}

impl Slot {
    pub(crate) fn new(place: usize, port: u16, folder: &Path) -> Self {
        let mut slot = Self {
            place,
            proxy: Proxy::to(port),
            folder: folder.to_owned(),
            processes: 0,
            process: None,
        };
        slot.start();
        slot
    }

    /// Starts the next process.
    pub(crate) fn start(&mut self) {
        let records = self.records(self.processes);
        self.processes += 1;
        // What is left running when this one dies ends with its input.
        let process = Command::new(std::env::current_exe().expect("this program"))
            .arg("reader")
            .arg(self.proxy.url())
            .arg(&self.folder)
            .arg(records)
            .stdin(Stdio::piped())
            .spawn();
        self.process = Some(process.expect("this program can be run"));
    }

    fn records(&self, process: usize) -> PathBuf {
        self.folder
            .join(format!("records-{}-{process}", self.place))
    }

    /// The files of all its processes.
    pub(crate) fn all_records(&self) -> Vec<PathBuf> {
        (0..self.processes).map(|one| self.records(one)).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("it is a process"), signal).expect("it was not waited for");
    }

    /// Kills the process with no chance to clean up.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it was not waited for");
            process.wait().expect("it ends");
        }
    }

    /// Lets the process write down what it has done, and end.
    pub(crate) fn finish(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let ended = process.wait().expect("it ends");
            assert!(ended.success(), "a process has failed: {ended}");
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A primary and its replica.
pub(crate) struct Servers {
    pub(crate) primary: Server,
    pub(crate) replica: Server,
}

impl Servers {
    pub(crate) fn start() -> Self {
        let servers = Self {
            primary: Server::start(),
            replica: Server::start(),
        };
        servers.replicate();
        servers
    }

    fn replicate(&self) {
        // Nothing on disk, which would come back with a restart, and no wait for more replicas.
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

    /// An empty server in the primary's place.
    pub(crate) fn restart(&mut self) {
        self.primary.restart();
        self.replicate();
    }

    /// Makes the replica the primary, if it has everything that was ever acknowledged: nobody
    /// may be connected to the primary any more. Redis replicates asynchronously, and what a
    /// failover loses, invalidations too, no cache can bring back.
    pub(crate) fn fail_over(&mut self) -> bool {
        let mut client = self.primary.client();
        let mut ask = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]).query::<i64>(&mut client)
        };
        // Its own write comes after all others, and WAIT speaks of one's own.
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

    /// Connections of the fleet's processes.
    pub(crate) fn clients(&self) -> usize {
        let clients: String = self.primary.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
        // Not counting the one that asks.
        clients.lines().count() - 1
    }
}
