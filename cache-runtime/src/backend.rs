//! The seam: what a place that holds entries, leases and generations must do.
//!
//! [`memory`] and [`redis`] do it with the same guarantees; everything above speaks [`Backend`].

mod lease_watch;
pub(crate) mod local_values;
pub(crate) mod memory;
pub(crate) mod redis;
mod removed_entries;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::entry::codec::guarded;
use crate::entry::header::{Age, EntryHeader, Lifetimes};
use crate::error::{Error, ErrorKind};
use crate::invalidation::group::{GenerationStamp, Group, HalfStamp};
use crate::invalidation::tag_validity::TaggedValue;
use crate::invalidation::unique_id::UniqueId;
use crate::key::Key;
use crate::key::pattern::KeyPattern;
use crate::values::return_kind::{Erased, ValueVTable};

pub(crate) use lease_watch::LeaseWatch;
use local_values::LocalSession;
use memory::MemoryBackend;
pub(crate) use redis::PendingInvalidation;
use redis::{Change, RedisBackend, RedisSession, ServerFacts};
pub(crate) use removed_entries::RemovedEntries;

/// An entry as its tier holds it.
#[derive(Clone)]
pub(crate) enum StoredEntry {
    Encoded(Vec<u8>),
    TypedValue(TypedValue),
}

/// A value as this process holds it, if it has more to its life than an end.
pub(crate) struct AgedValue {
    pub(crate) value: Erased,
    pub(crate) span: Lifetimes,
}

/// A value as this process holds it.
#[derive(Clone)]
pub(crate) struct TypedValue {
    /// Maybe [`AgedValue`], maybe [`TaggedValue`].
    pub(crate) value: Erased,
    pub(crate) stamp: HalfStamp,
    /// What it takes when it is written.
    pub(crate) bytes: u32,
}

impl StoredEntry {
    /// Whether this is an entry of these generations.
    pub(crate) fn is_of(&self, stamp: GenerationStamp) -> bool {
        match self {
            Self::Encoded(bytes) => {
                EntryHeader::of(bytes).is_some_and(|mark| mark.stamp() == stamp)
            }
            Self::TypedValue(typed) => typed.stamp == stamp.half(),
        }
    }

    /// What the value takes when it is written, in bytes.
    pub(crate) fn bytes(&self) -> u32 {
        match self {
            Self::Encoded(bytes) => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            Self::TypedValue(typed) => typed.bytes,
        }
    }

    /// The value, if this is an entry of the kind that `mark` describes, and takes no more than
    /// `most` bytes.
    ///
    /// # Errors
    ///
    /// Returns `ErrorKind::Decode` if it is such an entry and can't be read.
    pub(crate) fn value(
        &self,
        form: &ValueVTable,
        mark: &EntryHeader,
        most: u64,
    ) -> Result<Option<Erased>, Error> {
        match self {
            Self::Encoded(bytes) => {
                let Some((payload, codec)) = mark.payload(bytes) else {
                    return Ok(None);
                };
                guarded(ErrorKind::Decode, || (form.decode)(payload, codec, most)).map(Some)
            }
            Self::TypedValue(typed) if typed.stamp == mark.stamp().half() => {
                let value = match typed.aged() {
                    Some(aged) => &aged.value,
                    None => typed.bare(),
                };
                Ok(Some(Arc::clone(value)).filter(form.is))
            }
            Self::TypedValue(_) => Ok(None),
        }
    }

    /// How long it is of use.
    pub(crate) fn span(&self) -> Lifetimes {
        match self {
            Self::Encoded(bytes) => Lifetimes::of(bytes),
            Self::TypedValue(typed) => typed.aged().map(|aged| aged.span).unwrap_or_default(),
        }
    }
}

impl TypedValue {
    /// Without its seals: whoever has read it knows its generations.
    fn bare(&self) -> &Erased {
        let sealed = self.value.downcast_ref::<TaggedValue>();
        sealed.map_or(&self.value, |sealed| &sealed.value)
    }

    fn aged(&self) -> Option<&AgedValue> {
        self.bare().downcast_ref()
    }
}

/// What one look at a call found.
pub(crate) struct Lookup {
    pub(crate) entry: Option<StoredEntry>,
    /// The digest of the generations as they stood when the entry had arrived.
    pub(crate) stamp: GenerationStamp,
    /// The entry's remaining life, if it was asked for.
    pub(crate) left: Option<Duration>,
}

