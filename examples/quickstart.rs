//! A slow function, called twice. No server needed: `cargo run --example quickstart`

use std::time::{Duration, Instant};

use recached::cached;

#[cached(ttl = 60)]
async fn forecast(city: &str) -> String {
    println!("  … computing the forecast for {city}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    format!("{city}: sunny, 21 °C")
}

#[tokio::main]
async fn main() -> Result<(), recached::Error> {
    for call in ["first", "second"] {
        let begun = Instant::now();
        let forecast = forecast("Lisbon").await;
        println!("{call} call: {forecast} (took {:?})", begun.elapsed());
    }

    println!("\ninvalidating every function whose name matches `fore*`");
    let reached = recached::invalidate("fore*").await?;
    println!("  reached {:?}", reached.functions);

    let begun = Instant::now();
    let forecast = forecast("Lisbon").await;
    println!("third call: {forecast} (took {:?})", begun.elapsed());

    println!("\n{}", recached::stats());
    Ok(())
}
