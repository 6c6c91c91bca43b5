//! The near cache: decoded values in this process. With the Redis backend, the values are copies of
//! entries that pushes from Redis keep coherent. With the memory backend, the values are the
//! entries.

use crate::process::sync::Mutex;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use coarsetime::Instant;
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, OptionsBuilder, Weighter};
use tokio::task::AbortHandle;

use crate::entry::header::LONGEST;
use crate::invalidation::group::{GenerationStamp, HalfStamp};
use crate::invalidation::removed_entries::RemovedEntries;
use crate::key::Key;
use crate::key::fingerprint::Fingerprint;
use crate::key::pattern::KeyPattern;
use crate::process::background;
use crate::telemetry::counter::Counter;
use crate::telemetry::stats::NearCacheStats;
use crate::values::tagged_value::TaggedValue;
use crate::values::value_kind::Erased;

/// The one value of `disabled_reason` in the statistics.
const OFF: &str = "the server pushes no changes (no RESP3, or a proxy between)";

/// Weight of an entry without the value and the text of the key, in bytes: the slot, the structs on
/// the heap, and the overhead of the allocator.
const OVERHEAD: usize = 192;

fn overhead(key: &Key) -> u64 {
    (OVERHEAD + key.as_str().len()) as u64
}

/// Fraction of a shard that quick_cache gives to entries in use; no entry can be larger.
const HOT: f64 = 0.97;

/// Least number of entries per shard; a smaller cache has one shard.
const FEW: usize = 33;

/// Returns the number of shards: four for each processor, or fewer if an entry of `largest` bytes
/// would not fit one shard.
fn shards(bytes: u64, largest: u64) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let room = largest.saturating_add(largest / 16).saturating_add(4_096);
    let most = usize::try_from(bytes / room).unwrap_or(usize::MAX).max(1);
    (processors * 4).next_power_of_two().min(1 << most.ilog2())
}

/// The near cache. Bounded by entries and by bytes; quick_cache's policy decides which entry is
/// evicted.
pub(crate) struct NearCache {
    entries: quick_cache::sync::Cache<CopySlot, NearCopy, Weight, DefaultHashBuilder, CarryOut>,
    /// Largest weight of an entry that fits one shard.
    largest: u64,
    inserted: Counter,
    invalidated: Counter,
    rejected: Counter,
    off: AtomicBool,
    /// Time until which copies are served, in ticks of the coarse clock.
    trusted: AtomicU64,
    /// The task that clears the cache when `near_outage_grace` ends; `None` if no grace runs.
    drift: Mutex<Option<AbortHandle>>,
}

/// A value in the near cache.
#[derive(Clone)]
pub(crate) struct NearCopy {
    pub(crate) value: Erased,
    /// Half of the stamp that the value was stored with. The other half is left out so that an
    /// entry fits two cache lines.
    pub(crate) stamp: HalfStamp,
    /// Time of expiry, on a coarse clock that needs no system call and advances every few
    /// milliseconds.
    until: Instant,
}

/// Slot of an entry. Lookups compare only the fingerprint, so a hit does not read the boxed part.
struct CopySlot {
    fingerprint: Fingerprint,
    apart: Box<Apart>,
}

struct Apart {
    key: Key,
    bytes: u32,
}

impl CopySlot {
    fn again(&self) -> Self {
        Self {
            fingerprint: self.fingerprint,
            apart: Box::new(Apart {
                key: self.apart.key.clone(),
                bytes: self.apart.bytes,
            }),
        }
    }
}

impl Hash for CopySlot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl PartialEq for CopySlot {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for CopySlot {}

impl Equivalent<CopySlot> for Fingerprint {
    fn equivalent(&self, slot: &CopySlot) -> bool {
        *self == slot.fingerprint
    }
}

/// Weigher that enforces both bounds: an entry weighs at least `max_bytes / max_entries`.
#[derive(Clone)]
struct Weight {
    least: u64,
}

impl Weighter<CopySlot, NearCopy> for Weight {
    fn weight(&self, slot: &CopySlot, _: &NearCopy) -> u64 {
        (overhead(&slot.apart.key) + u64::from(slot.apart.bytes)).max(self.least)
    }
}

/// Lifecycle that moves evicted and replaced values out of the lock, because dropping a value runs
/// the user's code.
#[derive(Clone)]
struct CarryOut;

/// Evicted and replaced values. The caller drops the values after it has released every lock.
#[derive(Default)]
#[must_use = "dropping it runs the user's code: under no lock"]
pub(crate) struct Evicted(Vec<(CopySlot, NearCopy)>);

impl Evicted {
    /// Returns the number of values that had not expired.
    pub(crate) fn alive(&self) -> u64 {
        let now = Instant::now();
        self.0.iter().filter(|(_, copy)| copy.until > now).count() as u64
    }
}

impl Lifecycle<CopySlot, NearCopy> for CarryOut {
    type RequestState = Evicted;

