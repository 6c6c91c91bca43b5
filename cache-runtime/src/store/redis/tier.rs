use std::iter;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisResult, Value, cmd};

use super::Way;
use super::link::Line;
use super::scripts::{SCRIPTS, claimed};
use super::wire::Place;
use crate::error::{Error, ErrorKind};
use crate::group::{Group, Stamp};
use crate::key::Key;
use crate::nonce::Nonce;
use crate::pattern::KeyPattern;
use crate::store::{Claim, Claimed, Look, Reach, Read, Stored, Tier, Watch};

/// How often a look is repeated whose generations change while it is under way.
const LOOKS: usize = 5;

/// Keys asked for in one step of a scan, and removed in one command.
const BATCH: usize = 1_000;

/// What a look has found. `None` as the stamp: a group has changed meanwhile.
struct Looked {
    seen: Seen,
    stamp: Option<Stamp>,
}

/// An entry and its remaining life, as far as they were asked for and are there.
#[derive(Default)]
pub(super) struct Seen {
    entry: Option<Vec<u8>>,
    left: Option<Duration>,
}

impl Way {
    /// Asks for what is wanted of `key` and, in the same round trip, for the generations not
    /// known.
    async fn look(&self, groups: &[Group], key: Option<(&Key, Look)>) -> Result<Looked, Error> {
        let generations = &self.inbox.generations;
        if let Some((stamp, version)) = generations.now(groups) {
            let seen = match key {
                None => Seen::default(),
                Some((key, look)) => self.entry(key, look).await?,
            };
            // Looked up again: a push may have come in just before the reply.
            let stamp = match generations.is_still(version) {
                true => Some(stamp),
                false => generations.stamp(groups),
            };
            return Ok(Looked { seen, stamp });
        }
        Box::pin(self.look_further(groups, key)).await
    }

    /// As [`look`](Self::look), where generations have to be asked for.
    async fn look_further(
        &self,
        groups: &[Group],
        key: Option<(&Key, Look)>,
    ) -> Result<Looked, Error> {
        let generations = &self.inbox.generations;
        let most = self.settings.largest_entry();
        self.exchange(|mut line| async move {
            let wanted = if line.tracking {
                match generations.ask(groups, line.epoch) {
                    Some(wanted) => wanted,
                    // Once more, on the connection that came after.
                    None => {
                        let seen = Seen::default();
                        return Ok(Looked { seen, stamp: None });
                    }
                }
            } else {
                (0..groups.len()).map(|place| (place, 0)).collect()
            };
            let generation = |(place, _): &(usize, u64)| {
                let mut get = cmd("GET");
                get.arg(groups[*place].key());
                vec![get]
            };
            let mut parts: Vec<Vec<Cmd>> = wanted.iter().map(generation).collect();
            if let Some((key, look)) = key {
                parts.push(ask(key, look, most).collect());
            }
            let mut replies = line.connection.send_all(parts).await?.into_iter();
            let mut answers = Vec::with_capacity(wanted.len());
            for reply in replies.by_ref().take(wanted.len()) {
                answers.push(bytes(reply)?.and_then(|known| Nonce::from_bytes(&known)));
            }
            let seen = match key {
                Some((_, look)) => seen(&mut replies, look, most)?,
                None => Seen::default(),
            };
            let mut nonces = Vec::with_capacity(answers.len());
            for ((place, _), answer) in wanted.iter().zip(answers) {
                let nonce = match answer {
                    Some(nonce) => nonce,
                    None => match make(&mut line, &groups[*place]).await? {
                        Some(nonce) => nonce,
                        // Not ours: dead until someone invalidates the group.
                        None => return Ok(Looked { seen, stamp: None }),
                    },
                };
                nonces.push(nonce);
            }
            let stamp = if line.tracking {
                generations.settle(groups, &wanted, &nonces);
                generations.stamp(groups)
            } else {
                Some(Stamp::of(nonces))
            };
            Ok(Looked { seen, stamp })
        })
        .await
    }

    pub(super) async fn announce_names(&self, names: &[String]) -> Result<(), Error> {
        let key = self.settings.names_key();
        // A script can't unpack many thousands.
        for batch in names.chunks(BATCH) {
            self.refill();
            let key = key.as_str();
            self.exchange(|mut line| async move {
                let mut call = SCRIPTS.announce.key(key);
                for name in batch {
                    call.arg(name);
                }
                call.invoke_async::<u64>(&mut line.connection).await
            })
            .await?;
        }
        Ok(())
    }

