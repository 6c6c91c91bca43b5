use std::panic::Location;

use recached::{cached, invalidates};

#[track_caller]
#[cached(ttl = 60, stale_while_revalidate = 60)]
fn line(id: u64) -> u32 {
    Location::caller().line() + id as u32
}

#[track_caller]
#[invalidates("*")]
fn change(id: u64) -> u32 {
    Location::caller().line() + id as u32
}

fn main() {}
