//! A model of recached's protocol: what `ARCHITECTURE.md` describes and `cache-runtime` does,
//! small enough that a checker tries every order in which things can happen.
//!
//! ```text
//! cargo test -p recached-model                                # a minute
//! cargo test -p recached-model -- --ignored                   # deeper
//! ```
//!
//! There is one call, with its function as its group; a few processes, of one release or of two
//! that have entries of their own, each making it a few times; one server; between them connections that carry requests one way and replies and pushes
//! the other, in order. The call's source changes when it is invalidated, and a computation
//! returns what the source said when it began: so a number tells how old a value is.
//!
//! An [`Action`] is as small as anything that others can get in between: a command or script that
//! the server runs, a message that a connection's reader takes, a caller that goes on with its
//! reply. A [`Scope`] bounds how often things happen. Within it [`GUARANTEES`] G1 to G4 must hold
//! in every state, and every [`Event`] must be reached somewhere. Each [`Trap`] is a mistake in
//! the protocol that the checker must find.
//!
//! For other processes G1 begins when the push has arrived. In the model each
//! invalidation puts its promise on whatever travels last on a connection at that moment, a push
//! or a reply; where nothing travels, nothing is known there, and the promise holds at once.
//!
//! A computation may fail; an entry past its ttl then stands in, and a pause is left in the lease.
//!
//! Not in here: time (waits end when something happens; what takes too long is an action of its
//! own), more than one call or group, `put` and `refresh`, errors that are stored, a connection that
//! was given up and still answers, a registry that is lost while the generations are not.

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
