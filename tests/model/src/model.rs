use stateright::Property;

use crate::action::Action;
use crate::property;
use crate::scope::Scope;
use crate::world::World;

/// The protocol within a scope, as the checker sees it.
#[derive(Clone, Debug)]
pub struct Model {
    /// How far it goes.
    pub scope: Scope,
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
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}
