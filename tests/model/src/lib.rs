//! A model of recached's protocol.

mod action;
mod call;
mod caller;
mod delivery;
mod event;
mod fault;
mod link;
mod model;
mod process;
mod property;
mod scope;
mod server;
mod trap;
mod world;

pub use action::Action;
pub use event::Event;
pub use fault::Fault;
pub use model::Model;
pub use process::Reach;
pub use property::{
    GUARANTEES, NO_LATE_FILL, NO_SECOND_COMPUTATION, NO_STALE_ANSWER, NOBODY_IS_STUCK,
};
pub use scope::Scope;
pub use trap::Trap;
pub use world::World;
