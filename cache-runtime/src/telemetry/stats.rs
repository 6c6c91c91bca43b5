use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::key::pattern::decoded;
use crate::telemetry::counter::Counter;
use crate::telemetry::error_stats::{ErrorCounters, ErrorStats};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counters of one function for some threads, in cache lines of their own: cores
        /// that count in one line, or read what lies in it, wait for each other at each hit.
        #[derive(Default)]
        #[repr(align(128))]
        pub(crate) struct FunctionCounters {
            $(pub(crate) $name: Counter,)+
            pub(crate) errors: ErrorCounters,
        }

        impl FunctionCounters {
            fn snapshot(&self) -> FunctionStats {
                let error_kinds = self.errors.snapshot();
                FunctionStats {
                    $($name: self.$name.get(),)+
                    errors: error_kinds.total(),
                    error_kinds,
                }
            }
        }

        /// Counters of the calls of one function, or of all of them, since the process
        /// began.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct FunctionStats {
            $($(#[$doc])* pub $name: u64,)+
            /// Operations of the cache that failed. The calls still returned their results.
            pub errors: u64,
            /// Operations of the cache that failed, by kind of error.
            pub error_kinds: ErrorStats,
        }

        impl FunctionStats {
            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
                self.errors += other.errors;
                self.error_kinds.add(&other.error_kinds);
            }
        }
    };
}

/// In how many places a function's calls are counted. A program has many functions, and few cores
/// at the same one at a time.
const PLACES: usize = 4;

/// The live counters of one function.
#[derive(Default)]
pub(crate) struct Counters([FunctionCounters; PLACES]);

#[cold]
fn next_place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    THREADS.fetch_add(1, Ordering::Relaxed) % PLACES
}

impl Counters {
    /// Where this thread counts.
    #[inline]
    pub(crate) fn here(&self) -> &FunctionCounters {
        thread_local! {
            static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        // A thread that is about to end has no place of its own any more.
        let place = PLACE.try_with(Cell::get).unwrap_or(0);
        self.0.get(place).unwrap_or_else(|| {
            let place = next_place();
            let _ = PLACE.try_with(|own| own.set(place));
            &self.0[place]
        })
    }

    pub(crate) fn snapshot(&self) -> FunctionStats {
        let mut all = FunctionStats::default();
        self.0
            .iter()
            .for_each(|counted| all.add(&counted.snapshot()));
        all
    }
}

counters! {
    /// Calls served from this process's memory.
    near_hits,
    /// Calls served by Redis.
    redis_hits,
    /// Calls that found nothing stored.
    misses,
    /// Times the function itself ran on behalf of the cache.
    computations,
    /// Calls that joined a computation or a read already under way in this process.
    coalesced,
    /// Calls that waited for a lease held elsewhere.
    lease_waits,
    /// Calls served past the ttl, on purpose.
    stale_hits,
    /// Calls that did not consult the cache.
    bypasses,
    /// Values that were put by hand, and stored.
    puts,
    /// Values that were not stored because they are larger than `max_value_size`.
    oversized,
}

impl FunctionStats {
    /// The share of consulting calls that were answered without running the function for them,
    /// 0.0 to 1.0; 0.0 before the first call.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        let hits = self.near_hits + self.redis_hits + self.stale_hits + self.coalesced;
        match hits + self.misses {
            0 => 0.0,
            calls => hits as f64 / calls as f64,
        }
    }
}

/// The near cache: decoded values in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearCacheStats {
    /// Entries held at this moment, expired ones included.
    pub entries: u64,
    /// Their weight in bytes: as written, with their keys, and no entry less than its share
    /// of the capacity.
    pub weight: u64,
    /// Entries that were taken in.
    pub inserted: u64,
    /// Entries that an invalidation or a lost connection has removed.
    pub invalidated: u64,
    /// Entries that were not taken in because the tier is off.
    pub rejected: u64,
    /// Why nothing is taken in, if so.
    pub disabled_reason: Option<&'static str>,
}

