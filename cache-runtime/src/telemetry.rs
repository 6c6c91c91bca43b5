//! Counters of functions and of the near cache, and the events that an observer receives.

pub(crate) mod counter;
pub(crate) mod error_stats;
pub(crate) mod event;
pub(crate) mod stats;
