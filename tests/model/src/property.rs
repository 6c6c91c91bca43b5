use stateright::Property;

use crate::caller::{Phase, Right};
use crate::event::Event;
use crate::model::Model;
use crate::world::World;

/// G1: no call is answered with what was invalidated before it was made.
pub const NO_STALE_ANSWER: &str = "G1: no later call is answered with what was invalidated";

/// G2: what can be read from Redis is not older than the last invalidation.
pub const NO_LATE_FILL: &str = "G2: no late fill can be read";

/// G3: one computation per call and generation.
pub const NO_SECOND_COMPUTATION: &str = "G3: nobody computes beside the holder of the lease";

/// G4: whatever becomes of a holder, those who wait get on.
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
            !world.server.readable().is_some_and(|e| old(e.version))
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
    }
}

impl World {
    /// Two compute for one generation, and nothing has taken the lease from either that may.
    fn has_two_holders(&self) -> bool {
        let mut holders = self.callers.iter().filter(|c| c.right == Right::Kept);
        match (holders.next(), holders.next()) {
            (Some(one), Some(other)) => {
                let stamp = |phase| match phase {
                    Phase::Claiming { stamp, .. } => Some(stamp),
                    Phase::Computing { stamp, .. } => stamp,
                    _ => None,
                };
                // One that took the right without a lease has no stamp, and is one too many.
                match (stamp(one.phase), stamp(other.phase)) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                }
            }
            _ => false,
        }
    }

    /// Somebody waits, and nothing will happen by itself.
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
