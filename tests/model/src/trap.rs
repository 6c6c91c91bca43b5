/// A mistake that others have made, or that we nearly made. Put back in, each breaks a guarantee.
///
/// Of the design's traps these can't be expressed here: what costs time and not truth (a checkout
/// that pings, `KEYS`, one huge `DEL`, waiters that poll, deadlines while the server is away),
/// because the model has no clock; what mixes up calls (names alone as keys, globs), because it
/// has one call; and what goes wrong inside an executor (a leader that is no longer polled,
/// recursion that waits for itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// Generations are counters: after an eviction they start again, and old entries with them.
    CountingGenerations,
    /// The fill does not look at the lease's token.
    FillUnchecked,
    /// The stamp is read after computing and not before.
    StampedAfterwards,
    /// Entries are served whatever their stamp.
    StampIgnored,
    /// A value that was read is kept although a push has arrived meanwhile.
    KeptUnguarded,
    /// A generation is kept although a push or a disconnection has overtaken its reply.
    FetchUnguarded,
    /// Tracking is on with `NOLOOP`: silence about keys evicted while a command of ours runs.
    NoLoop,
    /// Leases are not renewed.
    NeverRenewed,
    /// An invalidation does not reach the process's own copies and flights.
    OwnCopiesForgotten,
    /// An invalidation reaches the process's own copies but not its flights.
    OwnFlightsForgotten,
    /// After a disconnection everything is kept.
    ReconnectedUnchanged,
    /// A flight takes joiners after its call or its group was invalidated.
    InvalidatedJoined,
    /// A leader answers from what it read before a push that a joiner has seen.
    TouchIgnored,
    /// A lease is released whoever holds it.
    ReleaseUnchecked,
    /// Whoever waited computes when the holder is gone.
    AllSucceed,
    /// An invalidation removes the entry first and the lease second.
    EntryFirst,
    /// The claim does not look at the entry again.
    LookedOnce,
    /// The claim does not read the lease that it has taken, so that no push about it arrives.
    LeaseUnread,
    /// A waiter begins to listen only once it sleeps.
    DeafUntilAsleep,
    /// A flight whose lease has changed takes joiners until the server was asked whether the
    /// lease is gone or was only renewed.
    LeaseAskedFirst,
    /// Without pushes, a flight takes joiners while its leader waits, although nothing tells it
    /// that its generation is gone.
    WaitingOpen,
    /// A flight that a broken connection has cut off takes joiners that come by another.
    CutOffOpen,
    /// An invalidation removes the entry of its own release alone.
    OwnVariantOnly,
    /// A variant is announced only once something of it is stored.
    AnnouncedLate,
    /// A value past its ttl stands in although a push has come since it was read.
    StandInUnchecked,
    /// A flight in which such a value stands in takes joiners until its pause is stored.
    StandInOpen,
    /// A registry that was lost is trusted as soon as one process has announced its variant again.
    RestorationTrusted,
    /// Random ids are those of a forked process, which has made the same before.
    IdsRepeated,
}

impl Trap {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::CountingGenerations,
        Self::FillUnchecked,
        Self::StampedAfterwards,
        Self::StampIgnored,
        Self::KeptUnguarded,
        Self::FetchUnguarded,
        Self::NoLoop,
        Self::NeverRenewed,
        Self::OwnCopiesForgotten,
        Self::OwnFlightsForgotten,
        Self::ReconnectedUnchanged,
        Self::InvalidatedJoined,
        Self::TouchIgnored,
        Self::ReleaseUnchecked,
        Self::AllSucceed,
        Self::EntryFirst,
        Self::LookedOnce,
        Self::LeaseUnread,
        Self::DeafUntilAsleep,
        Self::LeaseAskedFirst,
        Self::WaitingOpen,
        Self::CutOffOpen,
        Self::OwnVariantOnly,
        Self::AnnouncedLate,
        Self::StandInUnchecked,
        Self::StandInOpen,
        Self::RestorationTrusted,
        Self::IdsRepeated,
    ];
}
