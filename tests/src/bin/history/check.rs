//! Checks every read against G1, G2 and G7: no read returns a value older than an invalidation that
//! returned before the read began, in the same process, or in another process and has taken effect
//! in this process.

use std::collections::BTreeMap;

use crate::disturbance::{Disturbance, Hearing, Span};
use crate::record::{Kind, Record};
use crate::registers::COUNT;

/// Records of one process, from its start to its end.
pub(crate) struct Process {
    pub(crate) slot: usize,
    pub(crate) records: Vec<Record>,
}

/// An invalidation as seen by all processes.
#[derive(Clone, Copy)]
struct ReceivedEvents {
    process: usize,
    record: Record,
    /// Time at which the server received the invalidation; `None` if the process ended before.
    delivered: Option<u64>,
}

/// Lower bound on versions: from `due` on, no read may return less than `version`.
#[derive(Clone, Copy)]
struct Floor {
    due: u64,
    version: u64,
    told: ReceivedEvents,
}

pub(crate) struct Violation {
    process: usize,
    read: Record,
    /// The violated bound; `None` if the value belongs to another register.
    floor: Option<Floor>,
}

/// Result of the check.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) counts: BTreeMap<Kind, u64>,
    pub(crate) failed: u64,
    pub(crate) near_hits: u64,
    pub(crate) slowest: u64,
    /// Number of undisturbed reads.
    pub(crate) clear: u64,
    pub(crate) violations: Vec<Violation>,
}

pub(crate) fn check(processes: &[Process], disturbances: &[Disturbance]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut told: Vec<Vec<ReceivedEvents>> = vec![Vec::new(); COUNT as usize];
    let mut hearings = Vec::new();
    for (process, Process { slot, records }) in processes.iter().enumerate() {
        let stalls = spans(records, Kind::Stall);
        hearings.push(Hearing::new(*slot, disturbances, &stalls));
        let last = records.last().map_or(0, |record| record.end);
        for record in records.iter().filter(|one| one.kind.is_invalidation()) {
            let record = *record;
            let delivered = match record.ok {
                true => Some(record.end),
                // The invalidation waits in the outbox and is lost if the process ends.
                false => Some(hearings[process].recovered(record.end)).filter(|at| *at <= last),
            };
            told[record.register as usize].push(ReceivedEvents {
                process,
                record,
                delivered,
            });
            verdict.failed += u64::from(!record.ok);
        }
    }
    for (place, process) in processes.iter().enumerate() {
        let stalls = spans(&process.records, Kind::Stall);
        let hearing = &hearings[place];
        let floors: Vec<Vec<Floor>> = told
            .iter()
            .map(|told| floors(place, hearing, told))
            .collect();
        let mut hits = 0;
        for record in &process.records {
            *verdict.counts.entry(record.kind).or_default() += 1;
            match record.kind {
                Kind::Hits => hits = record.version,
                Kind::Foreign => verdict.violations.push(Violation {
                    process: place,
                    read: *record,
                    floor: None,
                }),
                kind if kind.is_read() => {
                    verdict.clear += u64::from(hearing.is_clear(record.begin));
                    let during =
                        |stall: &Span| stall.begin < record.end && stall.end > record.begin;
                    if !stalls.iter().any(during) {
                        verdict.slowest = verdict.slowest.max(record.end - record.begin);
                    }
                    let floors = &floors[record.register as usize];
                    let due = floors.partition_point(|floor| floor.due < record.begin);
                    let floor = due.checked_sub(1).map(|last| floors[last]);
                    if floor.is_some_and(|floor| record.version < floor.version) {
                        verdict.violations.push(Violation {
                            process: place,
                            read: *record,
                            floor,
                        });
                    }
                }
                _ => {}
            }
        }
        verdict.near_hits += hits;
    }
    verdict
}

fn spans(records: &[Record], kind: Kind) -> Vec<Span> {
    let of_kind = records.iter().filter(|record| record.kind == kind);
    let span = |record: &Record| Span {
        begin: record.begin,
        end: record.end,
    };
    of_kind.map(span).collect()
}

/// Bounds sorted by their due time, each with the highest version so far.
fn floors(process: usize, hearing: &Hearing, told: &[ReceivedEvents]) -> Vec<Floor> {
    let floor = |told: &ReceivedEvents| {
        let due = match told.process == process {
            // The bound holds even if Redis was unreachable (G7).
            true => told.record.end,
            false => hearing.of(told.delivered?),
        };
        Some(Floor {
            due,
            version: told.record.version,
            told: *told,
        })
    };
    let mut floors: Vec<Floor> = told.iter().filter_map(floor).collect();
    floors.sort_by_key(|floor| floor.due);
    for place in 1..floors.len() {
        let before = floors[place - 1];
        if before.version > floors[place].version {
            floors[place].version = before.version;
            floors[place].told = before.told;
        }
    }
    floors
}

