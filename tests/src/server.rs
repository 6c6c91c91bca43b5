use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::PATIENCE;

/// A Redis server of one test on a free port. The server ends with the test.
pub struct Server {
    process: Option<Process>,
    port: u16,
    folder: TempDir,
}

/// A child process that is killed on drop.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on at this moment. The port lies below the ephemeral range, so it
/// stays free while its server is down. The port plus 10,000 is still valid, for the cluster bus of
/// a node.
pub fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| fastrand::u16(12_000..22_000));
    ports
        .take(1_000)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("there is a port")
}

/// Offset from the port of a server to its TLS port. The offset is even because systems assign
/// every second port to outgoing connections: the port right above a free one may be in use.
pub(crate) const BESIDE: u16 = 2;

/// Command that starts the Redis server under test.
pub fn server() -> Command {
    let binary = std::env::var("REDISRS_SERVER_BIN").unwrap_or_else(|_| "redis-server".into());
    let version = Command::new(&binary)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    assert!(
        version.is_ok_and(|status| status.success()),
        "there is no `{binary}`: run tests/run, which installs a Redis server, or set REDISRS_SERVER_BIN"
    );
    let mut server = Command::new(binary);
    server.stdout(Stdio::null()).stderr(Stdio::null());
    server
}

impl Server {
    /// Starts a server and waits until it replies.
    ///
    /// # Panics
    ///
    /// Panics if there is no server binary: the tests need a real server.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server like [`start`](Self::start), with extra configuration lines.
    pub fn start_with(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "bind 127.0.0.1\nsave \"\"\ndir {}\n{config}",
            folder.path().display()
        );
        std::fs::write(folder.path().join("server.conf"), config).expect("it can be written");
        // Another process may take the free port first; this server then exits, and the loop tries
        // again.
        for _ in 0..5 {
            let port = free_port();
            if let Some(process) = spawn(&folder, port) {
                return Self {
                    process: Some(process),
                    port,
                    folder,
                };
            }
        }
        panic!("no server came up");
    }

    /// URL of the server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Port of the server on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Opens a plain connection, to inspect the server from outside the cache.
    pub fn client(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("the url is good");
        client.get_connection().expect("the server is up")
    }

    /// Sends one command from outside the cache.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
            .query(&mut self.client())
            .expect("the command is good")
    }

    /// Freezes the server: connections stay open, the server does not reply.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes the frozen server.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the server and keeps its port for a restart.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts an empty server on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.process = spawn(&self.folder, self.port);
            if self.process.is_some() {
                return;
            }
        }
        panic!("the server did not come up again");
    }

    fn signal(&self, what: Signal) {
        let process = self.process.as_ref().expect("the server runs");
        signal(process.0.id(), what);
    }
}

fn spawn(folder: &TempDir, port: u16) -> Option<Process> {
    let mut command = server();
    command.arg(folder.path().join("server.conf"));
    command.args(["--port", &port.to_string()]);
    let mut process = Process(command.spawn().expect("it was there just now"));
    answers(&mut process.0, port).then_some(process)
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = kill_process(pid.expect("it is a process"), signal);
    sent.expect("it can be told");
}

/// Returns `true` if `process` itself replies on this port.
pub(crate) fn answers(process: &mut Child, port: u16) -> bool {
    let client =
        redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("the url is good");
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Ok(Some(_)) = process.try_wait() {
            return false;
        }
        if let Ok(mut connection) = client.get_connection()
            && redis::cmd("INFO")
                .arg("server")
                .query::<String>(&mut connection)
                .is_ok_and(|info| info.contains(&format!("process_id:{}", process.id())))
        {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}
