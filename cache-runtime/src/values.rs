//! Return types: which of their values are stored, and how the values are erased, encoded and
//! decoded.

#[allow(missing_docs, reason = "generated code is its only reader")]
mod local;
#[allow(missing_docs, reason = "generated code is its only reader")]
mod plain;
#[allow(missing_docs, reason = "generated code is its only reader")]
pub(crate) mod probe;
#[allow(missing_docs, reason = "generated code is its only reader")]
pub(crate) mod returns;
#[allow(missing_docs, reason = "generated code is its only reader")]
pub(crate) mod share;
#[allow(missing_docs, reason = "generated code is its only reader")]
mod slice;
pub(crate) mod tagged_value;
#[allow(missing_docs, reason = "generated code is its only reader")]
pub(crate) mod value_kind;
#[allow(missing_docs, reason = "generated code is its only reader")]
mod with_error;
