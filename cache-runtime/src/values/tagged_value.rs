use std::sync::Arc;

use super::value_kind::Erased;
use crate::invalidation::tag_validity::TagValidity;

/// A value with the validity of each of its tags.
pub(crate) struct TaggedValue {
    pub(crate) value: Erased,
    pub(crate) tags: Arc<[Arc<TagValidity>]>,
}

impl TaggedValue {
    /// Returns the value, unless one of its tags was invalidated.
    pub(crate) fn open(&self) -> Option<&Erased> {
        let valid = self.tags.iter().all(|validity| validity.is_valid());
        valid.then_some(&self.value)
    }
}
