use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::server::{BESIDE, Process, answers, free_port, server, signal};

/// A primary, its replica, and three sentinels that monitor them. All five end with the test.
pub struct Sentinels {
    servers: Vec<Started>,
    sentinels: Vec<Started>,
    /// Password of the sentinels.
    password: Option<String>,
    /// Offset from the port of a process to its TLS port; 0 without TLS.
    tls: u16,
    _folder: TempDir,
}

struct Started {
    process: Option<Process>,
    port: u16,
}

impl Sentinels {
    /// Starts all five processes and waits until they know each other.
    pub fn start() -> Self {
        Self::begin("", 0)
    }

    /// Starts the processes like [`start`](Self::start), with TLS. The configuration lines name the
    /// certificates that the processes show and trust. The processes use TLS between each other and
    /// for connections to [`tls_url`](Self::tls_url).
    pub fn start_tls(config: &str) -> Self {
        Self::begin(config, BESIDE)
    }

    fn begin(config: &str, tls: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let common = |port: u16| match tls {
            0 => format!("port {port}\n{config}"),
            _ => format!(
                "port {port}\ntls-port {}\ntls-replication yes\n{config}",
                port + tls
            ),
        };
        let first = start(folder.path(), "first", common, false);
        let primary = first.port + tls;
        let second = |port| format!("{}replicaof 127.0.0.1 {primary}\n", common(port));
        let servers = vec![first, start(folder.path(), "second", second, false)];
        let sentinels = (0..3)
            .map(|place| {
                let config = |port| {
                    format!(
                        "{}sentinel monitor main 127.0.0.1 {primary} 2\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
                        common(port)
                    )
                };
                start(folder.path(), &format!("sentinel{place}"), config, true)
            })
            .collect();
        let all = Self {
            servers,
            sentinels,
            password: None,
            tls,
            _folder: folder,
        };
        for sentinel in &all.sentinels {
            until("the sentinels know of all", || {
                let known = all.ask_one::<String>(sentinel, &["INFO", "sentinel"]);
                known.is_ok_and(|info| {
                    info.contains("status=ok") && info.contains("slaves=1,sentinels=3")
                })
            });
        }
        all
    }

