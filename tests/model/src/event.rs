/// States that must be reached: a model that never reaches them proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A call was a near hit.
    NearHit,
    /// A call was a hit on Redis.
    RedisHit,
    /// A call returned the value of another call's flight.
    Joined,
    /// A call joined a flight whose value was being stored.
    JoinedLate,
    /// A read value was not inserted into the near cache because its flight was closed.
    NotKept,
    /// A leader read again because of a push.
    ReadAgain,
    /// A push about its generation overtook a reply.
    Overtaken,
    /// The server rejected a late fill.
    FillRefused,
    /// A holder learned that its lease is gone.
    LeaseLost,
    /// A lease of another generation was taken over.
    TakenOver,
    /// A claim was made with an outdated stamp.
    ClaimBehind,
    /// A waiter found the value.
    WaitedAndFound,
    /// A lease was granted after its previous holder had died.
    Succeeded,
    /// A connection was established again.
    Reconnected,
    /// An entry or a lease of another release was removed.
    OtherRemoved,
    /// An invalidation found that the registry was lost.
    Lost,
    /// A value past its ttl was served because the computation failed.
    StoodIn,
    /// A call returned a value past its ttl because of a pause.
    Paused,
    /// A caller without a value to serve took over a pause.
    PauseTaken,
}

impl Event {
    pub(crate) fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Name of the event among the properties.
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
