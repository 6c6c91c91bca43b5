use crate::fault::Fault;
use crate::trap::Trap;

/// The bounds of an exploration, and the mistake that is built into the protocol.
///
/// Every number bounds how often something may happen; the checker tries every possible time.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Number of calls per process.
    pub calls: Vec<u8>,
    /// Connections per process: the background connection, and optionally a runtime connection.
    pub links: u8,
    /// Invalidations of the call.
    pub removals: u8,
    /// Invalidations of the function.
    pub changes: u8,
    /// Lease renewals that are pushed to the processes watching the lease. Leases are renewed in
    /// any case.
    pub renewals: u8,
    /// Waiters that stop waiting for the lease.
    pub impatience: u8,
    /// Number of faults.
    pub faults: u8,
    /// Kinds of faults.
    pub kinds: Vec<Fault>,
    /// `true` if the server stores nothing at first, not even a generation.
    pub empty: bool,
    /// `true` if the server pushes changes.
    pub tracking: bool,
    /// `true` if other steps may interleave with the two commands of a read, and may happen between
    /// a leader's check of a read value and its insertion into the near cache. `false` means fewer
    /// states.
    pub fine: bool,
    /// Maximum number of reads while generations change; 0 means no limit.
    pub looks: u8,
    /// Release of each process, 0 or 1; an empty list means release 0 for all.
    pub releases: Vec<u8>,
    /// Entries that pass their ttl.
    pub ages: u8,
    /// Computations that fail.
    pub failures: u8,
    /// `true` if calls claim the lease without reading the entry first.
    pub claims_first: bool,
    /// The mistake that is built in.
    pub trap: Option<Trap>,
}

impl Scope {
    /// A scope with this number of calls per process, without invalidations and faults.
    #[must_use]
    pub fn of(calls: &[u8]) -> Self {
        Self {
            calls: calls.to_vec(),
            links: 1,
            removals: 0,
            changes: 0,
            renewals: 0,
            impatience: 0,
            faults: 0,
            kinds: Vec::new(),
            empty: false,
            tracking: true,
            fine: false,
            looks: 0,
            releases: Vec::new(),
            ages: 0,
            failures: 0,
            claims_first: false,
            trap: None,
        }
    }

    /// Sets the number of invalidations of the call.
    #[must_use]
    pub fn removals(self, removals: u8) -> Self {
        Self { removals, ..self }
    }

    /// Sets the number of invalidations of the function.
    #[must_use]
    pub fn changes(self, changes: u8) -> Self {
        Self { changes, ..self }
    }

    /// Sets the number of renewals that are pushed.
    #[must_use]
    pub fn renewals(self, renewals: u8) -> Self {
        Self { renewals, ..self }
    }

    /// Sets the number of faults and their kinds.
    #[must_use]
    pub fn faults(self, faults: u8, kinds: &[Fault]) -> Self {
        Self {
            faults,
            kinds: kinds.to_vec(),
            ..self
        }
    }

    /// Sets the release of each process.
    #[must_use]
    pub fn releases(self, releases: &[u8]) -> Self {
        let releases = releases.to_vec();
        Self { releases, ..self }
    }

    /// Sets the number of entries that pass their ttl and the number of computations that fail.
    #[must_use]
    pub fn failures(self, ages: u8, failures: u8) -> Self {
        Self {
            ages,
            failures,
            ..self
        }
    }

    /// Makes calls claim the lease without reading the entry first.
    #[must_use]
    pub fn claiming_first(self) -> Self {
        Self {
            claims_first: true,
            ..self
        }
    }

    /// Variants that may have entries.
    pub(crate) fn variants(&self) -> std::ops::Range<u8> {
        0..self.releases.iter().max().map_or(1, |most| most + 1)
    }

    /// Returns `true` if there is more than one variant.
    pub(crate) fn varies(&self) -> bool {
        self.variants().len() > 1
    }

    /// Builds a mistake into the protocol.
    #[must_use]
    pub fn with(self, trap: Trap) -> Self {
        Self {
            trap: Some(trap),
            ..self
        }
    }

    pub(crate) fn falls_for(&self, trap: Trap) -> bool {
        self.trap == Some(trap)
    }
}
