use std::sync::atomic::{AtomicU32, Ordering};

use stateright::Property;

use crate::action::Action;
use crate::event::Event;
use crate::property;
use crate::scope::Scope;
use crate::world::World;

/// The protocol within a scope, as the checker explores it.
#[derive(Debug)]
pub struct Model {
    pub(crate) scope: Scope,
    /// Events of all worlds. They are not part of the worlds because they would make equal worlds
    /// different.
    reached: AtomicU32,
}

impl Model {
    /// Creates a model of the protocol within `scope`.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            reached: AtomicU32::new(0),
        }
    }

    pub(crate) fn has_reached(&self, event: Event) -> bool {
        self.reached.load(Ordering::Relaxed) & event.bit() != 0
    }
}

impl stateright::Model for Model {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.scope)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(&self.scope, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(&self.scope, action);
        let events = std::mem::take(&mut next.events);
        if events & !self.reached.load(Ordering::Relaxed) != 0 {
            self.reached.fetch_or(events, Ordering::Relaxed);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}
