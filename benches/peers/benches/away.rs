//! Hits and misses on a server across a network, compared with clients and caching crates: on
//! loopback, and with 0.5 and 2 ms in each direction. The peers' caches are created once per
//! process, so each distance is measured in a process of its own.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fred::clients::Client as FredClient;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::Expiration;
use fred::types::config::{Config, TcpConfig};
use recached::{Cache, cached};
use recached_benches::network::{Distance, connect};
use recached_benches::{median, report};
use recached_peers::{Item, cached as peer_cached, cachekit, hitbox, make};
use recached_tests::{Server, cache_on};
use redis::aio::MultiplexedConnection;
use rustis::client::Client as RustisClient;
use rustis::commands::{SetExpiration, StringCommands};

const KEYS: u64 = 1_000;
const ROUNDS: usize = 5;
const TASKS: u64 = 64;
const TTL: u64 = 600;

static CACHE: OnceLock<Cache> = OnceLock::new();

fn cache() -> &'static Cache {
    CACHE.get().expect("it is set")
}

#[cached(ttl = 600, near = false, cache = cache())]
async fn ours(id: u64) -> Item {
    make(id, 100)
}

fn bytes(item: &Item) -> Vec<u8> {
    serde_json::to_vec(item).expect("it is json")
}

fn item(bytes: &[u8]) -> Item {
    serde_json::from_slice(bytes).expect("it is json")
}

async fn by_hand(mut connection: MultiplexedConnection, id: u64) -> Item {
    let key = format!("hand:{id}");
    let found: Option<Vec<u8>> = redis::cmd("GET")
        .arg(&key)
        .query_async(&mut connection)
        .await
        .expect("it works");
    if let Some(found) = found {
        return item(&found);
    }
    let made = make(id, 100);
    let mut set = redis::cmd("SET");
    set.arg(&key).arg(bytes(&made)).arg("EX").arg(TTL);
    set.exec_async(&mut connection).await.expect("it works");
    made
}

async fn by_fred(client: FredClient, id: u64) -> Item {
    let key = format!("fred:{id}");
    let found: Option<Vec<u8>> = client.get(&key).await.expect("it works");
    if let Some(found) = found {
        return item(&found);
    }
    let made = make(id, 100);
    let life = Some(Expiration::EX(TTL as i64));
    let value: &[u8] = &bytes(&made);
    let _: () = client
        .set(&key, value, life, None, false)
        .await
        .expect("it works");
    made
}

async fn by_rustis(client: RustisClient, id: u64) -> Item {
    let key = format!("rustis:{id}");
    let found: Option<rustis::resp::BulkString> = client.get(&key).await.expect("it works");
    if let Some(found) = found {
        return item(found.as_bytes());
    }
    let made = make(id, 100);
    let value = rustis::resp::BulkString::from(bytes(&made));
    client
        .set_with_options(&key, value, None, SetExpiration::Ex(TTL))
        .await
        .expect("it works");
    made
}

type Rate = Pin<Box<dyn Future<Output = f64>>>;
type Contender = Box<dyn Fn(u64, u64, u64) -> Rate>;

/// Calls per second, given the number of tasks, the number of calls per task, and the first id. For
/// hits, ids repeat.
fn contender<F>(call: impl Fn(u64) -> F + Clone + Send + Sync + 'static) -> Contender
where
    F: Future<Output = Item> + Send + 'static,
{
    Box::new(move |tasks, each, from| {
        let call = Arc::new(call.clone());
        Box::pin(async move {
            let begun = Instant::now();
            let running: Vec<_> = (0..tasks)
                .map(|task| {
                    let call = Arc::clone(&call);
                    tokio::spawn(async move {
                        for n in 0..each {
                            let id = match from {
                                0 => (task * 7 + n) % KEYS,
                                from => from + task * each + n,
                            };
                            assert_eq!(call(id).await.id, id);
                        }
                    })
                })
                .collect();
            for task in running {
                task.await.expect("no panic");
            }
            (tasks * each) as f64 / begun.elapsed().as_secs_f64()
        })
    })
}

/// Reserves ids that no call has used before.
fn unused(count: u64) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(10_000);
    NEXT.fetch_add(count, Ordering::Relaxed)
}

