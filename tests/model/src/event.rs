/// States worth reaching: a model that never gets there proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A call was answered from the near tier.
    NearHit,
    /// A call was answered from what Redis holds.
    RedisHit,
    /// A call was answered by the flight of another.
    Joined,
    /// A call joined a flight whose value is being stored.
    JoinedLate,
    /// A value was read and not kept, because its flight was closed.
    NotKept,
    /// A leader read again, because of a push.
    ReadAgain,
    /// A reply was overtaken by a push about its generation.
    Overtaken,
    /// A fill came too late.
    FillRefused,
    /// A holder learned that its lease is gone.
    LeaseLost,
    /// A lease of another generation was taken over.
    TakenOver,
    /// A claim was made with a stamp of the past.
    ClaimBehind,
    /// One who waited found the value.
    WaitedAndFound,
    /// A lease was granted after its last holder had died.
    Succeeded,
    /// A connection has come back.
    Reconnected,
    /// An entry or a lease of another release was removed.
    OtherRemoved,
    /// An invalidation found that the registry was lost.
    Lost,
    /// A value past its ttl stood in for a failure.
    StoodIn,
    /// A call was answered with such a value because of a pause.
    Paused,
    /// A pause was taken over, by one with nothing to serve.
    PauseTaken,
}

impl Event {
    pub(crate) fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Its name among the properties.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NearHit => "a near hit",
            Self::RedisHit => "a hit on redis",
            Self::Joined => "a joined flight",
            Self::JoinedLate => "a flight joined while its value is stored",
            Self::NotKept => "a copy that was not kept",
            Self::ReadAgain => "a second look because of a push",
            Self::Overtaken => "a reply overtaken by a push",
            Self::FillRefused => "a late fill refused",
            Self::LeaseLost => "a lost lease noticed",
            Self::TakenOver => "a lease of an old generation taken over",
            Self::ClaimBehind => "a claim with an old stamp",
            Self::WaitedAndFound => "a value found by a claim",
            Self::Succeeded => "a successor of the dead",
            Self::Reconnected => "a connection that came back",
            Self::OtherRemoved => "another release's entry removed",
            Self::Lost => "a lost registry noticed",
            Self::StoodIn => "a failure that an old value stands in for",
            Self::Paused => "a pause that is respected",
            Self::PauseTaken => "a pause that is taken over",
        }
    }
}
