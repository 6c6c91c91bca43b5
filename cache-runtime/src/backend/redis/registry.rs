//! The fleet's functions: a hash from each name to its variants.

use std::collections::HashSet;

use redis::{Cmd, Value, cmd};

use super::hash::ENDS;
use super::scripts::SCRIPTS;
use super::session::RedisSession;
use crate::backend::contract::KnownNames;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::process::unique_id::UniqueId;

/// Names in one command: a script can't unpack many thousands.
const BATCH: usize = 1_000;

/// Names that the registry holds at most. Beyond, it holds a `*`: an invalidation by pattern is one
/// of everything then.
const MOST_NAMES: usize = 100_000;

/// Bytes of variants that a function has at most; the oldest are dropped first.
const MOST_VARIANTS: usize = 32 << 10;

/// The name that stands for those that found no room.
const OTHERS: &[u8] = b"*";

/// How the mark of a restoration begins, which stands among the variants of a function. Whoever
/// finds that the registry has lost what was there leaves one, because others may not have found it
/// yet.
const MARK: char = ':';

impl RedisSession {
    /// Adds a name for the first time in this process.
    pub(super) async fn announce_name(&self, name: &str, variant: &str) -> Result<(), Error> {
        let names = [(name.to_owned(), variant.to_owned())];
        let changes = self.connection().push_handler.names_changes();
        self.announce_names(&names, false).await?;
        self.connection().names.add(name, variant);
        // Lost between the reply and this moment, it is restored by nobody else.
        match self.connection().push_handler.names_changes() == changes {
            true => Ok(()),
            false => self.announce_names(&names, true).await,
        }
    }

    /// Adds names; `again` if they were there before, and what is missing was lost.
    pub(super) async fn announce_names(
        &self,
        names: &[(String, String)],
        again: bool,
    ) -> Result<(), Error> {
        let key = self.connection().config.names_key();
        let header = match again {
            true => format!("{MARK}{:032x}", u128::from_be_bytes(UniqueId::fresh().0)),
            false => String::new(),
        };
        let header = header.as_str();
        for batch in names.chunks(BATCH) {
            self.refill();
            let key = key.as_str();
            self.exchange(|mut handle| async move {
                let mut call = SCRIPTS.announce.key(key);
                call.arg(MOST_NAMES).arg(MOST_VARIANTS).arg(header);
                for (name, variant) in batch {
                    call.arg(name).arg(variant);
                }
                call.invoke_async::<u64>(&mut handle.transport).await
            })
            .await?;
        }
        Ok(())
    }

    /// All names, read in pieces: each has its own patience. Skips and reports fields that are no
    /// text, and reads no more than twice [`MOST_NAMES`]: a scan may return a field twice.
    pub(super) async fn known_names(&self) -> Result<KnownNames, Error> {
        let key = self.connection().config.names_key();
        let key = key.as_str();
        let mut known = KnownNames::default();
        let mut missing: HashSet<String> = self
            .connection()
            .names
            .announced()
            .into_iter()
            .map(first)
            .collect();
        let (mut read, mut unreadable) = (0, 0);
        let mut cursor = ENDS.to_vec();
        loop {
            let (next, fields) = match self.piece_of_hash(key, cursor).await? {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::warn!(%error, "the functions of the fleet can't be read");
                    known.incomplete = true;
                    return Ok(known);
                }
            };
            let mut fields = fields.into_iter();
            while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
                read += 1;
                if name == OTHERS {
                    known.incomplete = true;
                } else if let Ok(name) = String::from_utf8(name) {
                    missing.remove(&name);
                    let value = String::from_utf8_lossy(&value);
                    known.incomplete |= header(&value)
                        .is_some_and(|header| self.connection().names.is_in_doubt(&name, header));
                    known.names.push(name);
                } else {
                    unreadable += 1;
                }
            }
            let has_ended = next == ENDS;
            if has_ended || read >= 2 * MOST_NAMES {
                // What has lost one of ours has lost others' as well.
                known.incomplete |= !has_ended || !missing.is_empty();
                if unreadable > 0 {
                    let text =
                        format!("{unreadable} names in `{key}` are no text and were skipped");
                    let error = Error::new(ErrorKind::Server, text);
                    self.connection().push_handler.listener.damaged("*", error);
                }
                return Ok(known);
            }
            cursor = next;
        }
    }

    /// Asks for the variants of a call's function.
    pub(super) fn ask_variants(&self, key: &Key) -> Option<Cmd> {
        key.variant()?;
        let mut get = cmd("HGET");
        get.arg(self.connection().config.names_key())
            .arg(key.name());
        Some(get)
    }

    /// The keys of this call in the other variants, by the reply to that, and whether the registry
    /// may have lost some.
    pub(super) fn other_variants(&self, key: &Key, known: Value) -> (Vec<Key>, bool) {
        let Some(own) = key.variant() else {
            return (Vec::new(), false);
        };
        // An error says that something else stands there.
        let known = match known {
            Value::BulkString(known) => String::from_utf8(known).ok(),
            _ => None,
        };
        let text = known.as_deref().unwrap_or_default();
        let has_own = text.split(' ').any(|variant| variant == own);
        let in_doubt = header(text)
            .is_some_and(|header| self.connection().names.is_in_doubt(key.name(), header));
        let lost = in_doubt
            || known.is_none()
            || !has_own && self.connection().names.contains(key.name(), own);
        let others = text.split(' ');
        let others = others.filter(|variant| *variant != own && !variant.starts_with(MARK));
        let others = others.filter_map(|variant| key.in_variant(variant));
        (others.collect(), lost)
    }
}

fn first((name, _): (String, String)) -> String {
    name
}

/// The mark of a restoration among these variants.
fn header(variants: &str) -> Option<&str> {
    variants
        .split(' ')
        .find(|variant| variant.starts_with(MARK))
}
