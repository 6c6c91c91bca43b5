//! Groups of calls, their generations, and the invalidations of calls.

pub(crate) mod group;
pub(crate) mod removed_entries;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod tag_validity;
