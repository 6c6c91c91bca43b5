use std::time::{Duration, Instant};

use redis::{Cmd, RedisError, Value, cmd};

use super::cluster_layout::NodeAddress;
use super::pool::field;
use super::session::RedisSession;
use super::topology::Topology;
use crate::error::Error;
use crate::key::keyspace;

/// Round trips of which the median is taken.
const PINGS: usize = 11;

/// Facts about a server, and the rights of the user.
pub(crate) struct ServerFacts {
    /// Of each primary: lines of INFO, one `name:value` each. Empty if INFO is refused.
    infos: Vec<ServerInfo>,
    /// 3 or 2.
    pub(crate) protocol: i64,
    pub(crate) tracking: bool,
    pub(crate) primaries: usize,
    pub(crate) round_trip: Duration,
    /// The rights that the user lacks, as a rule of an access list has them.
    pub(crate) missing: Vec<String>,
    /// Other refusals of the server, in its own words.
    pub(crate) refused: Vec<String>,
    /// It sends us elsewhere: it is one of several, and is taken for the only one.
    pub(crate) elsewhere: bool,
    /// Its connections are the program's own.
    pub(crate) lent: bool,
}

/// The INFO of one server.
pub(crate) struct ServerInfo(String);

impl ServerInfo {
    /// One line of it.
    pub(crate) fn of(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().filter_map(|handle| handle.split_once(':'));
        let (_, value) = lines.find(|(known, _)| *known == name)?;
        Some(value.trim())
    }
}

impl ServerFacts {
    /// Of each primary that tells.
    pub(crate) fn infos(&self) -> &[ServerInfo] {
        &self.infos
    }
}

impl RedisSession {
    /// Asks the server about itself, and tries all that the cache will need.
    pub(crate) async fn facts(&self) -> Result<ServerFacts, Error> {
        // Also while invalidations wait: what keeps them waiting is the answer.
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
        // Ends nothing: it is for those who are not tracked.
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

    /// Sends one command; what the server answers to it is no error of the connection.
    async fn say(&self, command: Cmd) -> Result<Result<Value, RedisError>, Error> {
        self.say_to(&NodeAddress::LocalSession, command).await
    }

    /// As [`say`](Self::say), to this server.
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

    /// All that the cache sends, on keys that nobody else uses, in an order that leaves nothing
    /// behind: each with the right that it takes.
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
            // A script that nobody has loaded is loaded when it is needed.
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

/// The digest of nothing that anybody has loaded: whether it may be run is asked first.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";

fn tracking(how: &str) -> Cmd {
    let mut tracking = cmd("CLIENT");
    tracking.arg("TRACKING").arg(how);
    tracking
}
