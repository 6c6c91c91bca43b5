use redis::{Cmd, RedisResult, Value, cmd};

use super::raw_entry::{RawEntry, ask, bytes, foreign, is_wrong_type, millis, seen};
use super::scripts::{SCRIPTS, call};
use super::session::RedisSession;
use crate::backend::lookup::ReadMode;
use crate::error::Error;
use crate::invalidation::group::{GenerationStamp, Group};
use crate::key::Key;
use crate::process::unique_id::UniqueId;

/// Result of a lookup. The stamp is `None` if a group has changed during the lookup.
pub(super) struct LookupReply {
    pub(super) seen: RawEntry,
    pub(super) stamp: Option<GenerationStamp>,
}

impl RedisSession {
    /// Reads `key` and, in the same round trip, the generations that are unknown.
    pub(super) async fn look(
        &self,
        groups: &[Group],
        key: Option<(&Key, ReadMode)>,
    ) -> Result<LookupReply, Error> {
        let generations = &self.connection().push_handler.generations;
        if let Some((stamp, version)) = generations.now(groups) {
            let seen = match key {
                None => RawEntry::default(),
                Some((key, look)) => self.entry(key, look).await?,
            };
            // The stamp is computed again if a push has changed a generation just before the reply.
            let stamp = match generations.is_still(version) {
                true => Some(stamp),
                false => generations.stamp(groups),
            };
            return Ok(LookupReply { seen, stamp });
        }
        Box::pin(self.look_further(groups, key)).await
    }

    /// Like [`look`](Self::look), for groups with unknown generations.
    async fn look_further(
        &self,
        groups: &[Group],
        key: Option<(&Key, ReadMode)>,
    ) -> Result<LookupReply, Error> {
        let generations = &self.connection().push_handler.generations;
        let handle = match self.connection().handle_now() {
            Some(handle) => handle?,
            // The connection is not established yet.
            None => self.exchange(|handle| async move { Ok(handle) }).await?,
        };
        let wanted = if handle.tracking {
            match generations.ask(groups, handle.epoch) {
                Some(wanted) => wanted,
                // The connection was replaced: the caller tries again on the next one.
                None => return Ok(LookupReply::unsettled(RawEntry::default())),
            }
        } else {
            (0..groups.len()).map(|place| (place, 0)).collect()
        };
        let generation = |(place, _): &(usize, u64)| {
            let mut get = cmd("GET");
            get.arg(groups[*place].key());
            vec![get]
        };
        let most = self.connection().config.largest_entry();
        let mut parts: Vec<Vec<Cmd>> = wanted.iter().map(generation).collect();
        if let Some((key, look)) = key {
            parts.push(ask(key, look, most).collect());
        }
        let replies = self.commands(parts, 0, false).await?;
        let mut replies = replies.into_iter().map(Ok);
        let read = read_all(&mut replies, wanted.len(), key, most);
        let (answers, seen) = read.map_err(|error| self.connection().error(&error))?;
        let mut nonces = Vec::with_capacity(answers.len());
        for ((place, _), answer) in wanted.iter().zip(answers) {
            let group = &groups[*place];
            // Another task may have created the generation since the request: the known one is
            // valid.
            let answer = answer.or_else(|| match handle.tracking {
                true => generations.nonce(group),
                false => None,
            });
            let nonce = match answer {
                Some(nonce) => Some(nonce),
                None => self.make(group).await?,
            };
            match nonce {
                Some(nonce) => nonces.push(nonce),
                None => return Ok(LookupReply::unsettled(seen)),
            }
        }
        let stamp = if handle.tracking {
            generations.settle(groups, &wanted, &nonces);
            generations.stamp(groups)
        } else {
            Some(GenerationStamp::of(nonces))
        };
        Ok(LookupReply { seen, stamp })
    }

    /// Creates the generation of a group. Returns `None` if the reply is not a generation.
    async fn make(&self, group: &Group) -> Result<Option<UniqueId>, Error> {
        let nonce = UniqueId::fresh().0;
        let make = || {
            let mut make = call(&SCRIPTS.generation, &[group.key()], 0);
            make.arg(&nonce).arg(group.life().map_or(0, millis));
            make
        };
        let reply = self.script(&SCRIPTS.generation, 0, make).await?;
        let (made, damaged): (Vec<u8>, u8) = redis::from_redis_value(reply)
            .map_err(|error| self.connection().error(&error.into()))?;
        if damaged == 1 {
            let function = group.function_name().unwrap_or("*");
            self.connection()
                .push_handler
                .listener
                .damaged(function, foreign("a generation"));
        }
        Ok(UniqueId::from_bytes(&made))
    }
}

impl LookupReply {
    fn unsettled(seen: RawEntry) -> Self {
        Self { seen, stamp: None }
    }
}

/// Parses the replies about generations and an entry.
fn read_all(
    replies: &mut impl Iterator<Item = RedisResult<Value>>,
    generations: usize,
    key: Option<(&Key, ReadMode)>,
    most: u64,
) -> RedisResult<(Vec<Option<UniqueId>>, RawEntry)> {
    let mut answers = Vec::with_capacity(generations);
    for reply in replies.by_ref().take(generations) {
        let known = match bytes(reply?) {
            Err(error) if is_wrong_type(&error) => None,
            known => known?,
        };
        answers.push(known.and_then(|known| UniqueId::from_bytes(&known)));
    }
    let seen = match key {
        Some((key, look)) => seen(replies, key, look, most)?,
        None => RawEntry::default(),
    };
    Ok((answers, seen))
}
