//! Decoded values in this process: copies of what Redis holds, kept coherent by its pushes, or
//! the entries themselves where there is no server.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coarsetime::Instant;
use quick_cache::sync::DefaultLifecycle;
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};
use tokio::task::AbortHandle;

use crate::background;
use crate::fingerprint::Fingerprint;
use crate::group::{HalfStamp, Stamp};
use crate::key::Key;
use crate::pattern::KeyPattern;
use crate::returns::Erased;
use crate::seal::Sealed;
use crate::stats::{Counter, NearStats};

/// The one reason.
const OFF: &str = "the server tells of no changes (no RESP3, or a proxy between)";

/// What an entry weighs besides its value, in bytes: its slot, its key, the allocator.
const OVERHEAD: usize = 192;

fn overhead(key: &Key) -> u64 {
    (OVERHEAD + key.as_str().len()) as u64
}

/// What share of a shard is for entries that are used: the largest it takes in.
const HOT: f64 = 0.97;

/// Four for each processor, if each has room for `largest`.
fn shards(bytes: u64, largest: u64) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let room = largest.saturating_add(largest / 16).saturating_add(4_096);
    let most = usize::try_from(bytes / room).unwrap_or(usize::MAX).max(1);
    (processors * 4).next_power_of_two().min(1 << most.ilog2())
}

/// Bounded by entries and by bytes; what has not been used for longest goes first.
pub(crate) struct Near {
    entries: quick_cache::sync::Cache<Slot, Kept, Weight>,
    /// What an entry weighs that still has room in one shard.
    largest: u64,
    kept: Counter,
    dropped: Counter,
    refused: Counter,
    off: AtomicBool,
    /// Ends the time that copies outlive the connection that vouched for them.
    drift: Mutex<Option<AbortHandle>>,
}

/// A value as this process holds it.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) value: Erased,
    /// The generations it was stored with. Half of them: an entry shall fit a cache line or two.
    pub(crate) stamp: HalfStamp,
    /// On a clock that is read without a system call, and moves every few milliseconds.
    until: Instant,
}

/// What an entry is found by; the rest of it a hit does not touch.
struct Slot {
    fingerprint: Fingerprint,
    apart: Box<Apart>,
}

struct Apart {
    key: Key,
    bytes: u32,
}

impl Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Slot {}

impl Equivalent<Slot> for Fingerprint {
    fn equivalent(&self, slot: &Slot) -> bool {
        *self == slot.fingerprint
    }
}

/// One weight for both bounds: no entry weighs less than its share of the bytes.
#[derive(Clone)]
struct Weight {
    least: u64,
}

impl Weighter<Slot, Kept> for Weight {
    fn weight(&self, slot: &Slot, _: &Kept) -> u64 {
        (overhead(&slot.apart.key) + u64::from(slot.apart.bytes)).max(self.least)
    }
}

/// What no stamp is taken for.
const UNKNOWN: u64 = 0;

/// The generations of a function as this process knows them: what its copies must have been
/// stored with. Known only while a server would tell of a change.
#[derive(Default)]
pub(crate) struct Current(AtomicU64);

impl Current {
    pub(crate) fn set(&self, stamp: Stamp) {
        self.0.store(stamp.half().0, Ordering::Release);
    }

    pub(crate) fn forget(&self) {
        self.0.store(UNKNOWN, Ordering::Release);
    }

    #[inline]
    fn is(&self, stamp: HalfStamp) -> bool {
        let current = self.0.load(Ordering::Acquire);
        current == stamp.0 && current != UNKNOWN
    }
}

