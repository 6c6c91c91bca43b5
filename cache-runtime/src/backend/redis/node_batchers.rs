//! The batchers of one connection. Each server has its own, so that a slow server delays only its
//! own commands.

#[cfg(feature = "cluster")]
use crate::process::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(feature = "cluster")]
use std::collections::HashMap;
use std::sync::Arc;
#[cfg(feature = "cluster")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(feature = "cluster")]
use quick_cache::DefaultHashBuilder;
#[cfg(feature = "cluster")]
use redis::cluster_routing::Slot;

use super::batcher::command_batcher::{CommandBatcher, Submission};
use super::batcher::request::BatchRequest;
#[cfg(feature = "cluster")]
use super::cluster_layout::SlotRanges;
use crate::error::Error;

/// The batchers of one connection, one for each server.
pub(super) struct NodeBatchers {
    first: Arc<CommandBatcher>,
    #[cfg(feature = "cluster")]
    cluster: ClusterLanes,
}

/// The batchers of a cluster's other servers.
#[cfg(feature = "cluster")]
#[derive(Default)]
struct ClusterLanes {
    /// Set if keys are on several servers.
    parted: AtomicBool,
    parts: RwLock<SlotTable>,
}

#[cfg(feature = "cluster")]
#[derive(Default)]
struct SlotTable {
    others: Vec<Arc<CommandBatcher>>,
    known: SlotRanges,
    batcher_of: HashMap<Slot, usize, DefaultHashBuilder>,
    open: bool,
    closed: bool,
}

impl NodeBatchers {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            first: Arc::new(CommandBatcher::new(limit)),
            #[cfg(feature = "cluster")]
            cluster: ClusterLanes::default(),
        }
    }

    pub(super) fn first(&self) -> &Arc<CommandBatcher> {
        &self.first
    }

    /// Submits a request of `bytes` bytes to the batcher of its server.
    pub(super) fn begin(&self, request: BatchRequest, bytes: usize) -> Submission {
        #[cfg(feature = "cluster")]
        if self.is_parted() {
            let parts = self.read();
            let batcher = request.slot().and_then(|slot| parts.batcher_of.get(&slot));
            let batcher = batcher.and_then(|batcher| parts.others.get(batcher.checked_sub(1)?));
            return batcher.unwrap_or(&self.first).begin(request, bytes);
        }
        self.first.begin(request, bytes)
    }

    /// Accepts or rejects requests from this call on. If `open` is false, waiting requests fail
    /// with `reason`.
    pub(super) fn set_open(&self, open: bool, reason: impl Fn() -> Error) {
        self.first.set_open(open, &reason);
        #[cfg(feature = "cluster")]
        {
            let mut parts = self.write();
            parts.open = open;
            let others = parts.others.clone();
            drop(parts);
            others
                .iter()
                .for_each(|batcher| batcher.set_open(open, &reason));
        }
    }

    /// Ends all batchers.
    pub(super) fn close(&self) {
        self.first.close();
        #[cfg(feature = "cluster")]
        {
            let mut parts = self.write();
            parts.closed = true;
            let others = parts.others.clone();
            drop(parts);
            others.iter().for_each(|batcher| batcher.close());
        }
    }

    /// Returns `true` if on any server more requests wait than may be in flight.
    pub(super) fn are_crowded(&self) -> bool {
        #[cfg(feature = "cluster")]
        if self
            .read()
            .others
            .iter()
            .any(|batcher| batcher.is_crowded())
        {
            return true;
        }
        self.first.is_crowded()
    }

    /// Returns `true` if new requests to any server would not be sent, although the servers reply.
    pub(super) fn is_stuck(&self) -> bool {
        #[cfg(feature = "cluster")]
        if self.read().others.iter().any(|batcher| batcher.is_stuck()) {
            return true;
        }
        self.first.is_stuck()
    }
}

#[cfg(feature = "cluster")]
impl NodeBatchers {
    /// Returns `true` if keys are on several servers.
    pub(super) fn is_parted(&self) -> bool {
        self.cluster.parted.load(Ordering::Acquire)
    }

    /// Distributes the slots to the servers. Returns the new batchers, whose sending tasks the
    /// caller must start.
    pub(super) fn part(&self, slots: &SlotRanges, limit: Duration) -> Vec<Arc<CommandBatcher>> {
        if self.read().known == *slots {
            return Vec::new();
        }
        let batcher_of: HashMap<_, _, _> = slots.each().collect();
        let count = batcher_of.values().max().map_or(0, |last| last + 1);
        let mut parts = self.write();
        parts.known = slots.clone();
        parts.batcher_of = batcher_of;
        let mut new = Vec::new();
        while parts.others.len() + 1 < count {
            let batcher = Arc::new(CommandBatcher::new(limit));
            batcher.set_open(parts.open, || super::health::unreachable("it is new"));
            if parts.closed {
                batcher.close();
            }
            new.push(Arc::clone(&batcher));
            parts.others.push(batcher);
        }
        self.cluster
            .parted
            .store(!slots.is_empty(), Ordering::Release);
        new
    }

    fn read(&self) -> RwLockReadGuard<'_, SlotTable> {
        self.cluster.parts.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, SlotTable> {
        self.cluster.parts.write()
    }
}