impl Lookup {
    /// How much of the entry's ttl remains, if any, and if it was asked for.
    pub(crate) fn fresh(&self, cap: Option<Duration>) -> Option<Duration> {
        match self.entry.as_ref()?.span().age(self.left?, cap) {
            Age::Fresh(left) => Some(left),
            Age::Stale(_) => None,
        }
    }
}

/// How much a look asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// The entry alone: the cheapest there is.
    Entry,
    /// Its remaining life too, because a copy will be kept.
    WithLife,
}

/// The answer to a claim on a call.
pub(crate) enum ClaimReply {
    /// The lease is ours: compute.
    Granted,
    /// Somebody has stored the entry meanwhile, which lives for so long.
    Found(StoredEntry, Duration),
    /// Somebody else computes; their lease ends in this time unless renewed.
    Held(Duration),
    /// A group has been invalidated since the stamp was read: read again.
    Stale,
    /// The last refresh has failed just now: the stale value is served.
    Paused,
}

/// How far a claim goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimMode {
    /// Take an entry, or a lease that is free.
    Normal,
    /// Take a lease that is free; the entry there is of no use.
    IgnoreEntry,
    /// Take the lease from whoever has it: a refresh replaces what they compute.
    Force,
}

/// What a tier is asked for about one call.
pub(crate) struct ClaimRequest<'a> {
    pub(crate) key: &'a Key,
    pub(crate) groups: &'a [Group],
    pub(crate) mark: &'a EntryHeader,
    pub(crate) token: UniqueId,
    pub(crate) life: Duration,
    pub(crate) reach: ClaimMode,
    /// An entry that is stored for no longer than this is of no use.
    pub(crate) min_remaining_ttl: Duration,
    /// Whether there is a stale value to serve, so that a pause after a failed refresh is respected.
    pub(crate) respects_pause: bool,
}

/// What a fill does with an entry that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExistingEntry {
    /// Replaces it.
    Replace,
    /// Keeps it, if it is one of the same generations, and pauses the call for so long: an error
    /// never replaces a value that may still be served.
    Keep { pause: Duration },
}

/// The names of the fleet's functions, as far as they can be read.
#[derive(Debug, Default)]
pub(crate) struct KnownNames {
    pub(crate) names: Vec<String>,
    /// Whether there are others: then a pattern can only be matched by everything.
    pub(crate) incomplete: bool,
}