impl fmt::Display for NearCacheStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entries,
            weight,
            inserted,
            invalidated,
            rejected,
            disabled_reason,
        } = self;
        write!(
            f,
            "near cache: {entries} entries, {weight} bytes, {inserted} inserted, {invalidated} invalidated"
        )?;
        match disabled_reason {
            Some(reason) => write!(f, ", {rejected} rejected: off, because {reason}"),
            None => Ok(()),
        }
    }
}

/// A snapshot of the counters, in total and per function; `Display` prints a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The sum over all functions.
    pub total: FunctionStats,
    /// Each function with its counters, sorted by name.
    pub functions: Vec<(String, FunctionStats)>,
    /// The near cache's.
    pub near: NearCacheStats,
}

impl Stats {
    pub(crate) fn of(mut functions: Vec<(String, FunctionStats)>, near: NearCacheStats) -> Self {
        functions.sort_by(|a, b| a.0.cmp(&b.0));
        // A name by hand and an annotated function's, or two functions of one name: one row.
        functions.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1.add(&later.1);
            }
            same
        });
        let mut total = FunctionStats::default();
        for (_, stats) in &functions {
            total.add(stats);
        }
        Self {
            total,
            functions,
            near,
        }
    }

    /// The counters of one function by its whole name; zeros where it has not been called yet.
    #[must_use]
    pub fn function(&self, name: &str) -> FunctionStats {
        self.functions
            .iter()
            .find(|(function, _)| decoded(function) == decoded(name))
            .map_or_else(FunctionStats::default, |(_, stats)| *stats)
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .functions
            .iter()
            .map(|(name, _)| name.chars().count())
            .fold("function".len(), usize::max);
        writeln!(
            f,
            "{:width$} {:>9} {:>10} {:>8} {:>12} {:>8} {:>11} {:>10} {:>8} {:>8} {:>7} {:>9} {:>8}",
            "function",
            "near hits",
            "redis hits",
            "misses",
            "computations",
            "coalesced",
            "lease waits",
            "stale hits",
            "bypasses",
            "puts",
            "errors",
            "oversized",
            "hit rate"
        )?;
        let total = [("total".to_owned(), self.total)];
        for (name, s) in self.functions.iter().chain(&total) {
            writeln!(
                f,
                "{name:width$} {:>9} {:>10} {:>8} {:>12} {:>8} {:>11} {:>10} {:>8} {:>8} {:>7} {:>9} {:>7.1}%",
                s.near_hits,
                s.redis_hits,
                s.misses,
                s.computations,
                s.coalesced,
                s.lease_waits,
                s.stale_hits,
                s.bypasses,
                s.puts,
                s.errors,
                s.oversized,
                s.hit_rate() * 100.0
            )?;
        }
        if self.total.errors > 0 {
            writeln!(f, "errors: {}", self.total.error_kinds)?;
        }
        writeln!(f, "{}", self.near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_thread_counts_is_in_the_sum() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..PLACES * 2 {
                scope.spawn(|| (0..1_000).for_each(|_| counters.here().near_hits.count()));
            }
        });
        assert_eq!(counters.snapshot().near_hits, 2_000 * PLACES as u64);
    }

    #[test]
    fn the_table_has_a_row_per_function_and_a_total() {
        let counters = Counters::default();
        counters.here().near_hits.count();
        counters.here().near_hits.count();
        counters.here().coalesced.count();
        counters.here().misses.count();
        let stats = Stats::of(
            vec![
                ("app.b".into(), counters.snapshot()),
                ("app.a".into(), counters.snapshot()),
            ],
            NearCacheStats::default(),
        );
        assert_eq!(stats.total.near_hits, 4);
        assert_eq!(stats.function("app.a").hit_rate(), 0.75);
        assert_eq!(stats.function("app.c").hit_rate(), 0.0);
        let table = stats.to_string();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 5);
        assert!(rows[1].starts_with("app.a") && rows[1].ends_with("75.0%"));
        assert!(rows[3].starts_with("total"));
        assert_eq!(
            rows[4],
            "near cache: 0 entries, 0 bytes, 0 inserted, 0 invalidated"
        );
    }
}
