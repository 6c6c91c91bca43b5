//! A stampede, an invalidation and its effect in another cache, by distance from the server.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_benches::network::Distance;
use recached_benches::{median, report};
use recached_tests::{Server, cache_on};
use redis::aio::MultiplexedConnection;

const ROUNDS: u64 = 15;
const TASKS: u64 = 100;
const COMPUTATION: Duration = Duration::from_millis(50);
const POLICY: Policy = Policy::new(Duration::from_secs(600));

async fn compute(count: Arc<AtomicU64>) -> u64 {
    count.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(COMPUTATION).await;
    7
}

/// The commonly used lock: SET NX, and a poll every 10 ms.
async fn polling(mut connection: MultiplexedConnection, key: String, count: Arc<AtomicU64>) -> u64 {
    let lock = format!("lock:{key}");
    loop {
        let mut get = redis::cmd("GET");
        let found: Option<u64> = get
            .arg(&key)
            .query_async(&mut connection)
            .await
            .expect("it works");
        if let Some(found) = found {
            return found;
        }
        let mut take = redis::cmd("SET");
        take.arg(&lock).arg(1).arg("NX").arg("PX").arg(5_000);
        let taken: Option<String> = take.query_async(&mut connection).await.expect("it works");
        if taken.is_some() {
            let value = compute(count).await;
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(value).arg("EX").arg(600);
            set.exec_async(&mut connection).await.expect("it works");
            return value;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Milliseconds beyond the computation until all tasks have the value.
async fn stampede<F>(call: impl Fn(u64) -> F) -> f64
where
    F: Future<Output = u64> + Send + 'static,
{
    let begun = Instant::now();
    let calls: Vec<_> = (0..TASKS).map(|task| tokio::spawn(call(task))).collect();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 7);
    }
    millis(begun) - COMPUTATION.as_secs_f64() * 1e3
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

async fn measure(server: &Server, table: &mut String) {
    for micros in [0, 500, 2_000] {
        let away = Distance::to(server.port(), Duration::from_micros(micros));
        let url = match micros {
            0 => server.url(),
            _ => away.url(),
        };
        let namespace = format!("away{micros}");
        let caches: [Cache; 2] = [(); 2].map(|()| cache_on(&url, &namespace));
        let client = redis::Client::open(url).expect("the url is good");
        let hand = client
            .get_multiplexed_async_connection()
            .await
            .expect("it connects");
        for cache in &caches {
            while cache.exists("page:0").await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (ours, theirs) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut took = [const { Vec::new() }; 4];
        for round in 0..ROUNDS {
            let call = |task: u64| {
                let (cache, count) = (caches[task as usize % 2].clone(), Arc::clone(&ours));
                async move {
                    let key = format!("page:{round}");
                    cache.get_or_compute(&key, POLICY, || compute(count)).await
                }
            };
            took[0].push(stampede(call).await);
            let call = |_| {
                let key = format!("{micros}:{round}");
                polling(hand.clone(), key, Arc::clone(&theirs))
            };
            took[1].push(stampede(call).await);
            // The second cache has a near entry; the first one invalidates it by name.
            let source = Arc::<AtomicU64>::default();
            let read = async |cache: &Cache| {
                let value = || async { source.load(Ordering::SeqCst) };
                cache.get_or_compute("lag:1", POLICY, value).await
            };
            while read(&caches[1]).await != round {
                source.store(round, Ordering::SeqCst);
                let _ = caches[0].invalidate("lag").await.expect("it works");
            }
            source.store(round + 1, Ordering::SeqCst);
            let begun = Instant::now();
            let _ = caches[0].invalidate("lag").await.expect("it works");
            took[2].push(millis(begun));
            // Calls without a pause, to measure for how long stale values are served after the
            // invalidation has returned.
            let returned = Instant::now();
            let mut last = 0.0;
            while read(&caches[1]).await != round + 1 {
                last = millis(returned);
            }
            took[3].push(last);
        }
        let [ours, theirs] = [ours, theirs].map(|count| count.load(Ordering::SeqCst) / ROUNDS);
        writeln!(
            table,
            "| {} ms | {:.1} ms ({ours}) | {:.1} ms ({theirs}) | {:.2} ms | {:.2} ms |",
            micros as f64 / 1e3,
            median(&took[0]),
            median(&took[1]),
            median(&took[2]),
            median(&took[3]),
        )
        .expect("memory");
    }
}

fn main() {
    recached_benches::network::stand_between();
    let server = Server::start();
    let mut table = String::from(
        "| each way | stampede, recached | by hand, SET NX and a poll every 10 ms | `invalidate` by name | old copies elsewhere, after it |\n|---|---|---|---|---|\n",
    );
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    runtime
        .expect("it starts")
        .block_on(measure(&server, &mut table));
    report("distances", &table);
}
