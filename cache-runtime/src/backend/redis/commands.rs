use std::time::Duration;

use redis::{Cmd, Value, cmd};

use super::lookup::LookupReply;
use super::raw_entry::{foreign, life, millis};
use super::scripts::{SCRIPTS, call, claimed};
use super::session::RedisSession;
use crate::backend::claim::{ClaimMode, ClaimReply, ClaimRequest, ExistingEntry};
use crate::backend::contract::{Backend, KnownNames};
use crate::backend::lease_watch::LeaseWatch;
use crate::backend::lookup::{Lookup, ReadMode};
use crate::backend::stored_entry::StoredEntry;
use crate::entry::header::is_of_another_call;
use crate::error::{Error, ErrorKind};
use crate::invalidation::group::{GenerationStamp, Group};
use crate::invalidation::removed_entries::RemovedEntries;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::process::unique_id::UniqueId;

/// Attempts at a read or a claim whose generations change in the meantime.
const LOOKS: usize = 5;

impl Backend for RedisSession {
    async fn read(&self, key: &Key, groups: &[Group], look: ReadMode) -> Result<Lookup, Error> {
        for _ in 0..LOOKS {
            let looked = match self.look(groups, Some((key, look))).await {
                Err(error) if self.moves(&error) => continue,
                looked => looked?,
            };
            let LookupReply { seen, stamp } = looked;
            if let Some(stamp) = stamp {
                return Ok(Lookup {
                    entry: seen.entry.map(StoredEntry::Encoded),
                    left: seen.left,
                    stamp,
                });
            }
        }
        Err(unsettled())
    }