/// A place that holds entries, leases and generations.
pub(crate) trait Backend {
    fn read(
        &self,
        key: &Key,
        groups: &[Group],
        look: ReadMode,
    ) -> impl Future<Output = Result<Lookup, Error>> + Send;
    fn stamp(
        &self,
        groups: &[Group],
    ) -> impl Future<Output = Result<GenerationStamp, Error>> + Send;
    /// Tells of changes to the lease of `key` from now on.
    fn watch(&self, key: &Key) -> LeaseWatch;
    fn claim(
        &self,
        claimed: &ClaimRequest<'_>,
    ) -> impl Future<Output = Result<ClaimReply, Error>> + Send;
    fn renew(
        &self,
        key: &Key,
        token: UniqueId,
        life: Duration,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Stores and drops the lease, if the token still holds it; whether it has stored.
    fn fill(
        &self,
        key: &Key,
        token: UniqueId,
        entry: StoredEntry,
        life: Duration,
        existing: ExistingEntry,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Replaces the lease by a pause, if the token still holds it.
    fn pause(
        &self,
        key: &Key,
        token: UniqueId,
        pause: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    fn release(&self, key: &Key, token: UniqueId)
    -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes entries and leases of the call, in every variant; how many entries.
    fn remove(&self, key: &Key) -> impl Future<Output = Result<u64, Error>> + Send;
    /// Gives each group a generation that never was.
    fn change(&self, groups: &[Group]) -> impl Future<Output = Result<(), Error>> + Send;
    /// Removes leases, then entries; which entries.
    fn remove_matching(
        &self,
        pattern: &KeyPattern,
    ) -> impl Future<Output = Result<RemovedEntries, Error>> + Send;
    /// The names of the fleet's functions.
    fn functions(&self) -> impl Future<Output = Result<KnownNames, Error>> + Send;
    /// Tells the fleet of a function, and of a variant of it; none (an empty one) by hand.
    fn announce(&self, name: &str, variant: &str)
    -> impl Future<Output = Result<(), Error>> + Send;
}

/// Told of what others have invalidated, before anything newer is read.
pub(crate) trait InvalidationSink: Send + Sync {
    fn call_changed(&self, key: &str);
    /// The lease of the call was taken, renewed, let go or invalidated.
    fn lease_changed(&self, key: &str);
    fn calls_changed(&self, pattern: &KeyPattern);
    fn group_changed(&self, group: &str);
    fn everything_changed(&self);
    /// From now on nothing is told.
    fn lost(&self);
    /// Changes are told again: what was read before they were lost is not to be trusted.
    fn found(&self);
    /// For a while nothing would have been told.
    fn gap(&self);
    /// How often it was told what the fleet has set.
    fn settings_told(&self) -> u64;
    /// What the fleet has set, all of it; whether it was told of nothing since it was `told` so
    /// often. Otherwise this may be older, and is not believed.
    fn settings(&self, told: u64, fields: Vec<(String, String)>) -> bool;
    /// Whether changes are told at all.
    fn pushes(&self, pushes: bool);
    /// The process runs, and its connections are read: copies may be served for so long.
    fn trust(&self, life: Duration);
    /// Something of this function (`*`: of all) was found damaged on the server, and mended.
    fn damaged(&self, function: &str, error: Error);
}

/// From where a call comes: a thread that blocks must not wait for its own runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Async,
    Blocking,
}

/// The store of one cache.
pub(crate) enum AnyBackend {
    MemoryBackend(Arc<MemoryBackend>),
    RedisBackend(RedisBackend),
}

impl AnyBackend {
    /// The tier that serves one call from its beginning to its end.
    pub(crate) fn session(&self, caller: Caller) -> BackendSession {
        match self {
            Self::MemoryBackend(memory) => BackendSession::MemoryBackend(Arc::clone(memory)),
            Self::RedisBackend(redis) => {
                BackendSession::RedisBackend(RedisSession::new(redis.link(caller)))
            }
        }
    }

    /// As [`session`](Self::session), for values that are kept in `memory` and never written.
    pub(crate) fn session_here(
        &self,
        caller: Caller,
        memory: &Arc<MemoryBackend>,
    ) -> BackendSession {
        match self.session(caller) {
            BackendSession::RedisBackend(way) => BackendSession::LocalSession(LocalSession {
                memory: Arc::clone(memory),
                way,
            }),
            session => session,
        }
    }

    /// Whether any call could reach it at this moment.
    pub(crate) fn is_up(&self) -> bool {
        match self {
            Self::MemoryBackend(_) => true,
            Self::RedisBackend(redis) => redis.is_up(),
        }
    }

    /// Puts invalidations that `error` has kept from the server into the outbox.
    ///
    /// # Errors
    ///
    /// Returns `error` if the server will never take them.
    pub(crate) fn queue(
        &self,
        new: impl IntoIterator<Item = PendingInvalidation>,
        error: Error,
    ) -> Result<(), Error> {
        match self {
            Self::RedisBackend(redis) if error.is_passing() => {
                redis.queue(new);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// What this process has changed itself, no connection of it may go on believing.
    pub(crate) fn forget(&self, change: &Change<'_>) {
        if let Self::RedisBackend(redis) = self {
            redis.forget(change);
        }
    }
}

/// One call's way to its tier.
#[derive(Clone)]
pub(crate) enum BackendSession {
    MemoryBackend(Arc<MemoryBackend>),
    LocalSession(LocalSession),
    RedisBackend(RedisSession),
}

impl BackendSession {
    /// Whether the tier holds values as they are, in this process.
    pub(crate) fn is_typed(&self) -> bool {
        !matches!(self, Self::RedisBackend(_))
    }

    /// The session for what is sent though other invalidations wait: an invalidation trusts nothing
    /// that it reads, and must not wait behind a stream of others.
    pub(crate) fn ahead(self) -> Self {
        match self {
            Self::MemoryBackend(memory) => Self::MemoryBackend(memory),
            Self::LocalSession(here) => Self::LocalSession(LocalSession {
                way: here.way.into_ahead(),
                ..here
            }),
            Self::RedisBackend(way) => Self::RedisBackend(way.into_ahead()),
        }
    }

    /// Whether a change of a lease is told, so that nobody needs to ask.
    pub(crate) fn pushes(&self) -> bool {
        match self {
            Self::MemoryBackend(_) => true,
            Self::LocalSession(here) => here.way.is_tracking(),
            Self::RedisBackend(link) => link.is_tracking(),
        }
    }

    /// Whether values that are held as they are may be served without a look at the generations:
    /// whoever changes one tells this process.
    pub(crate) fn vouches(&self) -> bool {
        match self {
            Self::MemoryBackend(_) | Self::RedisBackend(_) => true,
            Self::LocalSession(here) => here.way.is_tracking(),
        }
    }

    /// The session for what must go on while the caller's runtime is busy or blocked.
    pub(crate) fn steady(&self) -> Self {
        match self {
            Self::MemoryBackend(memory) => Self::MemoryBackend(Arc::clone(memory)),
            Self::LocalSession(here) => Self::LocalSession(LocalSession {
                memory: Arc::clone(&here.memory),
                way: here.way.steady(),
            }),
            Self::RedisBackend(way) => Self::RedisBackend(way.steady()),
        }
    }

    /// How long a caller waits for a value to be stored; `None` if that is done on the spot.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self {
            Self::MemoryBackend(_) | Self::LocalSession(_) => None,
            Self::RedisBackend(way) => Some(way.patience()),
        }
    }

    /// Whether this call goes by another connection from now on, because of this error: the server
    /// is well, and the one that it went by is not read in time.
    pub(crate) fn moves(&self, error: &Error) -> bool {
        match self {
            Self::MemoryBackend(_) => false,
            Self::LocalSession(here) => here.way.moves(error),
            Self::RedisBackend(way) => way.moves(error),
        }
    }

    /// The whole patience with the server again: since the last exchange the call has waited
    /// for something else, or computed.
    pub(crate) fn refill(&self) {
        match self {
            Self::MemoryBackend(_) => {}
            Self::LocalSession(here) => here.way.refill(),
            Self::RedisBackend(way) => way.refill(),
        }
    }
}

macro_rules! forward {
    ($($(#[$meta:meta])* async fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $out:ty;)+) => {$(
        async fn $name(&self $(, $arg: $ty)*) -> $out {
            match self {
                Self::MemoryBackend(tier) => tier.$name($($arg),*).await,
                Self::LocalSession(tier) => tier.$name($($arg),*).await,
                Self::RedisBackend(tier) => tier.$name($($arg),*).await,
            }
        }
    )+};
}

impl Backend for BackendSession {
    fn watch(&self, key: &Key) -> LeaseWatch {
        match self {
            Self::MemoryBackend(tier) => tier.watch(key),
            Self::LocalSession(tier) => tier.watch(key),
            Self::RedisBackend(tier) => tier.watch(key),
        }
    }

    forward! {
        async fn read(&self, key: &Key, groups: &[Group], look: ReadMode) -> Result<Lookup, Error>;
        async fn stamp(&self, groups: &[Group]) -> Result<GenerationStamp, Error>;
        async fn claim(&self, claimed: &ClaimRequest<'_>) -> Result<ClaimReply, Error>;
        async fn renew(&self, key: &Key, token: UniqueId, life: Duration) -> Result<bool, Error>;
        async fn fill(&self, key: &Key, token: UniqueId, entry: StoredEntry, life: Duration, existing: ExistingEntry) -> Result<bool, Error>;
        async fn pause(&self, key: &Key, token: UniqueId, pause: Duration) -> Result<(), Error>;
        async fn release(&self, key: &Key, token: UniqueId) -> Result<(), Error>;
        async fn remove(&self, key: &Key) -> Result<u64, Error>;
        async fn change(&self, groups: &[Group]) -> Result<(), Error>;
        async fn remove_matching(&self, pattern: &KeyPattern) -> Result<RemovedEntries, Error>;
        async fn functions(&self) -> Result<KnownNames, Error>;
        async fn announce(&self, name: &str, variant: &str) -> Result<(), Error>;
    }
}

impl BackendSession {
    /// What the server tells of itself; `None` where there is none.
    pub(crate) async fn facts(&self) -> Result<Option<ServerFacts>, Error> {
        match self {
            Self::MemoryBackend(_) | Self::LocalSession(_) => Ok(None),
            Self::RedisBackend(way) => way.facts().await.map(Some),
        }
    }

    /// Brings into force here what the fleet has set at this moment.
    pub(crate) async fn apply_settings(&self) -> Result<(), Error> {
        match self {
            Self::MemoryBackend(_) | Self::LocalSession(_) => Ok(()),
            Self::RedisBackend(way) => way.apply_settings().await,
        }
    }

    /// Changes what the fleet has set, and brings it into force here; `false` where there is no
    /// fleet.
    pub(crate) async fn change_settings(
        &self,
        fields: &[(String, Option<String>)],
    ) -> Result<bool, Error> {
        match self {
            Self::MemoryBackend(_) | Self::LocalSession(_) => Ok(false),
            Self::RedisBackend(way) => way.change_settings(fields).await.map(|()| true),
        }
    }
}
