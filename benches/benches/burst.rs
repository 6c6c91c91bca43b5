//! Many concurrent cold calls: the number of stored values, and the duration of the slowest call.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use recached::{Cache, cached};
use recached_benches::network::Distance;
use recached_benches::report;
use recached_tests::Server;

#[cached(ttl = 600, near = false, cache = cache, skip(cache))]
async fn page(cache: &Cache, id: u64) -> String {
    format!("{id:>100}")
}

async fn timed(cache: Cache, slowest: Arc<AtomicU64>, id: u64) {
    let begun = Instant::now();
    assert_eq!(page(&cache, id).await.len(), 100);
    let took = begun.elapsed().as_micros();
    slowest.fetch_max(u64::try_from(took).expect("it is short"), Ordering::Relaxed);
}

/// Number of stored entries on the server once no write is in progress.
async fn stored(server: &Server, namespace: &str, most: u64) -> u64 {
    let count = |keys: Vec<String>| {
        let is_entry = |key: &&String| {
            key.contains("page") && !key.contains(":gen:") && !key.ends_with(":lease")
        };
        keys.iter().filter(is_entry).count() as u64
    };
    let mut last = 0;
    for _ in 0..100 {
        last = count(server.ask(&["KEYS", &format!("*{namespace}:*")]));
        if last >= most {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    last
}

async fn burst(server: &Server, url: &str, count: u64, spawned: bool) -> [String; 4] {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let namespace = format!("burst{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let events = Arc::new(Mutex::new(Vec::new()));
    let builder = Cache::builder().redis(url).namespace(&namespace);
    let cache = builder.observer({
        let events = Arc::clone(&events);
        move |event| events.lock().expect("no panic").push(event.to_string())
    });
    let cache = cache.build().expect("the url is good");
    let slowest = Arc::<AtomicU64>::default();
    // Connect first; the function is still unknown to the cache.
    while cache
        .put(
            "warm:1",
            recached::Policy::new(Duration::from_secs(60)),
            1u8,
        )
        .await
        .is_err()
        || cache.get::<u8>("warm:1").await.ok().flatten().is_none()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    events.lock().expect("no panic").clear();
    let begun = Instant::now();
    let calls = (0..count).map(|id| timed(cache.clone(), Arc::clone(&slowest), id));
    if spawned {
        let calls: Vec<_> = calls.map(tokio::spawn).collect();
        for call in calls {
            call.await.expect("no panic");
        }
    } else {
        futures_util::future::join_all(calls).await;
    }
    let took = begun.elapsed();
    let stored = stored(server, &namespace, count).await;
    let events = events.lock().expect("no panic");
    for event in events.iter().take(3) {
        eprintln!("{event}");
    }
    let stats = cache.stats().total;
    if stats.errors > 0 {
        eprintln!("{stats:?}");
    }
    [
        format!("{:.0} ms", took.as_secs_f64() * 1e3),
        format!("{:.0} ms", slowest.load(Ordering::Relaxed) as f64 / 1e3),
        stored.to_string(),
        events.len().to_string(),
    ]
}

fn main() {
    recached_benches::network::stand_between();
    let server = Server::start();
    let away = Distance::to(server.port(), Duration::from_micros(500));
    let mut table = String::from(
        "| runtime | each way | calls | all done in | slowest call | stored | events |\n|---|---|---|---|---|---|---|\n",
    );
    let kinds: [(_, _, &[u64]); 2] = [
        ("2 threads", 2, &[10_000, 100_000]),
        ("current thread", 0, &[10_000, 100_000]),
    ];
    for (runtime, threads, counts) in kinds {
        for (delay, url) in [("0", server.url()), ("0.5 ms", away.url())] {
            for (how, spawned) in [("`join_all`", false), ("spawned", true)] {
                for count in counts.iter().copied() {
                    let mut builder = match threads {
                        0 => tokio::runtime::Builder::new_current_thread(),
                        _ => tokio::runtime::Builder::new_multi_thread(),
                    };
                    if threads > 0 {
                        builder.worker_threads(threads);
                    }
                    let tokio = builder.enable_all().build().expect("it starts");
                    let [took, slowest, stored, events] =
                        tokio.block_on(burst(&server, &url, count, spawned));
                    let _ = writeln!(
                        table,
                        "| {runtime} | {delay} | {count}, {how} | {took} | {slowest} | {stored} | {events} |"
                    );
                    eprintln!(
                        "{runtime} {delay} {count} {how}: {took} {slowest} {stored} {events}"
                    );
                }
            }
        }
    }
    report("burst", &table);
}
