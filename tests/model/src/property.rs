use stateright::Property;

use crate::caller::{Caller, Phase, Right};
use crate::event::Event;
use crate::model::Model;
use crate::server::Variant;
use crate::world::{Id, World, at};

/// G1: no call returns a value that was invalidated before the call.
pub const NO_STALE_ANSWER: &str = "G1: no later call is answered with what was invalidated";

/// G2: no readable entry in Redis is older than the last invalidation.
pub const NO_LATE_FILL: &str = "G2: no late fill can be read";

/// G3: at most one computation per call and generation.
pub const NO_SECOND_COMPUTATION: &str = "G3: nobody computes beside the holder of the lease";

/// G4: waiters make progress whatever happens to the holder.
pub const NOBODY_IS_STUCK: &str = "G4: somebody succeeds";

/// The guarantees.
pub const GUARANTEES: [&str; 4] = [
    NO_STALE_ANSWER,
    NO_LATE_FILL,
    NO_SECOND_COMPUTATION,
    NOBODY_IS_STUCK,
];

pub(crate) fn all() -> Vec<Property<Model>> {
    let mut all = vec![
        Property::always(NO_STALE_ANSWER, |_, world: &World| !world.stale),
        Property::always(NO_LATE_FILL, |_, world: &World| {
            let old = |version| version < world.server.completed;
            let readable = |variant| world.server.readable(variant);
            !(0..2).filter_map(readable).any(|e| old(e.version))
        }),
        Property::always(NO_SECOND_COMPUTATION, |_, world: &World| {
            !world.again && !world.has_two_holders()
        }),
        Property::always(NOBODY_IS_STUCK, |model: &Model, world: &World| {
            !world.is_stuck(model)
        }),
    ];
    all.extend(reached());
    all
}

macro_rules! sometimes {
    ($($event:ident)*) => {
        [$(Property::sometimes(Event::$event.name(), |model: &Model, _: &World| {
            model.has_reached(Event::$event)
        })),*]
    };
}

fn reached() -> impl IntoIterator<Item = Property<Model>> {
    sometimes! {
        NearHit RedisHit Joined JoinedLate NotKept ReadAgain Overtaken FillRefused
        LeaseLost TakenOver ClaimBehind WaitedAndFound Succeeded Reconnected
        OtherRemoved Lost StoodIn Paused PauseTaken
    }
}

impl World {
    /// Returns `true` if two callers compute for one generation and neither has lost its lease.
    fn has_two_holders(&self) -> bool {
        (0..2).any(|release| self.has_two_holders_of(release))
    }

    fn has_two_holders_of(&self, release: Variant) -> bool {
        let of = |process: Id| self.processes[at(process)].release;
        let holds = |c: &&Caller| c.right == Right::Kept && of(c.process) == release;
        let mut holders = self.callers.iter().filter(holds);
        match (holders.next(), holders.next()) {
            (Some(one), Some(other)) => {
                let stamp = |phase| match phase {
                    Phase::Claiming { stamp, .. } => Some(stamp),
                    Phase::Computing { stamp, .. } => stamp,
                    _ => None,
                };
                // A caller that has the right without a lease has no stamp and counts as a second
                // holder.
                match (stamp(one.phase), stamp(other.phase)) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                }
            }
            _ => false,
        }
    }

    /// Returns `true` if a caller waits and no step can happen by itself.
    fn is_stuck(&self, model: &Model) -> bool {
        let waits = |phase| !matches!(phase, Phase::Idle | Phase::Done);
        if !self.callers.iter().any(|caller| waits(caller.phase)) {
            return false;
        }
        let mut actions = Vec::new();
        self.progress(&model.scope, &mut actions);
        actions.is_empty()
    }
}
