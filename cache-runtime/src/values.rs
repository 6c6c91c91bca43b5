//! Return types: which of their values are stored, and how they are erased, written and read.

#[allow(missing_docs, reason = "generated code is its only reader")]
pub(crate) mod return_kind;
#[allow(missing_docs, reason = "generated code is its only reader")]
pub(crate) mod share;
