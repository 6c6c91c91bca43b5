use std::time::Duration;

use redis::{Value, cmd};

use super::Way;
use super::look::Looked;
use super::scripts::{SCRIPTS, claimed};
use super::seen::life;
use crate::error::{Error, ErrorKind};
use crate::group::{Group, Stamp};
use crate::key::Key;
use crate::nonce::Nonce;
use crate::pattern::KeyPattern;
use crate::store::{Claim, Claimed, Look, Reach, Read, Stored, Tier, Watch};

/// How often a look is repeated whose generations change while it is under way.
const LOOKS: usize = 5;

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

/// Redis refuses a life of zero.
pub(super) fn millis(life: Duration) -> u64 {
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
