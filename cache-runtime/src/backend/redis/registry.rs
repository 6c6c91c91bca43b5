//! The registry of the fleet's functions: a hash from each function name to its variants.

use std::collections::HashSet;

use redis::{Cmd, Value, cmd};

use super::hash::ENDS;
use super::scripts::SCRIPTS;
use super::session::RedisSession;
use crate::backend::contract::KnownNames;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::process::unique_id::UniqueId;

/// Maximum number of names in one command, because a Lua script cannot unpack many thousands.
const BATCH: usize = 1_000;

/// Maximum number of names in the registry. Names beyond it are represented by `*`, and an
/// invalidation by pattern then invalidates everything.
const MOST_NAMES: usize = 100_000;

/// Maximum size of the variants of one function, in bytes. The oldest variants are dropped first.
const MOST_VARIANTS: usize = 32 << 10;

/// Field that represents all names beyond [`MOST_NAMES`].
const OTHERS: &[u8] = b"*";

/// First character of a restoration mark, which is stored among the variants of a function. A
/// process that finds names of its own missing leaves a mark when it restores them, because other
/// processes may not have noticed the loss yet.
const MARK: char = ':';

impl RedisSession {
    /// Adds a name for the first time in this process.
    pub(super) async fn announce_name(&self, name: &str, variant: &str) -> Result<(), Error> {
        let names = [(name.to_owned(), variant.to_owned())];
        let changes = self.connection().push_handler.names_changes();
        self.announce_names(&names, false).await?;
        self.connection().names.add(name, variant);
        // If the registry was lost after the script ran and before the name was recorded here, no
        // supervisor restores the name, so it is added again.
        match self.connection().push_handler.names_changes() == changes {
            true => Ok(()),
            false => self.announce_names(&names, true).await,
        }
    }

    /// Adds names to the registry. If `again`, the names were added before, so that each missing
    /// one was lost and gets a restoration mark.
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

    /// Reads all names in pieces, each with a full time budget. Skips and reports fields that are
    /// not UTF-8. Reads at most twice [`MOST_NAMES`], because HSCAN may return a field twice.
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
                // A registry that lacks one variant of this process may lack variants of others.
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

    /// Returns the command that reads the variants of a call's function, or `None` if the key has
    /// no variant.
    pub(super) fn ask_variants(&self, key: &Key) -> Option<Cmd> {
        key.variant()?;
        let mut get = cmd("HGET");
        get.arg(self.connection().config.names_key())
            .arg(key.name());
        Some(get)
    }

    /// Returns the keys of this call in the other variants, and `true` if the registry may have
    /// lost some variants.
    pub(super) fn other_variants(&self, key: &Key, known: Value) -> (Vec<Key>, bool) {
        let Some(own) = key.variant() else {
            return (Vec::new(), false);
        };
        // An error reply means that the registry's key holds another type.
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

/// Returns the restoration mark among these variants.
fn header(variants: &str) -> Option<&str> {
    variants
        .split(' ')
        .find(|variant| variant.starts_with(MARK))
}
