//! Medians, and the tables of `benches/README.md`.
//!
//! Contenders take turns within each round, so that a slow moment of the machine affects all of
//! them; only ratios within one run are compared.

pub mod network;

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Median of the values.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    sorted[sorted.len() / 2]
}

/// Formats a duration in microseconds or milliseconds.
pub fn micros(duration: Duration) -> String {
    match duration.as_secs_f64() * 1e6 {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us => format!("{:.1} ms", us / 1_000.0),
    }
}

/// Prints a table and inserts it into `benches/README.md` between the markers of its name.
pub fn report(name: &str, table: &str) {
    println!("{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("the README is there");
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let (before, rest) = readme
        .split_once(&begin)
        .expect("the README has a place for the table");
    let (_, after) = rest.split_once(&end).expect("the place has an end");
    fs::write(&path, format!("{before}{begin}{table}{end}{after}"))
        .expect("the README is writable");
}
