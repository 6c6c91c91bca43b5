//! The registry of the fleet's functions: a hash from each name to its variants.

use std::collections::HashSet;

use redis::{Cmd, Value, cmd};

use super::hash::ENDS;
use super::scripts::SCRIPTS;
use super::session::RedisSession;
use crate::backend::contract::KnownNames;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::process::unique_id::UniqueId;

/// Number of names in one command, because a script can't unpack many thousands.
const BATCH: usize = 1_000;

/// Largest number of names in the registry. Beyond it, the registry holds `*`, and an invalidation
/// by pattern becomes one of everything.
const MOST_NAMES: usize = 100_000;

/// Largest size of a function's variants in bytes; the oldest are dropped first.
const MOST_VARIANTS: usize = 32 << 10;

/// Name that stands for all names without room.
const OTHERS: &[u8] = b"*";

/// Beginning of a restoration's mark among the variants of a function. A process that finds the
/// registry lost leaves a mark, because others may not have noticed the loss yet.
const MARK: char = ':';

impl RedisSession {
    /// Adds a name for the first time in this process.
    pub(super) async fn announce_name(&self, name: &str, variant: &str) -> Result<(), Error> {
        let names = [(name.to_owned(), variant.to_owned())];
        let changes = self.connection().push_handler.names_changes();
        self.announce_names(&names, false).await?;
        self.connection().names.add(name, variant);
        // If the registry is lost between the reply and this moment, no other process restores the
        // name.
        match self.connection().push_handler.names_changes() == changes {
            true => Ok(()),
            false => self.announce_names(&names, true).await,
        }
    }

    /// Adds names; `again` is `true` if they were there before, so that missing ones were lost.
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

    /// Reads all names in pieces, each with a budget of its own. Skips and reports fields that are
    /// not UTF-8, and reads at most twice [`MOST_NAMES`], because a scan may return a field twice.
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
                // A registry that has lost one of our variants may have lost others' too.
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

    /// Returns the command that reads the variants of a call's function.
    pub(super) fn ask_variants(&self, key: &Key) -> Option<Cmd> {
        key.variant()?;
        let mut get = cmd("HGET");
        get.arg(self.connection().config.names_key())
            .arg(key.name());
        Some(get)
    }

    /// Returns the keys of this call in the other variants, and `true` if the registry may have
    /// lost some.
    pub(super) fn other_variants(&self, key: &Key, known: Value) -> (Vec<Key>, bool) {
        let Some(own) = key.variant() else {
            return (Vec::new(), false);
        };
        // An error reply means a key of another type.
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

/// Returns the mark of a restoration among these variants.
fn header(variants: &str) -> Option<&str> {
    variants
        .split(' ')
        .find(|variant| variant.starts_with(MARK))
}