    /// URL with the addresses of the sentinels and the name of the monitored service.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/main", self.hosts(0))
    }

    /// URL like [`url`](Self::url), with TLS.
    pub fn tls_url(&self) -> String {
        format!("rediss+sentinel://{}/main", self.hosts(self.tls))
    }

    fn hosts(&self, above: u16) -> String {
        let host = |sentinel: &Started| format!("127.0.0.1:{}", sentinel.port + above);
        let hosts: Vec<String> = self.sentinels.iter().map(host).collect();
        hosts.join(",")
    }

    /// Sends one command to each sentinel.
    pub fn ask_sentinels<T: redis::FromRedisValue>(&self, words: &[&str]) -> Vec<T> {
        let ask = |sentinel: &Started| self.ask_one(sentinel, words).expect("it takes it");
        self.sentinels.iter().map(ask).collect()
    }

    fn ask_one<T: redis::FromRedisValue>(
        &self,
        sentinel: &Started,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        ask_as(sentinel.port, self.password.as_deref(), words)
    }

    /// Makes the sentinels require this password from now on, also from each other.
    pub fn lock(&mut self, password: &str) {
        self.ask_sentinels::<()>(&["SENTINEL", "CONFIG", "SET", "sentinel-pass", password]);
        let given = format!(">{password}");
        self.ask_sentinels::<()>(&["ACL", "SETUSER", "default", "resetpass", &given]);
        self.password = Some(password.to_owned());
    }

    /// URLs of the sentinels.
    pub fn urls(&self) -> Vec<String> {
        let url = |sentinel: &Started| format!("redis://127.0.0.1:{}", sentinel.port);
        self.sentinels.iter().map(url).collect()
    }

    /// Port of a server on this machine.
    pub fn port(&self, server: usize) -> u16 {
        self.servers[server].port
    }

    /// Freezes a server: connections stay open, the server does not reply.
    pub fn freeze(&self, server: usize) {
        self.signal(server, Signal::STOP);
    }

    /// Resumes a frozen server.
    pub fn thaw(&self, server: usize) {
        self.signal(server, Signal::CONT);
    }

    fn signal(&self, server: usize, what: Signal) {
        let process = self.servers[server].process.as_ref();
        signal(process.expect("it runs").0.id(), what);
    }

    /// Waits until the server that the sentinels name has a replica in sync.
    pub fn is_whole(&self) {
        until("the replica is in step", || {
            let primary = self.primary();
            let role = |server: usize, role: &str| {
                let info = ask::<String>(self.servers[server].port, &["INFO", "replication"]);
                info.is_ok_and(|info| info.contains(role))
            };
            role(primary, "role:master") && role(1 - primary, "master_link_status:up")
        });
    }

    /// Kills the server that the sentinels name.
    pub fn kill_primary(&mut self) {
        let primary = self.primary();
        self.servers[primary].process = None;
    }

    /// Makes the replica take over from a live primary.
    pub fn fail_over(&self) {
        let before = self.primary();
        until("a failover may begin", || {
            self.ask_one::<()>(&self.sentinels[0], &["SENTINEL", "FAILOVER", "main"])
                .is_ok()
        });
        until("it is done", || self.primary() != before);
    }

    /// Makes the sentinels name the other server, emptied before, at once. The server that they
    /// named before is not notified and keeps running unchanged. Returns the other server.
    pub fn name_another(&self) -> usize {
        let after = 1 - self.primary();
        self.ask::<()>(after, &["REPLICAOF", "NO", "ONE"]);
        self.ask::<()>(after, &["FLUSHALL"]);
        let port = (self.servers[after].port + self.tls).to_string();
        self.ask_sentinels::<()>(&["SENTINEL", "REMOVE", "main"]);
        self.ask_sentinels::<()>(&["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "2"]);
        after
    }

    /// Server that the sentinels name.
    pub fn primary(&self) -> usize {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"];
        let (_, port): (String, u16) = self.ask_one(&self.sentinels[0], &words).expect("it knows");
        let place = self.servers.iter().position(|server| server.port == port);
        place.expect("it is one of ours")
    }

    /// Sends one command to a server.
    pub fn ask<T: redis::FromRedisValue>(&self, server: usize, words: &[&str]) -> T {
        // Retry: a server that changes its role closes its connections.
        let mut answer = None;
        until("the server takes it", || {
            answer = ask(self.servers[server].port, words).ok();
            answer.is_some()
        });
        answer.expect("it was taken")
    }
}

fn start(folder: &Path, name: &str, config: impl Fn(u16) -> String, sentinel: bool) -> Started {
    for _ in 0..20 {
        let port = free_port();
        let file = folder.join(format!("{name}.conf"));
        let server_only = format!(
            "dir {}\nbind 127.0.0.1\nsave \"\"\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n",
            folder.display()
        );
        let more = if sentinel { "" } else { &server_only };
        std::fs::write(&file, config(port) + more).expect("the folder is writable");
        let mut command = server();
        command.arg(&file).args(sentinel.then_some("--sentinel"));
        let mut process = Process(command.spawn().expect("it was there just now"));
        if answers(&mut process.0, port) {
            let process = Some(process);
            return Started { process, port };
        }
    }
    panic!("no server came up");
}

fn ask<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    ask_as(port, None, words)
}

fn ask_as<T: redis::FromRedisValue>(
    port: u16,
    password: Option<&str>,
    words: &[&str],
) -> redis::RedisResult<T> {
    let login = password.map_or(String::new(), |password| format!(":{password}@"));
    let client = redis::Client::open(format!("redis://{login}127.0.0.1:{port}"))?;
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
