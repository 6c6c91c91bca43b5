//! Shared parts of the tests: servers of their own, worker processes, a source of truth.

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

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `state` holds; panics after [`PATIENCE`] with what was waited for.
pub async fn until<F: Future<Output = bool>>(what: &str, mut state: impl FnMut() -> F) {
    let begun = Instant::now();
    while !state().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A cache on this server for tests: generous deadlines, because the machine is small and busy.
pub fn cache_on(url: &str, namespace: &str) -> recached::Cache {
    recached::Cache::builder()
        .redis(url)
        .namespace(namespace)
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5))
        .build()
        .expect("the settings are usable")
}

/// Returns `true` if this cache stores on its server and reads from it: nothing that is asked of a
/// cache by hand is an error while the server is away.
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

/// Runs `future` on this thread with no runtime at all.
pub fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}
