//! The benefit of a cache depends on the distribution of the calls: `cargo run --example hit_rate`
//!
//! Three workloads of 20,000 calls over 10,000 products, from uniform to skewed.

use std::time::Duration;

use recached::{Cache, Policy};

const CALLS: u64 = 20_000;
const PRODUCTS: f64 = 10_000.0;

/// The next product: the higher the skew, the more often the popular ones.
fn product(state: &mut u64, skew: i32) -> u64 {
    // Xorshift, which produces the same workload in each run.
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let uniform = (*state >> 11) as f64 / (1_u64 << 53) as f64;
    (uniform.powi(skew) * PRODUCTS) as u64
}

#[tokio::main]
async fn main() -> Result<(), recached::Error> {
    let cache = Cache::builder().in_process().build()?;
    let policy = Policy::new(Duration::from_secs(300));
    let mut state = 0x2545_f491_4f6c_dd1d;
    for (name, skew) in [("uniform", 1), ("popular", 4), ("very-popular", 16)] {
        for _ in 0..CALLS {
            let key = format!("{name}:{}", product(&mut state, skew));
            cache
                .get_or_compute(&key, policy, || async { key.len() })
                .await;
        }
    }
    let stats = cache.stats();
    for name in ["uniform", "popular", "very-popular"] {
        let function = stats.function(name);
        println!(
            "{name:12}  {CALLS} calls, {:>5} computed, hit rate {:.1} %",
            function.computations,
            function.hit_rate() * 100.0
        );
    }
    println!("\n{stats}");
    Ok(())
}
