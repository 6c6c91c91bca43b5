use crate::fault::Fault;
use crate::trap::Trap;

/// How far an exploration goes, and what is wrong with the protocol in it.
///
/// Every number bounds how often something may happen; when it happens is left to the checker.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Calls that each process makes of the one function.
    pub calls: Vec<u8>,
    /// Connections of each process: the one on recached's own runtime, and perhaps one at home.
    pub links: u8,
    /// Invalidations of the call.
    pub removals: u8,
    /// Invalidations of the function.
    pub changes: u8,
    /// Renewals of a lease that are pushed to those who watch it. (Leases are renewed in any case.)
    pub renewals: u8,
    /// Waiters that lose their patience.
    pub impatience: u8,
    /// Faults.
    pub faults: u8,
    /// The kinds of faults.
    pub kinds: Vec<Fault>,
    /// `true` if the server holds nothing at first, not even a generation.
    pub empty: bool,
    /// `true` if the server pushes what changes.
    pub tracking: bool,
    /// `true` if others get in between the commands of a look, and between a leader's judging what
    /// it has read and its keeping it. Without, there are fewer states.
    pub fine: bool,
    /// How often a look is repeated whose generations change meanwhile; 0 is for ever.
    pub looks: u8,
    /// The release that each process runs, 0 or 1; all the first if empty.
    pub releases: Vec<u8>,
    /// Entries that grow old.
    pub ages: u8,
    /// Computations that fail.
    pub failures: u8,
    /// `true` if the lease is asked for without a look.
    pub claims_first: bool,
    /// The trap that is built in.
    pub trap: Option<Trap>,
}

impl Scope {
    /// Processes that make so many calls each, with nothing invalidated and no fault.
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

    /// With so many invalidations of the call.
    #[must_use]
    pub fn removals(self, removals: u8) -> Self {
        Self { removals, ..self }
    }

    /// With so many invalidations of the function.
    #[must_use]
    pub fn changes(self, changes: u8) -> Self {
        Self { changes, ..self }
    }

    /// With so many renewals that are pushed.
    #[must_use]
    pub fn renewals(self, renewals: u8) -> Self {
        Self { renewals, ..self }
    }

    /// With so many faults of these kinds.
    #[must_use]
    pub fn faults(self, faults: u8, kinds: &[Fault]) -> Self {
        Self {
            faults,
            kinds: kinds.to_vec(),
            ..self
        }
    }

    /// With processes of these releases.
    #[must_use]
    pub fn releases(self, releases: &[u8]) -> Self {
        let releases = releases.to_vec();
        Self { releases, ..self }
    }

    /// With so many entries that grow old, and so many computations that fail.
    #[must_use]
    pub fn failures(self, ages: u8, failures: u8) -> Self {
        Self {
            ages,
            failures,
            ..self
        }
    }

    /// With leases that are asked for without a look.
    #[must_use]
    pub fn claiming_first(self) -> Self {
        Self {
            claims_first: true,
            ..self
        }
    }

    /// The variants that somebody has entries of.
    pub(crate) fn variants(&self) -> std::ops::Range<u8> {
        0..self.releases.iter().max().map_or(1, |most| most + 1)
    }

    /// Returns `true` if there is more than one.
    pub(crate) fn varies(&self) -> bool {
        self.variants().len() > 1
    }

    /// With the protocol built wrong.
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
