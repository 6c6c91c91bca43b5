use redis::{Cmd, RedisResult, cmd};

use super::Way;
use super::link::Line;
use super::scripts::SCRIPTS;
use super::seen::{Seen, ask, bytes, is_wrong_type, seen};
use super::tier::{foreign, millis};
use crate::error::Error;
use crate::group::{Group, Stamp};
use crate::key::Key;
use crate::store::Look;
use crate::unique_id::UniqueId;

/// What a look has found. `None` as the stamp: a group has changed meanwhile.
pub(super) struct Looked {
    pub(super) seen: Seen,
    pub(super) stamp: Option<Stamp>,
}

impl Way {
    /// Asks for what is wanted of `key` and, in the same round trip, for the generations not
    /// known.
    pub(super) async fn look(
        &self,
        groups: &[Group],
        key: Option<(&Key, Look)>,
    ) -> Result<Looked, Error> {
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
                let known = match bytes(reply) {
                    Err(error) if is_wrong_type(&error) => None,
                    known => known?,
                };
                answers.push(known.and_then(|known| UniqueId::from_bytes(&known)));
            }
            let seen = match key {
                Some((key, look)) => seen(&mut replies, key, look, most)?,
                None => Seen::default(),
            };
            let mut nonces = Vec::with_capacity(answers.len());
            for ((place, _), answer) in wanted.iter().zip(answers) {
                let nonce = match answer {
                    Some(nonce) => nonce,
                    None => match make(&mut line, &groups[*place]).await? {
                        (Some(nonce), damaged) => {
                            if damaged {
                                let function = groups[*place].function_name().unwrap_or("*");
                                self.inbox
                                    .listener
                                    .damaged(function, foreign("a generation"));
                            }
                            nonce
                        }
                        (None, _) => return Ok(Looked { seen, stamp: None }),
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
}

/// The generation of a group that had none, and whether something else stood there.
pub(super) async fn make(line: &mut Line, group: &Group) -> RedisResult<(Option<UniqueId>, bool)> {
    let mut call = SCRIPTS.generation.key(group.key());
    call.arg(&UniqueId::fresh().0)
        .arg(group.life().map_or(0, millis));
    let (made, damaged): (Vec<u8>, u8) = call.invoke_async(&mut line.connection).await?;
    Ok((UniqueId::from_bytes(&made), damaged == 1))
}
