//! Shared parts of the tests: servers, worker processes, proxies and a source of truth.

mod backend;
mod cluster;
mod fixture;
mod fleet;
mod is_cached;
mod memory;
mod proxy;
mod received_events;
mod runs;
mod sentinel;
mod server;
mod source;

pub use backend::Backend;
pub use cluster::Cluster;
pub use fixture::{Fixture, in_time};
pub use fleet::Worker;
pub use memory::resident;
pub use proxy::{Fault, Proxy};
pub use received_events::ReceivedEvents;
pub use runs::{ran, runs};
pub use sentinel::Sentinels;
pub use server::{Server, free_port, server};
pub use source::Source;

use std::future::Future;
use std::time::{Duration, Instant};

/// Maximum time that a test waits for an expected event.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `state` holds. Panics after [`PATIENCE`] with `what` in the message.
pub async fn until<F: Future<Output = bool>>(what: &str, mut state: impl FnMut() -> F) {
    let begun = Instant::now();
    while !state().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Builds a cache on this server with long timeouts, because test machines are small and busy.
pub fn cache_on(url: &str, namespace: &str) -> recached::Cache {
    recached::Cache::builder()
        .redis(url)
        .namespace(namespace)
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5))
        .build()
        .expect("the settings are usable")
}

/// Returns `true` if this cache stores a value in Redis and reads it back. The value is compared
/// because cache operations return no error while Redis is unreachable.
pub async fn reaches(cache: &recached::Cache) -> bool {
    let minute = recached::Policy::new(Duration::from_secs(60)).near(false);
    let value = fastrand::u64(..);
    let put = cache.put("reaches:1", minute, value).await;
    put.is_ok() && cache.get::<u64>("reaches:1").await.ok() == Some(Some(value))
}

/// Nanoseconds on a clock that all processes of this machine share.
pub fn now() -> u128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::try_from(now).expect("it counts up from zero");
    now.as_nanos()
}

/// Runs `future` on this thread without a runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}