    fn on_evict(&self, evicted: &mut Evicted, slot: CopySlot, copy: NearCopy) {
        evicted.0.push((slot, copy));
    }
}

/// Marks an unknown stamp; no stamp has this value.
const UNKNOWN: u64 = 0;

/// The current stamp of a function, as this process knows it. A copy is served only if the copy has
/// this stamp. The stamp is known only while pushes report every change.
#[derive(Default)]
pub(crate) struct KnownStamp(AtomicU64);

impl KnownStamp {
    pub(crate) fn set(&self, stamp: GenerationStamp) {
        self.0.store(stamp.half().0, Ordering::Release);
    }

    /// Forgets the stamp. Returns `true` if it was known.
    pub(crate) fn forget(&self) -> bool {
        self.0.swap(UNKNOWN, Ordering::AcqRel) != UNKNOWN
    }

    #[inline]
    fn is(&self, stamp: HalfStamp) -> bool {
        let current = self.0.load(Ordering::Acquire);
        current == stamp.0 && current != UNKNOWN
    }
}

impl NearCache {
    /// Creates a near cache for `entries` and `bytes`. A value of `largest` bytes fits if `bytes`
    /// is large enough.
    pub(crate) fn new(entries: usize, bytes: u64, largest: u64) -> Self {
        // A small cache has one shard, and its entries must all fit the share for hot entries.
        let share = match entries {
            ..FEW => bytes as f64 * HOT,
            _ => bytes as f64,
        };
        let least = ((share / entries as f64) as u64).max(1);
        let bytes = match entries {
            ..FEW => bytes,
            _ => least * entries as u64,
        };
        let shards = shards(bytes, largest).min((entries / FEW).max(1));
        let mut options = OptionsBuilder::new();
        options
            .estimated_items_capacity(entries)
            .weight_capacity(bytes)
            .hot_allocation(HOT)
            .shards(shards);
        let weight = Weight { least };
        let hasher = DefaultHashBuilder::default();
        let entries = match options.build() {
            Ok(options) => {
                quick_cache::sync::Cache::with_options(options, weight, hasher, CarryOut)
            }
            // Unreachable: building fails only without a capacity.
            Err(_) => quick_cache::sync::Cache::with(entries, bytes, weight, hasher, CarryOut),
        };
        Self {
            largest: (entries.shard_capacity() as f64 * HOT) as u64,
            entries,
            inserted: Counter::default(),
            invalidated: Counter::default(),
            rejected: Counter::default(),
            off: AtomicBool::new(false),
            trusted: AtomicU64::new(u64::MAX),
            drift: Mutex::default(),
        }
    }

    /// Returns the value if it may be served now. Every hit runs this function.
    #[inline]
    pub(crate) fn fresh(&self, fingerprint: &Fingerprint, current: &KnownStamp) -> Option<Erased> {
        let copy = self.entries.get(fingerprint)?;
        (current.is(copy.stamp) && self.is_served(copy.until)).then_some(copy.value)
    }

    /// Returns the value of a call with tags if the value may be served now, like
    /// [`fresh`](Self::fresh).
    pub(crate) fn sealed(&self, fingerprint: &Fingerprint) -> Option<Erased> {
        let copy = self.entries.get(fingerprint)?;
        let sealed = copy.value.downcast_ref::<TaggedValue>()?;
        let fresh = self.is_served(copy.until);
        sealed.open().filter(|_| fresh).cloned()
    }

    /// Returns `true` if a copy that expires at `until` may be served now.
    #[inline]
    fn is_served(&self, until: Instant) -> bool {
        let now = Instant::now();
        until > now && self.trusted.load(Ordering::Relaxed) > now.as_ticks()
    }

    /// Allows copies to be served for `life` from now on. The caller has checked that this process
    /// runs and reads its connections. A `life` of zero stops serving.
    pub(crate) fn trust(&self, life: Duration) {
        let until = match life.is_zero() {
            true => 0,
            false => (Instant::now() + bounded(life)).as_ticks(),
        };
        self.trusted.store(until, Ordering::Relaxed);
    }

    /// Returns the copy of `key` if the copy has not expired. The stamp is not compared.
    pub(crate) fn find(&self, key: &Key) -> Option<NearCopy> {
        // An expired value stays until it is replaced or evicted: a removal here would drop the
        // value under the caller's lock.
        let copy = self.entries.get(key.fingerprint())?;
        (copy.until > Instant::now()).then_some(copy)
    }

