use std::time::Duration;

use redis::{FromRedisValue, Pipeline, RedisResult, Value, cmd};

use super::Link;
use super::scripts::{SCRIPTS, claimed};
use crate::error::{Error, ErrorKind};
use crate::group::{Group, Stamp};
use crate::key::Key;
use crate::nonce::Nonce;
use crate::pattern::KeyPattern;
use crate::store::{Claim, Claimed, Reach, Read, Stored, Tier, Watch};

/// How often a look is repeated whose generations change while it is under way.
const LOOKS: usize = 5;

/// Keys asked for in one step of a scan, and removed in one command.
const BATCH: usize = 1_000;

impl Link {
    /// Asks for the generations not known and, in the same round trip, for `entry`. `None` as
    /// the stamp: a group has changed meanwhile.
    async fn look(
        &self,
        groups: &[Group],
        entry: Option<&Key>,
    ) -> Result<(Option<Vec<u8>>, Option<Stamp>), Error> {
        let generations = &self.inbox.generations;
        if generations.stamp(groups).is_some() {
            let Some(key) = entry else {
                return Ok((None, generations.stamp(groups)));
            };
            let entry = self
                .exchange(|mut line| async move {
                    let mut get = cmd("GET");
                    get.arg(key.as_str());
                    bytes(line.connection.send_packed_command(&get).await?)
                })
                .await?;
            // Looked up again: a push may have come in just before the reply.
            return Ok((entry, generations.stamp(groups)));
        }
        self.exchange(|mut line| async move {
            let wanted = if line.tracking {
                generations.ask(groups)
            } else {
                groups
                    .iter()
                    .enumerate()
                    .map(|(place, _)| (place, 0))
                    .collect()
            };
            let mut pipeline = Pipeline::with_capacity(wanted.len() + 1);
            for (place, _) in &wanted {
                pipeline.cmd("GET").arg(groups[*place].key());
            }
            if let Some(key) = entry {
                pipeline.cmd("GET").arg(key.as_str());
            }
            let count = wanted.len() + usize::from(entry.is_some());
            let mut replies = if count == 0 {
                Vec::new()
            } else {
                line.connection
                    .send_packed_commands(&pipeline, 0, count)
                    .await?
            };
            let entry = match entry {
                Some(_) => bytes(replies.pop().unwrap_or(Value::Nil))?,
                None => None,
            };
            let mut answers = Vec::with_capacity(wanted.len());
            for ((place, _), reply) in wanted.iter().zip(replies) {
                let answer = bytes(reply)?.and_then(|known| Nonce::from_bytes(&known));
                answers.push(match answer {
                    Some(nonce) => nonce,
                    None => {
                        let script = &SCRIPTS.generation;
                        let mut call = script.key(groups[*place].key());
                        call.arg(&Nonce::fresh().0);
                        let made: Vec<u8> = call.invoke_async(&mut line.connection).await?;
                        match Nonce::from_bytes(&made) {
                            Some(nonce) => nonce,
                            // Not ours: dead until someone invalidates the group.
                            None => return Ok((None, None)),
                        }
                    }
                });
            }
            if line.tracking {
                generations.settle(groups, &wanted, &answers);
                Ok((entry, generations.stamp(groups)))
            } else {
                Ok((entry, Some(Stamp::of(answers))))
            }
        })
        .await
    }

    pub(super) async fn announce_names(&self, names: &[String]) -> Result<(), Error> {
        let key = self.settings.names_key();
        self.exchange(|mut line| async move {
            let mut call = SCRIPTS.announce.key(key);
            for name in names {
                call.arg(name);
            }
            call.invoke_async(&mut line.connection).await
        })
        .await
    }