    /// What the fleet has set, all of it.
    pub(super) async fn fleet_settings(&self) -> Result<Vec<(String, String)>, Error> {
        let key = self.settings.settings_key();
        self.exchange(|mut line| async move {
            let mut all = cmd("HGETALL");
            all.arg(key).query_async(&mut line.connection).await
        })
        .await
    }

    pub(crate) async fn change_settings(
        &self,
        fields: &[(String, Option<String>)],
    ) -> Result<(), Error> {
        let key = self.settings.settings_key();
        let key = key.as_str();
        // On the link that hears of changes; in one piece, so that what is given holds them.
        let steady = self.steady();
        let mut told = steady.inbox.listener.settings_told();
        let mut all = steady
            .exchange(|mut line| async move {
                let mut call = SCRIPTS.set.key(key);
                let set = fields
                    .iter()
                    .filter_map(|(field, value)| Some((field, value.as_ref()?)));
                call.arg(set.clone().count());
                for (field, value) in set {
                    call.arg(field).arg(value);
                }
                for (field, _) in fields.iter().filter(|(_, value)| value.is_none()) {
                    call.arg(field);
                }
                call.invoke_async(&mut line.connection).await
            })
            .await?;
        // Another change was told meanwhile; which of the two is the later one?
        while !steady.inbox.listener.settings(told, all) {
            told = steady.inbox.listener.settings_told();
            all = steady.fleet_settings().await?;
        }
        Ok(())
    }

    /// One sweep over the keys that match, on all servers: leases or entries.
    async fn sweep(&self, pattern: &KeyPattern, leases: bool) -> Result<u64, Error> {
        self.refill();
        let places = self.exchange(|mut line| async move { line.connection.places().await });
        let places = places.await?;
        let mut removed = 0;
        for place in &places {
            removed += self.sweep_at(place, pattern, leases).await?;
        }
        // A key that moves from a server that is still to be swept to one that has been is met
        // on the way back.
        for place in places.iter().rev().skip(1) {
            removed += self.sweep_at(place, pattern, leases).await?;
        }
        Ok(removed)
    }

