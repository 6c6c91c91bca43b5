//! Periods of disturbance, and the maximum time until an invalidation arrives in a process.

use std::time::Duration;

use crate::record::nanos;

/// Maximum time of an undisturbed push. A push takes less than a millisecond on an idle machine;
/// the limit allows for few cores that the checker itself keeps busy.
const TRAVEL: u64 = nanos(Duration::from_millis(200));

/// Time within which a dead connection is detected: a heartbeat every second, plus its timeout of
/// another second.
pub(crate) const FOUND_OUT: Duration = Duration::from_millis(2_300);

/// Maximum time until an invalidation takes effect, whatever the network does. By then, either a
/// heartbeat has been answered and all earlier pushes have arrived, or the connection is closed and
/// no entry from it is used. The rest allows for a busy machine.
const DEAF: u64 = nanos(Duration::from_millis(3_500));

/// Maximum time until a process has recovered after the last disturbance: the longest pause between
/// two attempts, one attempt, and the delivery of the outbox.
const RECOVERED: u64 = nanos(Duration::from_millis(2_500));

/// A disturbance of one process or of all processes.
#[derive(Clone, Debug)]
pub(crate) struct Disturbance {
    pub(crate) what: String,
    /// Slot of the process; `None` for all processes.
    pub(crate) slot: Option<usize>,
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

/// A period of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

/// Disturbances of one process.
pub(crate) struct Hearing {
    /// Disturbances of any kind, sorted.
    disturbed: Vec<Span>,
    /// Periods in which the process did not run, sorted.
    frozen: Vec<Span>,
}

impl Hearing {
    pub(crate) fn new(slot: usize, disturbances: &[Disturbance], stalls: &[Span]) -> Self {
        let concerned = disturbances
            .iter()
            .filter(|one| one.slot.is_none_or(|of| of == slot))
            .map(|one| Span {
                begin: one.begin,
                end: one.end,
            });
        let mut disturbed: Vec<Span> = concerned.chain(stalls.iter().copied()).collect();
        disturbed.sort();
        let mut frozen = stalls.to_vec();
        frozen.sort();
        Self { disturbed, frozen }
    }

    /// Returns `true` if no disturbance overlaps or closely precedes `now`.
    pub(crate) fn is_clear(&self, now: u64) -> bool {
        // Few spans are long, so the spans around `now` suffice.
        let later = self.disturbed.partition_point(|span| span.begin <= now);
        let near = &self.disturbed[later.saturating_sub(32)..later];
        near.iter().all(|span| span.end + TRAVEL < now)
    }

    /// Time at which the process has delivered its outbox, if it still runs.
    pub(crate) fn recovered(&self, since: u64) -> u64 {
        let calm = |calm: u64, span: &Span| match span.begin < calm + RECOVERED {
            true => calm.max(span.end),
            false => calm,
        };
        self.disturbed.iter().fold(since, calm) + RECOVERED
    }

    /// Time by which an invalidation that returned in another process must take effect in this
    /// process.
    pub(crate) fn of(&self, returned: u64) -> u64 {
        let mut travelled = returned + TRAVEL;
        let mut given_up = returned + DEAF;
        for span in &self.disturbed {
            if span.begin > travelled {
                break;
            }
            if span.end >= returned {
                travelled = travelled.max(span.end + TRAVEL);
            }
        }
        for span in &self.frozen {
            // The clock of a frozen process stood still. Two of its threads may record the same
            // pause.
            if span.begin <= given_up && span.end > returned {
                given_up += span.end - span.begin.max(returned);
            }
        }
        travelled.min(given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn disturbance(slot: Option<usize>, begin: u64, end: u64) -> Disturbance {
        Disturbance {
            what: "test".into(),
            slot,
            begin: begin * MS,
            end: end * MS,
        }
    }

    #[test]
    fn with_nothing_in_the_way_a_push_has_its_travel_time() {
        let others = [disturbance(Some(1), 0, 10_000)];
        let hearing = Hearing::new(0, &others, &[]);
        assert_eq!(hearing.of(1_000 * MS), 1_000 * MS + TRAVEL);
    }

    #[test]
    fn a_disturbance_counts_until_its_end_and_never_beyond_a_deaf_connection() {
        let own = [
            disturbance(Some(0), 900, 1_500),
            disturbance(None, 1_600, 1_700),
        ];
        let hearing = Hearing::new(0, &own, &[]);
        assert_eq!(hearing.of(1_000 * MS), 1_700 * MS + TRAVEL);
        assert_eq!(hearing.of(2_000 * MS), 2_000 * MS + TRAVEL);
        let long = [disturbance(Some(0), 0, 60_000)];
        assert_eq!(
            Hearing::new(0, &long, &[]).of(1_000 * MS),
            1_000 * MS + DEAF
        );
    }

    #[test]
    fn a_process_has_recovered_when_nothing_was_in_its_way_for_a_while() {
        let own = [
            disturbance(Some(0), 0, 500),
            disturbance(Some(0), 1_500, 1_900),
        ];
        let hearing = Hearing::new(0, &own, &[]);
        assert_eq!(hearing.recovered(100 * MS), 1_900 * MS + RECOVERED);
        assert_eq!(hearing.recovered(9_000 * MS), 9_000 * MS + RECOVERED);
    }

    #[test]
    fn a_frozen_process_counts_its_own_frozen_time() {
        let stall = Span {
            begin: 1_100 * MS,
            end: 9_100 * MS,
        };
        let long = [disturbance(Some(0), 0, 60_000)];
        let hearing = Hearing::new(0, &long, &[stall]);
        assert_eq!(hearing.of(1_000 * MS), 9_000 * MS + DEAF);
    }
}
