use std::time::Duration;

#[cfg(feature = "cluster")]
use redis::cluster_routing::Slot;
use redis::{Cmd, Value};

#[cfg(feature = "cluster")]
use super::super::cluster_layout::slot_of;
use super::super::raw_entry::RawEntry;
use crate::backend::lookup::ReadMode;
use crate::error::Error;
use crate::key::Key;

/// A request to the server.
pub(in crate::backend::redis) enum BatchRequest {
    /// Reads the entry of a call.
    Lookup(Key, ReadMode),
    /// Sends commands. The commands of each part are about keys of one cluster slot. On a cluster
    /// there is a single part.
    Commands {
        parts: Vec<Vec<Cmd>>,
        count: usize,
        /// Set if the request is sent before others.
        urgent: bool,
    },
}

impl BatchRequest {
    pub(in crate::backend::redis) fn commands(parts: Vec<Vec<Cmd>>, urgent: bool) -> Self {
        let count = parts.iter().map(Vec::len).sum();
        Self::Commands {
            parts,
            count,
            urgent,
        }
    }

    /// Returns the cluster slot of the request's keys.
    #[cfg(feature = "cluster")]
    pub(in crate::backend::redis) fn slot(&self) -> Option<Slot> {
        match self {
            Self::Lookup(key, _) => Some(Slot::for_key(key.as_str())),
            Self::Commands { parts, .. } => slot_of(parts.first()?.first()?),
        }
    }

    pub(super) fn is_urgent(&self) -> bool {
        matches!(self, Self::Commands { urgent: true, .. })
    }
}

/// Reply to a request: an entry, or one value for each command.
pub(in crate::backend::redis) enum BatchReply {
    Entry(RawEntry),
    Values(Vec<Value>),
}

/// Result of a request, and the time that its call has waited for the server.
pub(in crate::backend::redis) struct RequestOutcome {
    pub(in crate::backend::redis) reply: Result<BatchReply, Error>,
    pub(in crate::backend::redis) spent: Duration,
}
