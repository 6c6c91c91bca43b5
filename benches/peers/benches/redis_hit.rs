//! A hit on Redis: recached compared with a hand-written multiplexed GET, a pool checkout per call,
//! and other caching macros.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use recached::{Cache, cached};
use recached_benches::{median, report};
use recached_peers::{Item, cached as peer_cached, cachekit, hitbox, make};
use recached_tests::{Server, cache_on};
use redis::aio::MultiplexedConnection;

const KEYS: u64 = 1_000;
const ROUNDS: usize = 7;

static CACHE: OnceLock<Cache> = OnceLock::new();

fn cache() -> &'static Cache {
    CACHE.get().expect("it is set")
}

#[cached(ttl = 600, near = false, cache = cache())]
async fn ours_100(id: u64) -> Item {
    make(id, 100)
}

#[cached(ttl = 600, near = false, cache = cache())]
async fn ours_16k(id: u64) -> Item {
    make(id, 16_384)
}

async fn by_hand(mut connection: MultiplexedConnection, size: usize, id: u64) -> Item {
    let mut get = redis::cmd("GET");
    get.arg(format!("plain:{size}:{id}"));
    let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("it works");
    serde_json::from_slice(&bytes).expect("it is json")
}

async fn by_checkout(pool: deadpool_redis::Pool, size: usize, id: u64) -> Item {
    let mut connection = pool.get().await.expect("there is one");
    let mut get = redis::cmd("GET");
    get.arg(format!("plain:{size}:{id}"));
    let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("it works");
    serde_json::from_slice(&bytes).expect("it is json")
}

type Rate = Pin<Box<dyn Future<Output = f64>>>;
type Contender = Box<dyn Fn(u64, u64) -> Rate>;

/// Calls per second, given the number of tasks and of calls.
fn contender<F>(call: impl Fn(u64) -> F + Clone + Send + Sync + 'static) -> Contender
where
    F: Future<Output = Item> + Send + 'static,
{
    Box::new(move |tasks, calls| {
        let call = Arc::new(call.clone());
        Box::pin(async move {
            let begun = Instant::now();
            let running: Vec<_> = (0..tasks)
                .map(|task| {
                    let call = Arc::clone(&call);
                    tokio::spawn(async move {
                        for n in 0..calls / tasks {
                            let id = (task * 7 + n) % KEYS;
                            assert_eq!(call(id).await.id, id);
                        }
                    })
                })
                .collect();
            for task in running {
                task.await.expect("no panic");
            }
            calls as f64 / begun.elapsed().as_secs_f64()
        })
    })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = Server::start();
    let url = server.url();
    CACHE.get_or_init(|| cache_on(&url, "bench"));
    peer_cached::start(&url).await;
    hitbox::start(&url).await;
    cachekit::start(&url).await;
    let client = redis::Client::open(url.clone()).expect("the url is good");
    let plain = client
        .get_multiplexed_async_connection()
        .await
        .expect("it connects");
    let pool = deadpool_redis::Config::from_url(url);
    let pool = pool
        .create_pool(Some(deadpool_redis::Runtime::Tokio1))
        .expect("a pool");
    for (id, size) in (0..KEYS).flat_map(|id| [(id, 100), (id, 16_384)]) {
        let json = serde_json::to_vec(&make(id, size)).expect("it is json");
        let mut set = redis::cmd("SET");
        set.arg(format!("plain:{size}:{id}")).arg(json);
        set.query_async::<()>(&mut plain.clone())
            .await
            .expect("it works");
    }
    let mut table = String::from(
        "| calls/s, medians | 100 B, 1 task | 64 tasks | 256 tasks | 16 KiB, 1 task | 64 tasks | 256 tasks |\n|---|---|---|---|---|---|---|\n",
    );
    let names = [
        "hand-written GET, multiplexed",
        "hand-written GET, `deadpool-redis` checkout per call",
        "`cached`, `#[concurrent_cached]`",
        "`hitbox-redis`",
        "`cachekit-rs`",
        "recached",
    ];
    let mut rows: Vec<String> = names.iter().map(|name| format!("| {name}")).collect();
    for size in [100usize, 16_384] {
        let (connection, pool) = (plain.clone(), pool.clone());
        let hand = contender(move |id| by_hand(connection.clone(), size, id));
        let checkout = contender(move |id| by_checkout(pool.clone(), size, id));
        let peers = match size {
            100 => [
                contender(peer_cached::item_100),
                contender(hitbox::item_100),
                contender(cachekit::item_100),
                contender(ours_100),
            ],
            _ => [
                contender(peer_cached::item_16k),
                contender(hitbox::item_16k),
                contender(cachekit::item_16k),
                contender(ours_16k),
            ],
        };
        let contenders: Vec<_> = [hand, checkout].into_iter().chain(peers).collect();
        for contender in &contenders {
            contender(1, KEYS).await;
        }
        for tasks in [1, 64, 256] {
            let calls = match (tasks, size) {
                (1, _) => 3_000,
                (_, 100) => 51_200,
                _ => 12_800,
            };
            let mut rates = vec![Vec::new(); contenders.len()];
            for _ in 0..ROUNDS {
                for (place, contender) in contenders.iter().enumerate() {
                    rates[place].push(contender(tasks, calls).await);
                }
            }
            for (place, row) in rows.iter_mut().enumerate() {
                // Median of the ratios within each round: a slow round was slow for all contenders.
                let ratios = rates[place].iter().zip(&rates[0]).map(|(a, b)| a / b);
                let ratio = median(&ratios.collect::<Vec<_>>());
                let _ = write!(row, " | {:.0} ({ratio:.2})", median(&rates[place]));
            }
        }
    }
    for row in rows {
        let _ = writeln!(table, "{row} |");
    }
    let stats = cache().stats().total;
    assert_eq!(
        (stats.computations, stats.errors),
        (2 * KEYS, 0),
        "all but the first were hits"
    );
    report("redis_hit", &table);
}
