//! Run `cargo run -p products-api`, then for example:
//!
//! ```text
//! curl localhost:3000/products
//! curl localhost:3000/users/1/greeting/de
//! curl -X PUT -H 'content-type: application/json' -d '"Ada L."' localhost:3000/users/1
//! curl localhost:3000/stats
//! ```
//!
//! Caches in memory, or on the server that `REDIS_URL` names.

use std::error::Error;

use products_api::{Shop, app};
use recached::Cache;
use sqlx::sqlite::SqlitePoolOptions;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // One connection, because each connection would have its own in-memory database.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await?;
    let cache = Cache::builder().namespace("shop").build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!(
        "listening on http://{}: try /products, /users/1, /users/1/greeting/de, /stats",
        listener.local_addr()?
    );
    axum::serve(listener, app(Shop::open(pool, cache).await?)).await?;
    Ok(())
}
