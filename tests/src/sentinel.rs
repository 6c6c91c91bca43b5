use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis_test::utils::get_random_available_port;
use tempfile::TempDir;

use crate::PATIENCE;

/// Two servers, one the other's replica, and three sentinels that watch over them; they end with
/// the test.
pub struct Sentinels {
    servers: Vec<Process>,
    sentinels: Vec<Process>,
    _folder: TempDir,
}

struct Process {
    process: Child,
    port: u16,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Sentinels {
    /// Starts them and waits until all know each other.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = start(
            folder.path(),
            "first",
            |port| format!("port {port}\n"),
            false,
        );
        let primary = first.port;
        let second = |port| format!("port {port}\nreplicaof 127.0.0.1 {primary}\n");
        let servers = vec![first, start(folder.path(), "second", second, false)];
        let sentinels = (0..3)
            .map(|place| {
                let config = |port| {
                    format!(
                        "port {port}\nsentinel monitor main 127.0.0.1 {primary} 2\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
                    )
                };
                start(folder.path(), &format!("sentinel{place}"), config, true)
            })
            .collect();
        let all = Self {
            servers,
            sentinels,
            _folder: folder,
        };
        for sentinel in &all.sentinels {
            until("the sentinels know of all", || {
                let known = ask::<String>(sentinel.port, &["INFO", "sentinel"]);
                known.is_ok_and(|info| {
                    info.contains("status=ok") && info.contains("slaves=1,sentinels=3")
                })
            });
        }
        all
    }

    /// Where they are, and what they call the server.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self
            .sentinels
            .iter()
            .map(|it| format!("127.0.0.1:{}", it.port))
            .collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// The urls of the sentinels.
    pub fn urls(&self) -> Vec<String> {
        let url = |sentinel: &Process| format!("redis://127.0.0.1:{}", sentinel.port);
        self.sentinels.iter().map(url).collect()
    }

    /// Kills the server that the sentinels name.
    pub fn kill_primary(&mut self) {
        let primary = self.primary();
        let process = &mut self.servers[primary].process;
        process.kill().expect("it runs");
        process.wait().expect("it ends");
    }

    /// Has the replica take over from a server that lives.
    pub fn fail_over(&self) {
        let before = self.primary();
        until("a failover may begin", || {
            ask::<()>(self.sentinels[0].port, &["SENTINEL", "FAILOVER", "main"]).is_ok()
        });
        until("it is done", || self.primary() != before);
    }

    /// The server that the sentinels name.
    pub fn primary(&self) -> usize {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
        let (_, port) = ask::<(String, u16)>(self.sentinels[0].port, &words).expect("it knows");
        let place = self.servers.iter().position(|server| server.port == port);
        place.expect("it is one of ours")
    }

    /// One command to a server.
    pub fn ask<T: redis::FromRedisValue>(&self, server: usize, words: &[&str]) -> T {
        // One that changes its role ends its connections.
        let mut answer = None;
        until("the server takes it", || {
            answer = ask(self.servers[server].port, words).ok();
            answer.is_some()
        });
        answer.expect("it was taken")
    }
}

fn start(folder: &Path, name: &str, config: impl Fn(u16) -> String, sentinel: bool) -> Process {
    let binary = std::env::var("REDISRS_SERVER_BIN").unwrap_or_else(|_| "redis-server".into());
    for _ in 0..20 {
        let port = get_random_available_port();
        let file = folder.join(format!("{name}.conf"));
        let common = format!("dir {}\nbind 127.0.0.1\nsave \"\"\n", folder.display());
        let common = if sentinel { String::new() } else { common };
        let text = format!(
            "{}{common}repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n",
            config(port)
        );
        let text = if sentinel { config(port) } else { text };
        std::fs::write(&file, text).expect("the folder is writable");
        let mut command = Command::new(&binary);
        command.arg(&file).args(sentinel.then_some("--sentinel"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command
            .spawn()
            .expect("there is a server: run tests/run, which installs one");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && process.try_wait().is_ok_and(|ended| ended.is_none()) {
            let id = format!("process_id:{}", process.id());
            if ask::<String>(port, &["INFO", "server"]).is_ok_and(|info| info.contains(&id)) {
                return Process { process, port };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = process.kill();
        let _ = process.wait();
    }
    panic!("no server came up");
}

fn ask<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query(&mut connection)
}

fn until(what: &str, mut state: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !state() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
