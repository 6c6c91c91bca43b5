use std::fmt;
use std::time::Duration;

use crate::backend::redis::probe::{ServerFacts, ServerInfo};

/// Result of [`Cache::check`](crate::Cache::check). `Display` prints it in words.
#[derive(Clone, Debug)]
pub struct CheckReport {
    server: String,
    lines: Vec<String>,
    missing: Vec<String>,
    advice: Vec<String>,
}

impl CheckReport {
    pub(crate) fn of(facts: Option<ServerFacts>, patience: Duration) -> Self {
        let Some(facts) = facts else {
            return Self {
                server: "none: the cache is in this process".to_owned(),
                lines: vec!["other processes share nothing with it".to_owned()],
                missing: Vec::new(),
                advice: Vec::new(),
            };
        };
        let mut check = Self {
            server: server(&facts),
            lines: vec![
                format!("RESP{}", facts.protocol),
                match facts.tracking {
                    true => "it pushes changes: copies are kept in the process".to_owned(),
                    false => "it pushes no changes: no copies are kept in the process, except under a `near_ttl`, and waiters poll".to_owned(),
                },
                format!("round trip: {:?} (median)", facts.round_trip),
                "no clock of this machine is compared with the server's".to_owned(),
            ],
            missing: facts.missing.clone(),
            advice: Vec::new(),
        };
        if facts.primaries > 1 {
            check
                .lines
                .insert(1, format!("a cluster of {} primaries", facts.primaries));
        }
        if facts.lent {
            check.lines.push("its connections come from the program's own pool, of which TCP_NODELAY can't be seen, and the driver's default is off: set it with `ConnectionInfo::set_tcp_settings`".to_owned());
        }
        for info in facts.infos() {
            check.memory(info);
        }
        check.advise(&facts, patience);
        check
    }

    /// Returns the server and its version.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the rights that the user lacks, in the syntax of the server's access list (ACL).
    #[must_use]
    pub fn missing_rights(&self) -> &[String] {
        &self.missing
    }

    /// Returns the advised changes, with their reasons.
    #[must_use]
    pub fn advice(&self) -> &[String] {
        &self.advice
    }

    /// Returns `true` if no right is missing and there is no advice.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.missing.is_empty() && self.advice.is_empty()
    }

    fn memory(&mut self, info: &ServerInfo) {
        let (Some(policy), Some(limit)) = (
            info.of("maxmemory_policy"),
            info.of("maxmemory")
                .and_then(|limit| limit.parse::<u64>().ok()),
        ) else {
            return;
        };
        let used = info.of("used_memory_human").unwrap_or("?");
        if limit == 0 {
            self.lines.push(format!("memory: {used} used, no limit"));
            self.advise_once("there is no `maxmemory`: it grows until the machine has none left; set one, with `allkeys-lru` where it only caches, or `volatile-lru` beside other data");
            return;
        }
        let human = info.of("maxmemory_human").unwrap_or("?");
        self.lines.push(format!(
            "memory: {used} of {human} used, {policy} when it is full"
        ));
        if policy == "noeviction" {
            self.advise_once("`noeviction` refuses writes when memory is full: results are returned and not stored; take `allkeys-lru` where it only caches, or `volatile-lru` beside other data");
        }
    }

    /// Adds an advice unless another server has given the same.
    fn advise_once(&mut self, advice: &str) {
        if !self.advice.iter().any(|given| given == advice) {
            self.advice.push(advice.to_owned());
        }
    }

    fn advise(&mut self, facts: &ServerFacts, patience: Duration) {
        let untold = facts.missing.iter().any(|it| it == "+client|tracking");
        if facts.protocol == 2 && !untold {
            self.advice.push("it speaks RESP2 only, or a proxy between does: hits in the process need RESP3 (Redis 6, Valkey)".to_owned());
        }
        if facts.elsewhere {
            self.advice.push("it is a node of a cluster, which sends us to others: write `redis+cluster://`, with the feature `cluster`".to_owned());
        }
        let replica = |info: &ServerInfo| info.of("role") == Some("slave");
        if facts.infos().iter().any(replica) {
            self.advice.push(
                "it is a replica, which takes no writes: name the primary, or the sentinels"
                    .to_owned(),
            );
        }
        if facts.round_trip * 4 > patience {
            self.advice.push(format!(
                "four round trips take longer than the `command_timeout` of {patience:?}: give at least {:?}",
                facts.round_trip * 8
            ));
        }
        for refused in &facts.refused {
            self.advice.push(format!("it refuses {refused}"));
        }
        if !self.missing.is_empty() {
            self.advice.push(format!(
                "the user lacks rights: ACL SETUSER <user> {}",
                self.missing.join(" ")
            ));
        }
    }
}

fn server(facts: &ServerFacts) -> String {
    let told = |name| facts.infos().iter().find_map(|info| info.of(name));
    if let Some(version) = told("valkey_version") {
        return format!("Valkey {version}");
    }
    match told("redis_version") {
        Some(version) => format!("Redis {version}"),
        None => "unknown: it does not say (INFO)".to_owned(),
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server: {}", self.server)?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        for advice in &self.advice {
            writeln!(f, "  ! {advice}")?;
        }
        Ok(())
    }
}