impl Violation {
    /// Describes the read, the violated bound, and the records and disturbances around them.
    pub(crate) fn tell(&self, processes: &[Process], disturbances: &[Disturbance]) -> String {
        let read = self.read;
        let slot = |process: usize| processes[process].slot;
        let ms = |at: u64| format!("{:+.3} ms", (at as f64 - read.begin as f64) / 1e6);
        let line = |process: usize, one: &Record| {
            format!(
                "  {} .. {}  process {process} (slot {})  {:?} of register {} {} version {}\n",
                ms(one.begin),
                ms(one.end),
                slot(process),
                one.kind,
                one.register,
                if one.ok { "with" } else { "FAILED with" },
                one.version
            )
        };
        let mut text = format!(
            "violation; times from the read's beginning:\n{}",
            line(self.process, &read)
        );
        let Some(floor) = self.floor else {
            return text + "  the value is of another register\n";
        };
        text += &format!(
            " after, due at {}:\n{}",
            ms(floor.due),
            line(floor.told.process, &floor.told.record)
        );
        let since = floor.told.record.begin.saturating_sub(1_000_000_000);
        text += " in the way:\n";
        for one in disturbances {
            let concerns = one.slot.is_none_or(|of| of == slot(self.process));
            if concerns && one.end >= since && one.begin <= read.end {
                text += &format!("  {} .. {}  {}\n", ms(one.begin), ms(one.end), one.what);
            }
        }
        text += " invalidations of the register, and the reads next to this one:\n";
        let mut around = Vec::new();
        for (process, Process { records, .. }) in processes.iter().enumerate() {
            let near = records.iter().filter(|one| {
                let reads = one.kind.is_read()
                    && process == self.process
                    && one.begin.abs_diff(read.begin) < 30_000_000;
                one.register == read.register
                    && (reads || one.kind.is_invalidation())
                    && one.end >= since
                    && one.begin <= read.end + 30_000_000
            });
            around.extend(near.map(|one| (one.begin, line(process, one))));
        }
        around.sort();
        let skipped = around.len().saturating_sub(40);
        around.drain(..skipped);
        around
            .into_iter()
            .fold(text, |text, (_, line)| text + &line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn record(kind: Kind, begin: u64, end: u64, version: u64) -> Record {
        Record {
            kind,
            register: 3,
            ok: true,
            begin: begin * MS,
            end: end * MS,
            version,
        }
    }

    fn found(records: Vec<Record>, other: Vec<Record>) -> usize {
        let processes = [
            Process { slot: 0, records },
            Process {
                slot: 1,
                records: other,
            },
        ];
        check(&processes, &[]).violations.len()
    }

    #[test]
    fn in_its_own_process_an_invalidation_holds_once_it_has_returned() {
        let told = record(Kind::Entry, 10, 20, 5);
        let old = |begin| record(Kind::Read, begin, begin + 1, 4);
        assert_eq!(found(vec![told, old(19)], vec![]), 0);
        assert_eq!(found(vec![told, old(21)], vec![]), 1);
        assert_eq!(found(vec![told, record(Kind::Read, 21, 22, 5)], vec![]), 0);
    }

    #[test]
    fn elsewhere_it_holds_once_it_has_travelled() {
        let told = vec![
            record(Kind::Keys, 10, 20, 5),
            record(Kind::Entry, 30, 40, 2),
        ];
        let old = |begin| vec![record(Kind::Refresh, begin, begin + 1, 4)];
        assert_eq!(found(old(200), told.clone()), 0);
        assert_eq!(found(old(1_000), told), 1);
    }

    #[test]
    fn a_failed_invalidation_holds_in_its_own_process_at_once() {
        let mut told = record(Kind::Everything, 10, 20, 5);
        told.ok = false;
        let old = record(Kind::Read, 21, 22, 4);
        assert_eq!(found(vec![told, old], vec![]), 1);
    }

    #[test]
    fn a_failed_invalidation_holds_elsewhere_if_its_process_has_lived_to_tell_it() {
        let mut told = record(Kind::Function, 10, 20, 5);
        told.ok = false;
        let old = record(Kind::Read, 60_000, 60_001, 4);
        let alive = record(Kind::Hits, 50_000, 50_000, 0);
        assert_eq!(found(vec![old], vec![told]), 0);
        assert_eq!(found(vec![old], vec![told, alive]), 1);
    }

    #[test]
    fn a_value_of_another_register_is_a_violation() {
        assert_eq!(found(vec![record(Kind::Foreign, 1, 2, 0)], vec![]), 1);
    }
}
