//! A model of recached's protocol. It follows `ARCHITECTURE.md` and `cache-runtime`, and is small
//! enough that a checker tries every order of steps.
//!
//! ```text
//! cargo test -p recached-model                                # a minute
//! cargo test -p recached-model -- --ignored                   # deeper
//! ```
//!
//! The model has one call, with its function as its only group, one server, and a few processes
//! that make the call a few times each. The processes run one release, or two releases with
//! separate entries. Connections carry requests in one direction and replies and pushes in the
//! other, in order. Every invalidation changes the source of the call, and a computation returns
//! the version of the source at its beginning, so the number shows the age of a value.
//!
//! An [`Action`] is the smallest step that other steps can interleave with: a command or script
//! that the server runs, a message that the reader of a connection takes, a caller that continues
//! with its reply. A [`Scope`] bounds the number of steps of each kind. Within a scope the
//! [`GUARANTEES`] G1 to G4 must hold in every state, and every [`Event`] must be reached in some
//! state. Each [`Trap`] is a mistake in the protocol that the checker must find.
//!
//! For other processes, G1 applies once the push has arrived. In the model, each invalidation
//! attaches its guarantee to the last message that travels on a connection at that moment, a push
//! or a reply. If no message travels, the process knows nothing from that connection, and the
//! guarantee applies at once.
//!
//! A computation may fail; an entry past its ttl is then served instead, and the lease is replaced
//! by a pause.
//!
//! The model leaves out time (waits end when something happens; a timeout is an action of its own),
//! more than one call or group, `put` and `refresh`, stored errors, a connection that was given up
//! and still replies, and a registry that is lost while the generations are kept.

mod action;
mod call;
mod caller;
mod command;
mod delivery;
mod event;
mod fault;
mod flight;
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
pub use world::{Id, World};