    /// One sweep over the keys that match: leases or entries.
    async fn sweep(&self, pattern: &KeyPattern, leases: bool) -> Result<u64, Error> {
        let glob = pattern.redis_match(&self.settings.namespace);
        let glob = glob.as_str();
        let mut cursor = b"0".to_vec();
        let mut removed = 0;
        loop {
            let from = cursor;
            let (next, found): (Vec<u8>, Vec<Vec<u8>>) = self
                .exchange(|mut line| async move {
                    let mut scan = cmd("SCAN");
                    scan.arg(from)
                        .arg("MATCH")
                        .arg(glob)
                        .arg("COUNT")
                        .arg(BATCH);
                    scan.query_async(&mut line.connection).await
                })
                .await?;
            let keys: Vec<&[u8]> = found
                .iter()
                .map(Vec::as_slice)
                .filter(|key| {
                    let Ok(key) = std::str::from_utf8(key) else {
                        return false;
                    };
                    match Key::of_lease(key) {
                        Some(entry) => {
                            leases && pattern.matches_text(&self.settings.namespace, entry)
                        }
                        None => !leases && pattern.matches_text(&self.settings.namespace, key),
                    }
                })
                .collect();
            for batch in keys.chunks(BATCH) {
                removed += self
                    .exchange(|mut line| async move {
                        let mut unlink = cmd("UNLINK");
                        unlink.arg(batch);
                        unlink.query_async::<u64>(&mut line.connection).await
                    })
                    .await?;
            }
            if next == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }
}

impl Tier for Link {
    async fn read(&self, key: &Key, groups: &[Group]) -> Result<Read, Error> {
        for _ in 0..LOOKS {
            if let (entry, Some(stamp)) = self.look(groups, Some(key)).await? {
                let entry = entry.map(Stored::Encoded);
                return Ok(Read { entry, stamp });
            }
        }
        Err(unsettled())
    }

    async fn stamp(&self, groups: &[Group]) -> Result<Stamp, Error> {
        for _ in 0..LOOKS {
            if let (_, Some(stamp)) = self.look(groups, None).await? {
                return Ok(stamp);
            }
        }
        Err(unsettled())
    }

    fn watch(&self, key: &Key) -> Watch {
        self.inbox.watchers.watch(key)
    }

    async fn claim(&self, claimed: &Claimed<'_>) -> Result<Claim, Error> {
        let mut value = Vec::with_capacity(32);
        value.extend_from_slice(&claimed.token.0);
        value.extend_from_slice(&claimed.mark.stamp().0);
        let reach = match claimed.reach {
            Reach::Normal => "normal",
            Reach::IgnoreEntry => "ignore",
            Reach::Force => "force",
        };
        let mut replace = Vec::new();
        for _ in 0..LOOKS {
            let (value, replaced) = (&value, &replace);
            let reply: Vec<Value> = self
                .exchange(|mut line| async move {
                    let mut call = SCRIPTS.claim.key(claimed.key.as_str());
                    call.key(claimed.key.lease())
                        .arg(value)
                        .arg(millis(claimed.life))
                        .arg(claimed.mark.as_bytes())
                        .arg(reach)
                        .arg(replaced);
                    call.invoke_async(&mut line.connection).await
                })
                .await?;
            let mut reply = reply.into_iter();
            match (reply.next(), reply.next()) {
                (Some(Value::Int(claimed::GRANTED)), _) => return Ok(Claim::Granted),
                (Some(Value::Int(claimed::FOUND)), Some(Value::BulkString(entry))) => {
                    return Ok(Claim::Found(Stored::Encoded(entry)));
                }
                (Some(Value::Int(claimed::HELD)), Some(Value::Int(left))) => {
                    let left = u64::try_from(left).unwrap_or(0);
                    return Ok(Claim::Held(Duration::from_millis(left)));
                }
                // Either they are behind or we are: ask Redis itself for the generations.
                (Some(Value::Int(claimed::OTHER_STAMP)), Some(Value::BulkString(held))) => {
                    for group in claimed.groups {
                        self.inbox.generations.forget(group.key());
                    }
                    if self.stamp(claimed.groups).await? != claimed.mark.stamp() {
                        return Ok(Claim::Stale);
                    }
                    replace = held;
                }
                _ => break,
            }
        }
        Err(Error::new(
            ErrorKind::Server,
            "redis gave no usable answer to a claim",
        ))
    }

    async fn holds(&self, key: &Key, token: Nonce) -> Result<bool, Error> {
        self.exchange(|mut line| async move {
            let mut get = cmd("GET");
            get.arg(key.lease());
            let held = bytes(line.connection.send_packed_command(&get).await?)?;
            Ok(held.is_some_and(|held| held.starts_with(&token.0)))
        })
        .await
    }

    async fn renew(&self, key: &Key, token: Nonce, life: Duration) -> Result<bool, Error> {
        self.exchange(|mut line| async move {
            let mut call = SCRIPTS.renew.key(key.lease());
            call.arg(&token.0).arg(millis(life));
            call.invoke_async(&mut line.connection).await
        })
        .await
    }

