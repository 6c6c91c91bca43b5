//! The processes that faults are injected into.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use recached_tests::Proxy;
use rustix::process::{Pid, Signal, kill_process};

use crate::servers::Servers;

/// A slot for one process at a time. With a single server, the slot has its own proxy in front of
/// it.
pub(crate) struct Slot {
    pub(crate) place: usize,
    pub(crate) proxy: Option<Proxy>,
    url: String,
    folder: PathBuf,
    processes: usize,
    process: Option<Child>,
}

impl Slot {
    pub(crate) fn new(place: usize, servers: &Servers, folder: &Path) -> Self {
        let proxy = servers.pair().map(|pair| Proxy::to(pair.primary.port()));
        let mut slot = Self {
            place,
            url: proxy.as_ref().map_or_else(|| servers.url(), Proxy::url),
            proxy,
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
        // Closing this pipe ends the child if the parent dies.
        let process = Command::new(std::env::current_exe().expect("this program"))
            .arg("reader")
            .arg(&self.url)
            .arg(&self.folder)
            .arg(records)
            // Simulates a rollout: half of the fleet runs the new release.
            .arg(if self.place.is_multiple_of(2) {
                "old"
            } else {
                "new"
            })
            .stdin(Stdio::piped())
            .spawn();
        self.process = Some(process.expect("this program can be run"));
    }

    fn records(&self, process: usize) -> PathBuf {
        self.folder
            .join(format!("records-{}-{process}", self.place))
    }

    /// Record files of all processes of this slot.
    pub(crate) fn all_records(&self) -> Vec<PathBuf> {
        (0..self.processes).map(|one| self.records(one)).collect()
    }

    /// Record files of all forks of these processes.
    pub(crate) fn all_forks(&self) -> Vec<PathBuf> {
        let name = format!("records-{}-", self.place);
        let files = std::fs::read_dir(&self.folder).expect("it is there");
        let files = files.map(|file| file.expect("it is there").path());
        let is_fork = |file: &PathBuf| {
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(&name) && file.contains("-fork-")
        };
        files.filter(is_fork).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("it is a process"), signal).expect("it was not waited for");
    }

    /// Kills the process without a chance to clean up.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it was not waited for");
            process.wait().expect("it ends");
        }
    }

    /// Waits until the process has written its records and ended.
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
