//! Entries stored by hand on a Redis server: put, get, exists, expiry, remove.
//!
//! `REDIS_URL=redis://127.0.0.1/ cargo run --example redis_basics`

use std::error::Error;
use std::time::Duration;

use recached::{Cache, Policy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Ok(url) = std::env::var("REDIS_URL") else {
        return Err("set REDIS_URL to a Redis server, as in REDIS_URL=redis://127.0.0.1/".into());
    };
    let cache = Cache::builder().redis(url).namespace("basics").build()?;
    let two_seconds = Policy::new(Duration::from_secs(2)).jitter(0.0);

    cache
        .put("greeting:en", two_seconds, "hello".to_owned())
        .await?;
    println!("put     greeting:en = hello, for 2 s");
    println!(
        "get     greeting:en = {:?}",
        cache.get::<String>("greeting:en").await?
    );
    println!(
        "get     greeting:fr = {:?}",
        cache.get::<String>("greeting:fr").await?
    );
    println!(
        "exists  greeting:en = {}",
        cache.exists("greeting:en").await?
    );
    println!(
        "ttl     greeting:en = {:?}",
        cache.ttl("greeting:en").await?
    );

    print!("expiry  waiting until it is gone");
    while cache.exists("greeting:en").await? {
        print!(" .");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    println!(" gone: {:?}", cache.get::<String>("greeting:en").await?);

    cache
        .put("greeting:de", two_seconds, "hallo".to_owned())
        .await?;
    println!(
        "remove  greeting:de = {}",
        cache.remove("greeting:de").await?.entries
    );
    println!(
        "remove  greeting:de = {} (it is gone already)",
        cache.remove("greeting:de").await?.entries
    );

    let length = cache
        .get_or_compute("length:hello", two_seconds, || async { "hello".len() })
        .await;
    println!("get_or_compute length:hello = {length}");
    Ok(())
}
