//! Nothing but a place for `ui.rs`, whose files use what this depends on.