    /// Returns the largest size of a value of `key` that fits, in bytes.
    pub(crate) fn most(&self, key: &Key) -> u64 {
        self.largest.saturating_sub(overhead(key))
    }

    /// Inserts a value whose encoded size is `bytes`. Removes the present entry instead if the
    /// value does not fit.
    pub(crate) fn keep(
        &self,
        key: &Key,
        value: Erased,
        stamp: HalfStamp,
        life: Duration,
        bytes: u32,
    ) -> Evicted {
        let mut evicted = Evicted::default();
        if u64::from(bytes) > self.most(key) {
            evicted.0.extend(self.entries.remove(key.fingerprint()));
            return evicted;
        }
        let slot = CopySlot {
            fingerprint: *key.fingerprint(),
            apart: Box::new(Apart {
                key: key.clone(),
                bytes,
            }),
        };
        let copy = NearCopy {
            value,
            stamp,
            until: Instant::now() + bounded(life),
        };
        self.inserted.count();
        self.entries.insert_with_lifecycle(slot, copy, &mut evicted);
        evicted
    }

    pub(crate) fn remove(&self, key: &str) -> Evicted {
        let removed = self.entries.remove(&Fingerprint::of(key));
        if removed.is_some() {
            self.invalidated.count();
        }
        Evicted(removed.into_iter().collect())
    }

    /// Removes the values for which `gone` returns `true`. Returns the values, so that they are
    /// dropped outside the locks.
    fn sweep(&self, gone: impl Fn(&CopySlot, &NearCopy) -> bool) -> Evicted {
        let removed = Mutex::new(Vec::new());
        self.entries.retain(|slot, copy| {
            let gone = gone(slot, copy);
            if gone {
                self.invalidated.count();
                let mut removed = removed.lock();
                removed.push((slot.again(), copy.clone()));
            }
            !gone
        });
        Evicted(removed.into_inner())
    }

    /// Removes the values whose keys match `pattern`. Counts only the values that had not expired.
    pub(crate) fn remove_matching(&self, pattern: &KeyPattern) -> (RemovedEntries, Evicted) {
        let evicted = self.sweep(|slot, _| pattern.matches(&slot.apart.key));
        let now = Instant::now();
        let mut removed = RemovedEntries::default();
        for (slot, _) in evicted.0.iter().filter(|(_, copy)| copy.until > now) {
            removed.entries += 1;
            removed.add_function(slot.apart.key.name());
        }
        (removed, evicted)
    }

    /// Removes the values of `function`.
    pub(crate) fn remove_of(&self, function: &str) {
        drop(self.sweep(|slot, _| slot.apart.key.name() == function));
    }

    pub(crate) fn clear(&self) {
        drop(self.sweep(|_, _| true));
    }

    /// Starts the grace, because pushes no longer arrive: the near cache is cleared after `grace`,
    /// unless [`land`](Self::land) ends the grace before. A running grace is not extended.
    pub(crate) fn drift(self: &Arc<Self>, grace: Duration) {
        let Ok(runtime) = background::handle() else {
            return self.clear();
        };
        let mut drift = self.drift.lock();
        if drift.is_some() {
            // A grace is running already; a later loss does not extend it.
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

    /// Ends the grace. Returns `true` if it was running.
    pub(crate) fn land(&self) -> bool {
        let mut drift = self.drift.lock();
        let end = drift.take();
        if let Some(end) = &end {
            end.abort();
        }
        end.is_some()
    }

    /// Disables the near cache if `off`, or enables it. Returns `true` if the state changed.
    pub(crate) fn switch(&self, off: bool) -> bool {
        self.off.swap(off, Ordering::Relaxed) != off
    }

    /// Counts a copy that was rejected because the server sends no pushes.
    pub(crate) fn refuse(&self) {
        self.rejected.count();
    }

    pub(crate) fn stats(&self) -> NearCacheStats {
        NearCacheStats {
            entries: self.entries.len() as u64,
            weight: self.entries.weight(),
            inserted: self.inserted.get(),
            invalidated: self.invalidated.get(),
            rejected: self.rejected.get(),
            disabled_reason: self.off.load(Ordering::Relaxed).then_some(OFF),
        }
    }
}

impl NearCopy {
    pub(crate) fn left(&self) -> Duration {
        self.until.duration_since(Instant::now()).into()
    }
}

/// Limits `life`, because the coarse clock has only 32 bits for seconds.
fn bounded(life: Duration) -> coarsetime::Duration {
    life.min(LONGEST * 2).into()
}

#[cfg(test)]
mod tests;
