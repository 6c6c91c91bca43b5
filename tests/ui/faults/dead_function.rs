#![deny(dead_code)]

use recached::{cached, invalidates};

#[cached(ttl = 60)]
fn nobody_calls(id: u64) -> u64 {
    id
}

#[cached(ttl = 60, entry = false)]
async fn nobody_awaits(id: u64) -> u64 {
    id
}

#[invalidates("*")]
fn nobody_changes(id: u64) -> u64 {
    id
}

struct Users;

impl Users {
    #[cached(ttl = 60, skip(self))]
    pub fn nobody_asks(&self, id: u64) -> u64 {
        id
    }
}

fn main() {
    let _ = Users;
}