    async fn stamp(&self, groups: &[Group]) -> Result<GenerationStamp, Error> {
        for _ in 0..LOOKS {
            match self.look(groups, None).await {
                Ok(LookupReply {
                    stamp: Some(stamp), ..
                }) => return Ok(stamp),
                Err(error) if !self.moves(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Err(unsettled())
    }

    fn watch(&self, key: &Key) -> LeaseWatch {
        self.connection().push_handler.watchers.watch(key)
    }

    async fn claim(&self, claimed: &ClaimRequest<'_>) -> Result<ClaimReply, Error> {
        let mut value = Vec::with_capacity(40);
        value.extend_from_slice(&claimed.token.0);
        value.extend_from_slice(&claimed.header.stamp().0);
        value.extend_from_slice(millis(claimed.life).to_string().as_bytes());
        let reach = match claimed.reach {
            ClaimMode::Normal => "normal",
            ClaimMode::IgnoreEntry => "ignore",
            ClaimMode::Force => "force",
        };
        // An entry without a TTL, written by hand, never expires: its `PTTL` is -1.
        let beyond = match claimed.min_remaining_ttl.is_zero() {
            true => -2,
            false => i64::try_from(millis(claimed.min_remaining_ttl)).unwrap_or(i64::MAX),
        };
        let rest = format!(
            "{beyond} {} {}",
            self.connection().config.largest_entry(),
            u8::from(claimed.respects_pause)
        );
        let lease = claimed.key.lease();
        let mut replace = Vec::new();
        for _ in 0..LOOKS {
            let claim = || {
                let mut claim = call(&SCRIPTS.claim, &[claimed.key.as_str(), &lease], 0);
                claim
                    .arg(&value)
                    .arg(millis(claimed.life))
                    .arg(claimed.header.as_bytes())
                    .arg(reach)
                    .arg(&rest);
                if !replace.is_empty() {
                    claim.arg(&replace);
                }
                claim
            };
            let reply = match self.script(&SCRIPTS.claim, 0, claim).await? {
                Value::Int(claimed::GRANTED) => return Ok(ClaimReply::Granted),
                Value::Array(reply) => reply,
                _ => return Err(self.connection().mixed_up()),
            };
            let mut reply = reply.into_iter();
            match (reply.next(), reply.next()) {
                (Some(Value::Int(claimed::GRANTED)), Some(_)) => {
                    self.connection()
                        .push_handler
                        .listener
                        .damaged(claimed.key.name(), foreign("an entry or a lease"));
                    return Ok(ClaimReply::Granted);
                }
                (Some(Value::Int(claimed::FOUND)), Some(Value::BulkString(entry))) => {
                    if is_of_another_call(&entry, claimed.key) {
                        return Err(self.connection().mixed_up());
                    }
                    let left = reply.next().and_then(life).unwrap_or_default();
                    return Ok(ClaimReply::Found(StoredEntry::Encoded(entry), left));
                }
                (Some(Value::Int(claimed::HELD)), Some(Value::Int(left))) => {
                    let left = u64::try_from(left).unwrap_or(0);
                    return Ok(ClaimReply::Held(Duration::from_millis(left)));
                }
                (Some(Value::Int(claimed::PAUSED)), _) => return Ok(ClaimReply::Paused),
                // Either the holder's generations or the local ones are old: read the generations
                // from Redis.
                (Some(Value::Int(claimed::OTHER_STAMP)), Some(Value::BulkString(held))) => {
                    for group in claimed.groups {
                        self.connection()
                            .push_handler
                            .generations
                            .forget(group.key());
                    }
                    if self.stamp(claimed.groups).await? != claimed.header.stamp() {
                        return Ok(ClaimReply::Stale);
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

    async fn renew(&self, key: &Key, token: UniqueId, life: Duration) -> Result<bool, Error> {
        self.refill();
        let lease = key.lease();
        let renew = || {
            let mut renew = call(&SCRIPTS.renew, &[&lease], 0);
            renew.arg(&token.0).arg(millis(life));
            renew
        };
        self.script(&SCRIPTS.renew, 0, renew)
            .await
            .and_then(|reply| self.is_one(&reply))
    }

    async fn fill(
        &self,
        key: &Key,
        token: UniqueId,
        entry: StoredEntry,
        life: Duration,
        existing: ExistingEntry,
    ) -> Result<bool, Error> {
        let StoredEntry::Encoded(entry) = entry else {
            return Ok(false);
        };
        let pause = match existing {
            ExistingEntry::Replace => None,
            ExistingEntry::Keep { pause } if pause.as_millis() == 0 => Some(0),
            ExistingEntry::Keep { pause } => Some(millis(pause)),
        };
        let lease = key.lease();
        let fill = || {
            let mut fill = call(&SCRIPTS.fill, &[key.as_str(), &lease], entry.len());
            fill.arg(&token.0).arg(&entry).arg(millis(life)).arg(pause);
            fill
        };
        let filled = self.script(&SCRIPTS.fill, entry.len(), fill).await;
        match filled {
            // Sending the script twice is harmless: a second one finds no lease.
            Err(error) if self.moves(&error) => {
                let again = self.script(&SCRIPTS.fill, entry.len(), fill).await;
                again.and_then(|reply| self.is_one(&reply))
            }
            filled => filled.and_then(|reply| self.is_one(&reply)),
        }
    }

    async fn release(&self, key: &Key, token: UniqueId) -> Result<(), Error> {
        let lease = key.lease();
        let release = || {
            let mut release = call(&SCRIPTS.release, &[&lease], 0);
            release.arg(&token.0);
            release
        };
        self.script(&SCRIPTS.release, 0, release).await.map(drop)
    }

    async fn pause(&self, key: &Key, token: UniqueId, pause: Duration) -> Result<(), Error> {
        let lease = key.lease();
        let pause = || {
            let mut call = call(&SCRIPTS.pause, &[&lease], 0);
            call.arg(&token.0).arg(millis(pause));
            call
        };
        self.script(&SCRIPTS.pause, 0, pause).await.map(drop)
    }

    async fn remove(&self, key: &Key) -> Result<u64, Error> {
        match self.remove_once(key).await {
            Err(error) if self.moves(&error) => self.remove_once(key).await,
            removed => removed,
        }
    }

    async fn change(&self, groups: &[Group]) -> Result<(), Error> {
        match self.change_once(groups).await {
            Err(error) if self.moves(&error) => self.change_once(groups).await,
            changed => changed,
        }
    }

    async fn remove_matching(&self, pattern: &KeyPattern) -> Result<RemovedEntries, Error> {
        // Leases first: a computation that is under way when the scan begins either loses its
        // lease here or has stored its entry before the second sweep begins.
        self.sweep(pattern, true).await?;
        self.sweep(pattern, false).await
    }

    async fn functions(&self) -> Result<KnownNames, Error> {
        self.known_names().await
    }

    async fn announce(&self, name: &str, variant: &str) -> Result<(), Error> {
        // On the background connection, which restores the registry: it must be notified of a loss.
        self.background().announce_name(name, variant).await
    }
}

/// Returns the commands that delete a call's lease and entry. The lease comes first, so that a
/// computation under way can no longer store its value.
fn unlink(key: &Key) -> Vec<Cmd> {
    let unlink = |key: &str| {
        let mut unlink = cmd("UNLINK");
        unlink.arg(key);
        unlink
    };
    vec![unlink(&key.lease()), unlink(key.as_str())]
}

impl RedisSession {
    /// Returns `true` if the script reports that it has done its work.
    fn is_one(&self, reply: &Value) -> Result<bool, Error> {
        match reply {
            Value::Int(done) => Ok(*done == 1),
            _ => Err(self.connection().mixed_up()),
        }
    }

    async fn remove_once(&self, key: &Key) -> Result<u64, Error> {
        // Remove the local variant in the same round trip: mostly there is no other variant.
        let asked = self.ask_variants(key);
        let is_asked = asked.is_some();
        let parts = asked.map(|asked| vec![asked]).into_iter();
        let parts = parts.chain([unlink(key)]).collect();
        let mut replies = self
            .exchange(|mut handle| async move { handle.transport.send_all(parts).await })
            .await?;
        let known = match is_asked {
            true => replies.remove(0),
            false => Value::Nil,
        };
        let mut removed = self.unlinked(replies)?;
        let (others, lost) = self.other_variants(key, known);
        if lost {
            // The registry may have lost variants: invalidate the whole function.
            let function = Group::function(&self.connection().config.namespace, key.name());
            self.change(&[function]).await?;
        }
        if !others.is_empty() {
            let parts = others.iter().map(unlink).collect();
            let replies = self
                .exchange(|mut handle| async move { handle.transport.send_all(parts).await })
                .await?;
            removed += self.unlinked(replies)?;
        }
        Ok(removed)
    }

    async fn change_once(&self, groups: &[Group]) -> Result<(), Error> {
        let changed = self.exchange(|mut handle| async move {
            let change = |group: &Group| {
                let mut change = match group.is_tag() {
                    // The next reader creates a generation with the lifetime that the tag needs.
                    true => cmd("UNLINK"),
                    false => cmd("SET"),
                };
                change.arg(group.key());
                if !group.is_tag() {
                    change.arg(&UniqueId::fresh().0);
                }
                vec![change]
            };
            let parts = groups.iter().map(change).collect();
            let replies = handle.transport.send_all(parts).await?;
            let told = replies
                .into_iter()
                .try_for_each(|reply| reply.extract_error().map(drop));
            match told {
                // Redis has no memory for a new generation. Delete the old one: the next reader
                // creates one.
                Err(error) if error.code() == Some("OOM") => {
                    let mut unlink = cmd("UNLINK");
                    for group in groups {
                        unlink.arg(group.key());
                    }
                    unlink.exec_async(&mut handle.transport).await
                }
                told => told,
            }
        });
        changed.await?;
        self.connection().names.changed(groups);
        Ok(())
    }

    /// Returns the number of removed entries. The replies alternate between leases and entries.
    fn unlinked(&self, replies: Vec<Value>) -> Result<u64, Error> {
        let replies = Value::Array(replies).extract_error();
        let counts = replies.and_then(|replies| Ok(redis::from_redis_value::<Vec<u64>>(replies)?));
        let counts = counts.map_err(|error| self.connection().error(&error))?;
        Ok(counts.iter().skip(1).step_by(2).sum())
    }
}

fn unsettled() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the groups of the call were invalidated again and again while it was read",
    )
}
