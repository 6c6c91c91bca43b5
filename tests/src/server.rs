use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::ConnectionAddr;
use redis_test::server::RedisServer;
use redis_test::utils::get_random_available_port;
use rustix::process::{Pid, Signal, kill_process};

/// A Redis server of one test, on a free port; it ends with the test.
pub struct Server {
    server: Option<RedisServer>,
    port: u16,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// With no server binary: the tests need the real thing.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// As [`start`](Self::start), with lines of configuration.
    pub fn start_with(config: &str) -> Self {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(config.as_bytes())
            .expect("it can be written");
        let binary = std::env::var("REDISRS_SERVER_BIN").unwrap_or_else(|_| "redis-server".into());
        let there = Command::new(&binary)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        assert!(
            there.is_ok_and(|status| status.success()),
            "there is no `{binary}`: run tests/run, which installs a Redis server, or set REDISRS_SERVER_BIN"
        );
        // Another process may take the free port first: then this one ends, and we try again.
        for _ in 0..5 {
            let addr = RedisServer::get_addr(get_random_available_port());
            let config = Some(file.path());
            let mut server = RedisServer::new_with_addr_tls_modules_and_spawner(
                addr,
                config,
                None,
                false,
                None,
                &[],
                |command| command.spawn().expect("the binary was there just now"),
            );
            let Some((_, port)) = server.host_and_port() else {
                panic!("the tests need a server on a port: unset REDISRS_SERVER_TYPE");
            };
            if answers(&mut server.process, port) {
                return Self {
                    server: Some(server),
                    port,
                };
            }
        }
        panic!("no server came up");
    }

    /// Its url.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where it listens, on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A plain connection, to look from outside.
    pub fn client(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("the url is good");
        client.get_connection().expect("the server is up")
    }

    /// One command from outside.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
            .query(&mut self.client())
            .expect("the command is good")
    }

    /// Freezes the server: connections stay, nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the server; its port stays known.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts an empty server on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let begun = Instant::now();
        while begun.elapsed() < super::PATIENCE {
            let addr = ConnectionAddr::Tcp("127.0.0.1".into(), self.port);
            let mut server = RedisServer::new_with_addr_and_modules(addr, &[], false);
            if answers(&mut server.process, self.port) {
                self.server = Some(server);
                return;
            }
        }
        panic!("the server did not come up again");
    }

    fn signal(&self, what: Signal) {
        let pid = self.server.as_ref().expect("the server runs").process.id();
        signal(pid, what);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            signal(server.process.id(), Signal::CONT);
        }
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let sent = kill_process(pid.expect("it is a process"), signal);
    sent.expect("it can be told");
}

fn answers(process: &mut Child, port: u16) -> bool {
    let client =
        redis::Client::open(format!("redis://127.0.0.1:{port}/")).expect("the url is good");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
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
