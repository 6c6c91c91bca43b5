//! Sharing of a flight's failure with its coalesced calls. If the error of the function's `Result`
//! can be cloned and sent, they return the same error and do not compute again.
//!
//! As with the kind of a return type, the choice is made through types, by an inherent constant
//! that shadows a trait's if its bounds hold.

use std::sync::Arc;

use super::probe::Probe;
use super::value_kind::Erased;

/// Extracts the error of an `R`, and builds an `R` from it for another caller.
pub struct Share<R> {
    take: fn(&R) -> Option<Erased>,
    give: fn(&Erased) -> Option<R>,
    /// Returns `true` if the error has the type that `give` needs.
    pub(crate) is: fn(&Erased) -> bool,
}

impl<R> Clone for Share<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Share<R> {}

impl<R> Share<R> {
    /// Shares no failures.
    pub const NOTHING: Self = Self {
        take: |_| None,
        give: |_| None,
        is: |_| false,
    };

    pub(crate) fn take(&self, failure: &R) -> Option<Erased> {
        (self.take)(failure)
    }

    pub(crate) fn give(&self, failure: &Erased) -> Option<R> {
        (self.give)(failure)
    }
}

/// Constant of every type; shadowed for a `Result` whose error can be shared.
pub trait AnyShare {
    type Returns;
    const RECACHED_SHARE: Share<Self::Returns> = Share::NOTHING;
}

impl<R> AnyShare for Probe<R> {
    type Returns = R;
}

impl<T, E: Clone + Send + Sync + 'static> Probe<Result<T, E>> {
    pub const RECACHED_SHARE: Share<Result<T, E>> = Share {
        take: |result| {
            let error = result.as_ref().err()?;
            Some(Arc::new(error.clone()))
        },
        give: |error| Some(Err(error.downcast_ref::<E>()?.clone())),
        is: |error| error.is::<E>(),
    };
}

#[cfg(test)]
#[allow(
    unused_imports,
    reason = "a macro of ours brings a fallback that not every use needs"
)]
mod tests {
    use super::*;
    use crate::macro_support::{AnyShare as _, share};

    #[test]
    fn an_error_is_shared_where_it_can_be_cloned_and_sent() {
        type Aliased = Result<u64, String>;
        let shared = share!(Aliased);
        let error = shared.take(&Err("down".into())).expect("it can be shared");
        assert_eq!(shared.give(&error), Some(Err("down".into())));
        assert!(shared.take(&Ok(1)).is_none());
        // An error of another function that has the same key.
        assert!(shared.give(&(Arc::new(1) as Erased)).is_none());

        let own = share!(std::io::Result<u64>);
        assert!(own.take(&Err(std::io::Error::other("down"))).is_none());
        assert!(share!(u64).take(&1).is_none());
    }
}
