use std::process::Command;

use recached::cached;

#[cached(ttl = 60)]
async fn user(id: u64, connection: &Command) -> u64 {
    let _ = connection;
    id
}

fn main() {}