    async fn sweep_at(
        &self,
        place: &Place,
        pattern: &KeyPattern,
        leases: bool,
    ) -> Result<u64, Error> {
        let glob = pattern.redis_match(&self.settings.namespace);
        let glob = glob.as_str();
        let mut cursor = b"0".to_vec();
        let mut removed = 0;
        loop {
            let from = cursor;
            self.refill();
            let (next, found): (Vec<u8>, Vec<Vec<u8>>) = self
                .exchange(|mut line| async move {
                    let mut scan = cmd("SCAN");
                    scan.arg(from)
                        .arg("MATCH")
                        .arg(glob)
                        .arg("COUNT")
                        .arg(BATCH);
                    let found = line.connection.send_to(place, scan).await?;
                    Ok(redis::from_redis_value(found.extract_error()?)?)
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
                self.refill();
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

impl Tier for Way {
    async fn read(&self, key: &Key, groups: &[Group], look: Look) -> Result<Read, Error> {
        for _ in 0..LOOKS {
            let Looked { seen, stamp } = self.look(groups, Some((key, look))).await?;
            if let Some(stamp) = stamp {
                return Ok(Read {
                    entry: seen.entry.map(Stored::Encoded),
                    left: seen.left,
                    stamp,
                });
            }
        }
        Err(unsettled())
    }

    async fn stamp(&self, groups: &[Group]) -> Result<Stamp, Error> {
        for _ in 0..LOOKS {
            if let Some(stamp) = self.look(groups, None).await?.stamp {
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
        // An entry without a life, put there by hand, is of use for ever: its left is -1.
        let beyond = match claimed.beyond.is_zero() {
            true => -2,
            false => i64::try_from(millis(claimed.beyond)).unwrap_or(i64::MAX),
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
                        .arg(replaced)
                        .arg(beyond)
                        .arg(self.settings.largest_entry());
                    call.invoke_async(&mut line.connection).await
                })
                .await?;
            let mut reply = reply.into_iter();
            match (reply.next(), reply.next()) {
                (Some(Value::Int(claimed::GRANTED)), _) => return Ok(Claim::Granted),
                (Some(Value::Int(claimed::FOUND)), Some(Value::BulkString(entry))) => {
                    let left = reply.next().and_then(life).unwrap_or_default();
                    return Ok(Claim::Found(Stored::Encoded(entry), left));
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

    async fn renew(&self, key: &Key, token: Nonce, life: Duration) -> Result<bool, Error> {
        self.refill();
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
    }

    async fn release(&self, key: &Key, token: Nonce) -> Result<(), Error> {
        self.exchange(|mut line| async move {
            let mut call = SCRIPTS.release.key(key.lease());
            call.arg(&token.0);
            call.invoke_async(&mut line.connection).await
        })
        .await
    }

    async fn remove(&self, key: &Key) -> Result<bool, Error> {
        self.exchange(|mut line| async move {
            let unlink = |key: &str| {
                let mut unlink = cmd("UNLINK");
                unlink.arg(key);
                unlink
            };
            let both = vec![unlink(&key.lease()), unlink(key.as_str())];
            let replies = line.connection.send_all(vec![both]).await?;
            let (_, entries): (u64, u64) =
                redis::from_redis_value(Value::Array(replies).extract_error()?)?;
            Ok(entries > 0)
        })
        .await
    }

    async fn change(&self, groups: &[Group]) -> Result<(), Error> {
        self.exchange(|mut line| async move {
            let change = |group: &Group| {
                let mut change = match group.is_tag() {
                    // The next reader makes one that lives as long as it needs.
                    true => cmd("UNLINK"),
                    false => cmd("SET"),
                };
                change.arg(group.key());
                if !group.is_tag() {
                    change.arg(&Nonce::fresh().0);
                }
                vec![change]
            };
            let parts = groups.iter().map(change).collect();
            let replies = line.connection.send_all(parts).await?;
            let told = replies
                .into_iter()
                .try_for_each(|reply| reply.extract_error().map(drop));
            match told {
                // No room for another generation: with none at all, the next reader makes one.
                Err(error) if error.code() == Some("OOM") => {
                    let mut unlink = cmd("UNLINK");
                    for group in groups {
                        unlink.arg(group.key());
                    }
                    unlink.exec_async(&mut line.connection).await
                }
                told => told,
            }
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
        self.steady().announce_names(&name).await
    }
}

// The driver's boxed futures, not its plain ones: those take a kilobyte in every future above.

/// One byte more than an entry may have tells that there are more.
pub(super) fn ask(key: &Key, look: Look, most: u64) -> impl Iterator<Item = Cmd> {
    let mut get = cmd("GETRANGE");
    get.arg(key.as_str()).arg(0).arg(most);
    let life = (look == Look::WithLife).then(|| {
        let mut life = cmd("PTTL");
        life.arg(key.as_str());
        life
    });
    iter::once(get).chain(life)
}

/// The replies to [`ask`].
pub(super) fn seen(
    replies: &mut impl Iterator<Item = Value>,
    look: Look,
    most: u64,
) -> RedisResult<Seen> {
    let entry = replies.next().map(|reply| entry(reply, most));
    let left = match look {
        Look::Entry => None,
        Look::WithLife => replies.next(),
    };
    let left = left.map(Value::extract_error).transpose()?;
    Ok(Seen {
        entry: entry.transpose()?.flatten(),
        left: left.and_then(life),
    })
}

/// What GETRANGE says: nothing where there is none, and more than `most` of one too large.
fn entry(reply: Value, most: u64) -> RedisResult<Option<Vec<u8>>> {
    let usable = |entry: &Vec<u8>| !entry.is_empty() && entry.len() as u64 <= most;
    Ok(bytes(reply)?.filter(usable))
}

/// A PTTL; negative where there is no entry or no expiry.
fn life(reply: Value) -> Option<Duration> {
    match reply {
        Value::Int(left) => u64::try_from(left).ok().map(Duration::from_millis),
        _ => None,
    }
}

/// The generation of a group that had none.
async fn make(line: &mut Line, group: &Group) -> RedisResult<Option<Nonce>> {
    let mut call = SCRIPTS.generation.key(group.key());
    call.arg(&Nonce::fresh().0)
        .arg(group.life().map_or(0, millis));
    let made: Vec<u8> = call.invoke_async(&mut line.connection).await?;
    Ok(Nonce::from_bytes(&made))
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
