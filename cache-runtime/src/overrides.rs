//! Overrides: a ttl, or on and off, that is set at run time for function-name patterns.

pub(crate) mod rule;
pub(crate) mod rules;