    async fn fill(
        &self,
        key: &Key,
        token: Nonce,
        entry: Stored,
        life: Duration,
    ) -> Result<bool, Error> {
        let Stored::Encoded(entry) = entry else {
            return Ok(false);
        };
        self.exchange(|mut line| async move {
            let mut call = SCRIPTS.fill.key(key.as_str());
            call.key(key.lease())
                .arg(&token.0)
                .arg(entry)
                .arg(millis(life));
            call.invoke_async(&mut line.connection).await
        })
        .await
        .inspect(|_| self.inbox.watchers.notify(key.as_str()))
    }

    async fn release(&self, key: &Key, token: Nonce) -> Result<(), Error> {
        self.exchange(|mut line| async move {
            let mut call = SCRIPTS.release.key(key.lease());
            call.arg(&token.0);
            call.invoke_async(&mut line.connection).await
        })
        .await
        // Under NOLOOP nothing is pushed to those who wait on this very connection.
        .inspect(|()| self.inbox.watchers.notify(key.as_str()))
    }

    async fn put(&self, key: &Key, entry: Stored, life: Duration) -> Result<(), Error> {
        let Stored::Encoded(entry) = entry else {
            return Ok(());
        };
        self.exchange(|mut line| async move {
            let mut call = SCRIPTS.put.key(key.as_str());
            call.key(key.lease()).arg(entry).arg(millis(life));
            call.invoke_async(&mut line.connection).await
        })
        .await
    }

    async fn remove(&self, key: &Key) -> Result<bool, Error> {
        self.exchange(|mut line| async move {
            let mut pipeline = Pipeline::with_capacity(2);
            pipeline.cmd("UNLINK").arg(key.lease());
            pipeline.cmd("UNLINK").arg(key.as_str());
            let replies = line
                .connection
                .send_packed_commands(&pipeline, 0, 2)
                .await?;
            let (_, entries): (u64, u64) =
                redis::from_redis_value(Value::Array(replies).extract_error()?)?;
            Ok(entries > 0)
        })
        .await
    }

    async fn left(&self, key: &Key) -> Result<Option<Duration>, Error> {
        self.exchange(|mut line| async move {
            let mut pttl = cmd("PTTL");
            let left: i64 = pttl
                .arg(key.as_str())
                .query_async(&mut line.connection)
                .await?;
            Ok(u64::try_from(left).ok().map(Duration::from_millis))
        })
        .await
    }

    async fn change(&self, groups: &[Group]) -> Result<(), Error> {
        self.exchange(|mut line| async move {
            let mut pipeline = Pipeline::with_capacity(groups.len());
            for group in groups {
                let generation = Nonce::fresh();
                pipeline.cmd("SET").arg(group.key()).arg(&generation.0);
            }
            if groups.is_empty() {
                return Ok(());
            }
            let replies = line
                .connection
                .send_packed_commands(&pipeline, 0, groups.len())
                .await?;
            replies
                .into_iter()
                .try_for_each(|reply| reply.extract_error().map(drop))
        })
        .await
    }

    async fn remove_matching(&self, pattern: &KeyPattern) -> Result<u64, Error> {
        // Leases first: a computation that is under way when the scan begins either loses its
        // lease here or has stored its entry before the second sweep begins.
        self.sweep(pattern, true).await?;
        self.sweep(pattern, false).await
    }

    async fn functions(&self) -> Result<Vec<String>, Error> {
        let key = self.settings.names_key();
        self.exchange(|mut line| async move {
            let mut members = cmd("SMEMBERS");
            members.arg(key).query_async(&mut line.connection).await
        })
        .await
    }

    async fn announce(&self, name: &str) -> Result<(), Error> {
        self.names.add(name);
        let name = [name.to_owned()];
        // On the link that restores the set: its connection is the one that must hear of a loss.
        self.steady_ref().announce_names(&name).await
    }
}

/// A reply that is a string or nothing.
fn bytes(reply: Value) -> RedisResult<Option<Vec<u8>>> {
    match reply.extract_error()? {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        other => Ok(FromRedisValue::from_redis_value(other)?),
    }
}

/// Redis refuses a life of zero.
fn millis(life: Duration) -> u64 {
    // PX takes a signed 64-bit time that is added to the server's clock.
    u64::try_from(life.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, 1 << 53)
}

fn unsettled() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the groups of the call were invalidated again and again while it was read",
    )
}
