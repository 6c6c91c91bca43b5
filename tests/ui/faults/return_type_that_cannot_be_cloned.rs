use recached::cached;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct User {
    id: u64,
}

#[cached(ttl = 60)]
async fn user(id: u64) -> Option<User> {
    Some(User { id })
}

fn main() {}
