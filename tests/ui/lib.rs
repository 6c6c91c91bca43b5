//! An empty library for `ui.rs`, whose files use the dependencies of this package.
