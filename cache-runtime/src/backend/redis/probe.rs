use std::time::{Duration, Instant};

use redis::{Cmd, RedisError, Value, cmd};

use super::cluster_layout::NodeAddress;
use super::pool::field;
use super::session::RedisSession;
use super::topology::Topology;
use crate::error::Error;
use crate::key::keyspace;

/// Number of pings for the median round trip.
const PINGS: usize = 11;

/// Facts about a server, and the permissions of its user.
pub(crate) struct ServerFacts {
    /// The INFO of each primary that permits it.
    infos: Vec<ServerInfo>,
    /// Version of the RESP protocol, 2 or 3.
    pub(crate) protocol: i64,
    pub(crate) tracking: bool,
    pub(crate) primaries: usize,
    pub(crate) round_trip: Duration,
    /// Permissions that the user lacks, as rules of an access control list.
    pub(crate) missing: Vec<String>,
    /// Other error replies of the server, in its own words.
    pub(crate) refused: Vec<String>,
    /// Set if the server replies with MOVED: it is a node of a cluster but is used as a single
    /// server.
    pub(crate) elsewhere: bool,
    /// Set if the connections come from an external pool.
    pub(crate) lent: bool,
}

/// The INFO of one server: lines of the form `name:value`.
pub(crate) struct ServerInfo(String);

impl ServerInfo {
    /// Returns the value with this name.
    pub(crate) fn of(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().filter_map(|handle| handle.split_once(':'));
        let (_, value) = lines.find(|(known, _)| *known == name)?;
        Some(value.trim())
    }
}

impl ServerFacts {
    /// Returns the INFO of each primary that permits it.
    pub(crate) fn infos(&self) -> &[ServerInfo] {
        &self.infos
    }
}

impl RedisSession {
    /// Collects facts about the server and tries every command that the cache needs.
    pub(crate) async fn facts(&self) -> Result<ServerFacts, Error> {
        // Sent ahead of the outbox, because the report explains why invalidations wait.
        Self::ahead(self.connection().background())
            .facts_now()
            .await
    }

    async fn facts_now(&self) -> Result<ServerFacts, Error> {
        let mut trips = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            self.refill();
            let begun = Instant::now();
            self.exchange(|mut handle| async move { handle.transport.ping(false).await })
                .await?;
            trips.push(begun.elapsed());
        }
        trips.sort();
        let places = self.places().await?;
        let mut facts = ServerFacts {
            infos: Vec::new(),
            protocol: 2,
            tracking: self.connection().is_tracking(),
            primaries: places.len(),
            round_trip: trips[PINGS / 2],
            missing: Vec::new(),
            refused: Vec::new(),
            elsewhere: false,
            lent: matches!(self.connection().config.topology, Topology::ExternalPool(_)),
        };
        if let Ok(hello) = self.say(cmd("HELLO")).await? {
            facts.protocol = field(hello, "proto").unwrap_or(2);
        }
        for place in &places {
            let mut info = cmd("INFO");
            info.arg("everything");
            match self.say_to(place, info).await? {
                Ok(info) => facts
                    .infos
                    .extend(redis::from_redis_value(info).map(ServerInfo)),
                Err(error) => facts.refused(&error, "info", &self.connection().config.namespace),
            }
        }
        for (right, command) in self.trials() {
            if let Err(error) = self.say(command).await? {
                facts.refused(&error, right, &self.connection().config.namespace);
            }
        }
        // Has no effect, because tracking is off on this connection already.
        if !facts.tracking
            && let Err(error) = self.say(tracking("OFF")).await?
        {
            facts.refused(
                &error,
                "client|tracking",
                &self.connection().config.namespace,
            );
        }
        if self.connection().config.topology.moves()
            && let Err(error) = self.say(cmd("ROLE")).await?
        {
            facts.refused(&error, "role", &self.connection().config.namespace);
        }
        if places
            .iter()
            .all(|place| *place != NodeAddress::LocalSession)
            && let Err(error) = self.say(cmd("ASKING")).await?
        {
            facts.refused(&error, "asking", &self.connection().config.namespace);
        }
        Ok(facts)
    }

    async fn places(&self) -> Result<Vec<NodeAddress>, Error> {
        self.refill();
        let topology = self.exchange(|mut handle| async move { handle.transport.topology().await });
        Ok(topology.await?.places)
    }

    /// Sends one command. An error reply of the server is returned as the inner result.
    async fn say(&self, command: Cmd) -> Result<Result<Value, RedisError>, Error> {
        self.say_to(&NodeAddress::LocalSession, command).await
    }

    /// Like [`say`](Self::say), to the server at `place`.
    async fn say_to(
        &self,
        place: &NodeAddress,
        command: Cmd,
    ) -> Result<Result<Value, RedisError>, Error> {
        self.refill();
        self.exchange(|mut handle| async move {
            let said = handle.transport.send_to(place, command).await;
            match said.and_then(Value::extract_error) {
                Ok(value) => Ok(Ok(value)),
                Err(error) if error.code().is_some() => Ok(Err(error)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Returns every command of the cache with the permission that it needs. The commands use keys
    /// of their own and leave none behind.
    fn trials(&self) -> Vec<(&'static str, Cmd)> {
        let namespace = &self.connection().config.namespace;
        let entry = keyspace::check(namespace);
        let lease = format!("{{{entry}}}:lease");
        let config = format!("{entry}:settings");
        let command = |words: &[&str]| {
            let mut command = cmd(words[0]);
            command.arg(&words[1..]);
            command
        };
        vec![
            ("set", command(&["SET", &entry, "1", "PX", "10000"])),
            ("set", command(&["SET", &lease, "1", "PX", "10000"])),
            ("get", command(&["GET", &entry])),
            ("getrange", command(&["GETRANGE", &entry, "0", "9"])),
            ("getex", command(&["GETEX", &entry])),
            ("pttl", command(&["PTTL", &entry])),
            ("pexpire", command(&["PEXPIRE", &entry, "10000"])),
            ("del", command(&["DEL", &entry])),
            ("unlink", command(&["UNLINK", &lease])),
            ("hset", command(&["HSET", &config, "1", "1"])),
            ("hget", command(&["HGET", &config, "1"])),
            ("hlen", command(&["HLEN", &config])),
            ("hscan", command(&["HSCAN", &config, "0"])),
            ("hdel", command(&["HDEL", &config, "1"])),
            ("hgetall", command(&["HGETALL", &config])),
            ("script|load", command(&["SCRIPT", "LOAD", "return 1"])),
            ("evalsha", command(&["EVALSHA", NO_SCRIPT, "1", &lease])),
            ("scan", command(&["SCAN", "0", "COUNT", "1"])),
        ]
    }
}

impl ServerFacts {
    fn refused(&mut self, error: &RedisError, right: &str, namespace: &str) {
        let words = error.detail().unwrap_or_default();
        let missing = match error.code() {
            Some("NOPERM") if words.contains("key") && !words.contains("command") => {
                format!("~{namespace}:* ~{{{namespace}:*")
            }
            Some("NOPERM") => format!("+{right}"),
            // The permission was granted: the server only lacks the script, which is loaded when
            // needed.
            Some("NOSCRIPT") => return,
            Some("MOVED") => return self.elsewhere = true,
            code => {
                let refused = format!("{right}: {} {words}", code.unwrap_or_default());
                return self.refused.push(refused);
            }
        };
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
    }
}

/// Digest of a script that is never loaded. The server checks the permission before it looks the
/// script up.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

fn tracking(how: &str) -> Cmd {
    let mut tracking = cmd("CLIENT");
    tracking.arg("TRACKING").arg(how);
    tracking
}
