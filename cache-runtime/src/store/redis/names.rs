use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The functions of this process that the fleet has been told of, with their variants, to tell it
/// again. Bounded by the program's functions and the instances of generic ones.
#[derive(Default)]
pub(crate) struct Names(Mutex<BTreeSet<(String, String)>>);

impl Names {
    pub(crate) fn add(&self, name: &str, variant: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert((name.to_owned(), variant.to_owned()));
    }

    pub(crate) fn contains(&self, name: &str, variant: &str) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.contains(&(name.to_owned(), variant.to_owned()))
    }

    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().cloned().collect()
    }
}
