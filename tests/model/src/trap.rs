/// A mistake that other projects have made, or that we nearly made. Each one breaks a guarantee.
///
/// The model cannot express some mistakes. It has no clock, so it cannot express mistakes that cost
/// time and not correctness (a checkout that pings, `KEYS`, one huge `DEL`, waiters that poll,
/// timeouts while Redis is unreachable). It has one call, so it cannot express mistakes that
/// confuse calls (names alone as keys, globs). It has no executor, so it cannot express mistakes
/// inside one (a leader that is no longer polled, recursion that waits for itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// Generations are counters: after an eviction they restart, and old entries become valid
    /// again.
    CountingGenerations,
    /// The fill does not check the token of the lease.
    FillUnchecked,
    /// The stamp is read after the computation instead of before it.
    StampedAfterwards,
    /// Entries are served regardless of their stamp.
    StampIgnored,
    /// A read value is inserted into the near cache although a push has arrived since the read.
    KeptUnguarded,
    /// A generation is kept although a push or a disconnection has overtaken its reply.
    FetchUnguarded,
    /// Tracking uses `NOLOOP`: the server sends no push about keys that it evicts while it runs a
    /// command of the same connection.
    NoLoop,
    /// Leases are not renewed.
    NeverRenewed,
    /// An invalidation does not affect the process's own near entries and flights.
    OwnCopiesForgotten,
    /// An invalidation affects the process's own near entries but not its flights.
    OwnFlightsForgotten,
    /// A reconnection keeps all state.
    ReconnectedUnchanged,
    /// A flight accepts joiners after its call or its group was invalidated.
    InvalidatedJoined,
    /// A leader returns a value that it read before a push that a joiner has already received.
    TouchIgnored,
    /// A lease is released regardless of its holder.
    ReleaseUnchecked,
    /// All waiters compute when the holder is gone.
    AllSucceed,
    /// An invalidation removes the entry before the lease.
    EntryFirst,
    /// The claim does not read the entry again.
    LookedOnce,
    /// The claim does not read the lease that it has taken, so no push about the lease arrives.
    LeaseUnread,
    /// A waiter starts to watch for pushes only when it goes to sleep.
    DeafUntilAsleep,
    /// A flight whose lease has changed accepts joiners until the server has replied whether the
    /// lease is gone or was only renewed.
    LeaseAskedFirst,
    /// Without pushes, a flight accepts joiners while its leader waits, although the process does
    /// not learn that the generation is gone.
    WaitingOpen,
    /// A flight that lost its connection accepts joiners that use another connection.
    CutOffOpen,
    /// An invalidation removes only the entry of its own release.
    OwnVariantOnly,
    /// A variant is announced only after one of its entries is stored.
    AnnouncedLate,
    /// A value past its ttl is served although a push has arrived since the read.
    StandInUnchecked,
    /// A flight that returns such a value accepts joiners until its pause is stored.
    StandInOpen,
    /// A lost registry is considered complete once one process has announced its variant again.
    RestorationTrusted,
    /// Random ids repeat, as in a forked process that inherits the state of its parent's generator.
    IdsRepeated,
}

impl Trap {
    /// All traps.
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
