use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::key::pattern::decoded;
use crate::telemetry::counter::Counter;
use crate::telemetry::error_stats::{ErrorCounters, ErrorStats};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Counters of one function for some of the threads. The counters have cache lines of their
        /// own, because cores that write to or read from a shared line wait for each other at each
        /// hit.
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

        /// Counters of the calls of one function, or of all functions, since the process began.
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

/// Number of counter sets of one function. A small number suffices, because a program has many
/// functions and few cores call the same function at one time.
const PLACES: usize = 4;

/// Live counters of one function.
#[derive(Default)]
pub(crate) struct Counters([FunctionCounters; PLACES]);

#[cold]
fn next_place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    THREADS.fetch_add(1, Ordering::Relaxed) % PLACES
}

impl Counters {
    /// Returns the counters that this thread increments.
    #[inline]
    pub(crate) fn here(&self) -> &FunctionCounters {
        thread_local! {
            static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        // A thread that is about to end has no thread-locals, and uses the first counters.
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
    /// Calls that were served from this process's memory.
    near_hits,
    /// Calls that were served from Redis.
    redis_hits,
    /// Calls that found no value to serve.
    misses,
    /// Number of times that the cache ran the function, including background refreshes.
    computations,
    /// Calls that joined a flight: a computation or a read that was already running in this
    /// process.
    coalesced,
    /// Calls that waited for a lease of another holder.
    lease_waits,
    /// Calls that were served a stale value, as the function's options allow.
    stale_hits,
    /// Calls that did not consult the cache.
    bypasses,
    /// Values that were stored by hand.
    puts,
    /// Values that were not stored because they are larger than `max_value_size`.
    oversized,
}

impl FunctionStats {
    /// Returns the hit rate, from 0.0 to 1.0: the fraction of the calls that consulted the cache
    /// and got a result without a computation of their own. Returns 0.0 before the first call.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        let hits = self.near_hits + self.redis_hits + self.stale_hits + self.coalesced;
        match hits + self.misses {
            0 => 0.0,
            calls => hits as f64 / calls as f64,
        }
    }
}

/// Statistics of the near cache, which holds decoded values in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearCacheStats {
    /// Number of entries in the near cache, including expired entries.
    pub entries: u64,
    /// Weight of the entries, in bytes: encoded values, keys and overhead. An entry weighs at least
    /// its share of the capacity.
    pub weight: u64,
    /// Number of entries that were inserted.
    pub inserted: u64,
    /// Number of entries that were removed by an invalidation or a lost connection.
    pub invalidated: u64,
    /// Number of entries that were not inserted because the near cache is disabled.
    pub rejected: u64,
    /// Reason if the near cache is disabled.
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

/// A snapshot of the counters, in total and per function. `Display` prints a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sum over all functions.
    pub total: FunctionStats,
    /// Counters of each function, sorted by name.
    pub functions: Vec<(String, FunctionStats)>,
    /// Statistics of the near cache.
    pub near: NearCacheStats,
}

impl Stats {
    pub(crate) fn of(mut functions: Vec<(String, FunctionStats)>, near: NearCacheStats) -> Self {
        functions.sort_by(|a, b| a.0.cmp(&b.0));
        // A name by hand and an annotated function, or two functions, may have the same name. Their
        // counters are added in one row.
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

    /// Returns the counters of the function with this full name; zeros if the function has not been
    /// called.
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
