//! A lookup that is cached for a minute, in memory or on the server that `REDIS_URL` names.
//!
//! `cargo run --example user_details`

use std::time::{Duration, Instant};

use recached::cached;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct UserDetails {
    id: u64,
    name: String,
    email: String,
}

/// The error type needs no traits: only an `Ok` is stored.
#[derive(Debug)]
struct NotFound;

/// A slow database.
struct Database;

impl Database {
    async fn query(&self, id: u64) -> Result<UserDetails, NotFound> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let name = ["ada", "grace", "barbara"]
            .get(id as usize)
            .ok_or(NotFound)?;
        Ok(UserDetails {
            id,
            name: (*name).to_owned(),
            email: format!("{name}@example.org"),
        })
    }
}

/// `database` is skipped and not part of the key.
#[cached(ttl = 60, skip(database))]
async fn user_details(database: &Database, id: u64) -> Result<UserDetails, NotFound> {
    database.query(id).await
}

async fn show(database: &Database, id: u64) {
    let begun = Instant::now();
    let user = user_details(database, id).await;
    println!("  user {id}: {user:?} in {:?}", begun.elapsed());
}

#[tokio::main]
async fn main() -> Result<(), recached::Error> {
    let database = Database;
    println!("two users, each asked for twice; the second time from the cache:");
    for id in [0, 1, 0, 1] {
        show(&database, id).await;
    }
    println!("a user that is not there; an error is never stored:");
    for _ in 0..2 {
        show(&database, 9).await;
    }
    println!("user 0 has changed, so its entry goes; user 1 is untouched:");
    let entry = user_details_entry(&database, 0);
    println!("  {} lives for {:?} more", entry.key()?, entry.ttl().await?);
    let _ = entry.invalidate().await?;
    show(&database, 0).await;
    show(&database, 1).await;
    println!("\n{}", recached::stats());
    Ok(())
}