impl Near {
    /// `largest`: what a value takes that there must be room for, if `bytes` allow.
    pub(crate) fn new(entries: usize, bytes: u64, largest: u64) -> Self {
        let least = (bytes / entries as u64).max(1);
        let bytes = least * entries as u64;
        let mut options = OptionsBuilder::new();
        options
            .estimated_items_capacity(entries)
            .weight_capacity(bytes)
            .hot_allocation(HOT)
            .shards(shards(bytes, largest));
        let weight = Weight { least };
        let entries = match options.build() {
            Ok(options) => quick_cache::sync::Cache::with_options(
                options,
                weight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // A capacity is missing, which is not so.
            Err(_) => quick_cache::sync::Cache::with_weighter(entries, bytes, weight),
        };
        Self {
            largest: (entries.shard_capacity() as f64 * HOT) as u64,
            entries,
            kept: Counter::default(),
            dropped: Counter::default(),
            refused: Counter::default(),
            off: AtomicBool::new(false),
            drift: Mutex::default(),
        }
    }

    /// The hit path: a value that may be served at this moment.
    #[inline]
    pub(crate) fn fresh(&self, fingerprint: &Fingerprint, current: &Current) -> Option<Erased> {
        let copy = self.entries.get(fingerprint)?;
        (current.is(copy.stamp) && copy.until > Instant::now()).then_some(copy.value)
    }

    /// As [`fresh`](Self::fresh), of a call with tags.
    pub(crate) fn sealed(&self, fingerprint: &Fingerprint) -> Option<Erased> {
        let copy = self.entries.get(fingerprint)?;
        let sealed = copy.value.downcast_ref::<Sealed>()?;
        let fresh = copy.until > Instant::now();
        sealed.open().filter(|_| fresh).cloned()
    }

    /// What is held, of whichever generation.
    pub(crate) fn find(&self, key: &Key) -> Option<Kept> {
        let fingerprint = key.fingerprint();
        let copy = self.entries.get(fingerprint)?;
        if copy.until > Instant::now() {
            return Some(copy);
        }
        let expired = |copy: &Kept| copy.until <= Instant::now();
        self.entries.remove_if(fingerprint, expired);
        None
    }

    /// What a value of `key` takes at most that can be kept.
    pub(crate) fn most(&self, key: &Key) -> u64 {
        self.largest.saturating_sub(overhead(key))
    }

    /// `bytes`: what the value takes when it is written.
    pub(crate) fn keep(
        &self,
        key: &Key,
        value: Erased,
        stamp: HalfStamp,
        life: Duration,
        bytes: u32,
    ) {
        if u64::from(bytes) > self.most(key) {
            self.entries.remove(key.fingerprint());
            return;
        }
        let slot = Slot {
            fingerprint: *key.fingerprint(),
            apart: Box::new(Apart {
                key: key.clone(),
                bytes,
            }),
        };
        let copy = Kept {
            value,
            stamp,
            until: Instant::now() + bounded(life),
        };
        self.kept.count();
        self.entries.insert(slot, copy);
    }

    pub(crate) fn remove(&self, key: &str) -> bool {
        let removed = self.entries.remove(&Fingerprint::of(key)).is_some();
        if removed {
            self.dropped.count();
        }
        removed
    }

    /// Removes what matches; how many of them were alive.
    pub(crate) fn remove_matching(&self, pattern: &KeyPattern) -> u64 {
        let (now, alive) = (Instant::now(), AtomicU64::new(0));
        self.entries.retain(|slot, copy| {
            let matched = pattern.matches(&slot.apart.key);
            if matched {
                self.dropped.count();
                alive.fetch_add(u64::from(copy.until > now), Ordering::Relaxed);
            }
            !matched
        });
        alive.into_inner()
    }

    /// Removes what is of the function.
    pub(crate) fn remove_of(&self, function: &str) {
        self.entries.retain(|slot, _| {
            let of = slot.apart.key.name() == function;
            if of {
                self.dropped.count();
            }
            !of
        });
    }

    pub(crate) fn clear(&self) {
        self.dropped.add(self.entries.len() as u64);
        self.entries.clear();
    }

    /// Nobody vouches for the copies any more: they are served for `grace`, unless they
    /// [`land`](Self::land) before.
    pub(crate) fn drift(self: &Arc<Self>, grace: Duration) {
        let Ok(runtime) = background::handle() else {
            return self.clear();
        };
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        if drift.is_some() {
            // What has been adrift for longest says how much longer.
            return;
        }
        let near = Arc::downgrade(self);
        let end = background::spawn_on(runtime, async move {
            tokio::time::sleep(grace).await;
            if let Some(near) = near.upgrade() {
                near.clear();
                near.land();
            }
        });
        *drift = Some(end);
    }

    /// Whether they were adrift.
    pub(crate) fn land(&self) -> bool {
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        let end = drift.take();
        if let Some(end) = &end {
            end.abort();
        }
        end.is_some()
    }

    /// The server tells of no changes, so nothing can be kept; or it does again. Whether that is
    /// new.
    pub(crate) fn switch(&self, off: bool) -> bool {
        self.off.swap(off, Ordering::Relaxed) != off
    }

    /// Something would have been kept, if the server told of changes.
    pub(crate) fn refuse(&self) {
        self.refused.count();
    }

    pub(crate) fn stats(&self) -> NearStats {
        NearStats {
            entries: self.entries.len() as u64,
            weight: self.entries.weight(),
            kept: self.kept.get(),
            dropped: self.dropped.get(),
            refused: self.refused.get(),
            off: self.off.load(Ordering::Relaxed).then_some(OFF),
        }
    }
}

impl Kept {
    pub(crate) fn left(&self) -> Duration {
        self.until.duration_since(Instant::now()).into()
    }
}

/// The clock counts in 64 bits, 32 of them seconds.
fn bounded(life: Duration) -> coarsetime::Duration {
    const YEAR: u64 = 365 * 24 * 3_600;
    life.min(Duration::from_secs(YEAR)).into()
}
