use std::fmt::Display;

use recached::cached;

#[cached(ttl = 60)]
fn shown(id: u64) -> Box<dyn Display> {
    Box::new(id)
}

#[cached(ttl = 60)]
async fn maybe(id: u64) -> Result<Box<dyn Display + Send>, Box<dyn std::error::Error + Send>> {
    Ok(Box::new(id))
}

fn main() {}
