use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

static RUNS: LazyLock<Mutex<HashMap<&'static str, usize>>> = LazyLock::new(Mutex::default);

/// Counts one run of a function body.
pub fn ran(body: &'static str) {
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    *runs.entry(body).or_default() += 1;
}

/// Number of runs of a function body in this process.
pub fn runs(body: &str) -> usize {
    let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    runs.get(body).copied().unwrap_or(0)
}
