//! Groups of calls, their generations, and the validity of tagged copies.

pub(crate) mod group;
pub(crate) mod tag_validity;
pub(crate) mod unique_id;