async fn fred(url: &str) -> FredClient {
    let mut builder = fred::types::Builder::from_config(Config::from_url(url).expect("it is good"));
    builder.with_connection_config(|config| {
        config.tcp = TcpConfig {
            nodelay: Some(true),
            ..Default::default()
        };
    });
    let client = builder.build().expect("it builds");
    client.init().await.expect("it connects");
    client
}

/// Measures at this distance and prints a line for each contender.
async fn measure(url: String, micros: u64) {
    CACHE.get_or_init(|| cache_on(&url, "bench"));
    peer_cached::start(&url).await;
    hitbox::start(&url).await;
    cachekit::start(&url).await;
    let hand = connect(&url, true).await;
    let fred = fred(&url).await;
    let rustis = RustisClient::connect(url.as_str())
        .await
        .expect("it connects");
    let contenders: [(&str, Contender); 7] = [
        (
            "by hand, redis-rs, `TCP_NODELAY`",
            contender(move |id| by_hand(hand.clone(), id)),
        ),
        (
            "by hand, fred, `TCP_NODELAY`",
            contender(move |id| by_fred(fred.clone(), id)),
        ),
        (
            "by hand, rustis",
            contender(move |id| by_rustis(rustis.clone(), id)),
        ),
        (
            "`cached`, `#[concurrent_cached]`",
            contender(peer_cached::item_100),
        ),
        ("`hitbox-redis`", contender(hitbox::item_100)),
        ("`cachekit-rs`", contender(cachekit::item_100)),
        ("recached", contender(ours)),
    ];
    for (_, contender) in &contenders {
        contender(8, KEYS / 4, 0).await;
        contender(1, KEYS, 0).await;
    }
    // Calls per task: for hits, then for misses.
    let (alone, many) = match micros {
        0 => ((3_000, 1_000), (400, 100)),
        _ => ((150, 60), (100, 40)),
    };
    let mut rates = vec![[const { Vec::new() }; 4]; contenders.len()];
    for _ in 0..ROUNDS {
        for (place, (_, contender)) in contenders.iter().enumerate() {
            rates[place][0].push(contender(1, alone.0, 0).await);
            rates[place][1].push(contender(TASKS, many.0, 0).await);
            rates[place][2].push(contender(1, alone.1, unused(alone.1)).await);
            let count = TASKS * many.1;
            rates[place][3].push(contender(TASKS, many.1, unused(count)).await);
        }
    }
    for (place, (name, _)) in contenders.iter().enumerate() {
        print!("| {} ms | {name}", micros as f64 / 1e3);
        for case in 0..4 {
            let ratios = rates[place][case].iter().zip(&rates[0][case]);
            let ratio = median(&ratios.map(|(this, hand)| this / hand).collect::<Vec<_>>());
            let rate = median(&rates[place][case]);
            match case % 2 {
                0 => print!(" | {:.2} ms ({ratio:.2})", 1e3 / rate),
                _ => print!(" | {:.1} k/s ({ratio:.2})", rate / 1e3),
            }
        }
        println!(" |");
    }
}

fn main() {
    recached_benches::network::stand_between();
    let words: Vec<String> = std::env::args().collect();
    if let Some(place) = words.iter().position(|word| word == "--away") {
        let port = words[place + 1].parse().expect("a port");
        let micros = words[place + 2].parse().expect("microseconds");
        let away = Distance::to(port, Duration::from_micros(micros));
        let url = match micros {
            0 => format!("redis://127.0.0.1:{port}/"),
            _ => away.url(),
        };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        runtime.expect("it starts").block_on(measure(url, micros));
        return;
    }
    let mut table = String::from(
        "| each way | | a hit, 1 task | hits, 64 tasks | a cold miss, 1 task | cold misses, 64 tasks |\n|---|---|---|---|---|---|\n",
    );
    for micros in ["0", "500", "2000"] {
        let server = Server::start();
        let own = std::env::current_exe().expect("it has a path");
        let output = Command::new(own)
            .args(["--away", &server.port().to_string(), micros])
            .output()
            .expect("it runs");
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        for row in text.lines().filter(|line| line.starts_with("| ")) {
            writeln!(table, "{row}").expect("memory");
        }
    }
    report("away", &table);
}
