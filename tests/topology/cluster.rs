//! A cluster of real servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recached::{Cache, cached};
use recached_tests::{Cluster, cache_on, reaches, until};

#[derive(Default)]
struct Source {
    value: AtomicU64,
    /// Oldest value that calls may return.
    oldest: AtomicU64,
    runs: AtomicUsize,
}

impl Source {
    fn ask(&self) -> u64 {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.value.load(Ordering::SeqCst)
    }

    fn set(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }

    /// Records that entries older than the current value have been invalidated.
    fn is_told(&self) {
        let value = self.value.load(Ordering::SeqCst);
        self.oldest.store(value, Ordering::SeqCst);
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[cached(ttl = 60, skip(cache, source), cache = cache, name = "item", tags("tag:{id}"))]
async fn item(cache: &Cache, source: &Source, id: u64) -> u64 {
    source.ask()
}

#[cached(ttl = 60, skip(cache, source), cache = cache, near = false, name = "far")]
async fn far(cache: &Cache, source: &Source, id: u64) -> u64 {
    source.ask()
}

async fn ready(cache: &Cache) {
    until("the cluster is reached", || async { reaches(cache).await }).await;
}

async fn pair(cluster: &Cluster) -> (Cache, Cache) {
    let [one, two] = [(); 2].map(|()| cache_on(&cluster.url(), "cluster"));
    ready(&one).await;
    ready(&two).await;
    (one, two)
}

/// Connections to a node that use tracking.
fn links(cluster: &Cluster, place: usize) -> Vec<String> {
    let clients: String = cluster.ask(place, &["CLIENT", "LIST"]);
    let field = |client: &str, name: &str| {
        let mut fields = client.split(' ');
        fields.find_map(|field| Some(field.strip_prefix(name)?.to_owned()))
    };
    let hears = |client: &&str| field(client, "flags=").is_some_and(|flags| flags.contains('t'));
    let links = clients.lines().filter(hears);
    links.filter_map(|client| field(client, "id=")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_a_node_whose_connection_is_lost_are_served_no_more() {
    let cluster = Cluster::start();
    let cache = cache_on(&cluster.url(), "cluster");
    ready(&cache).await;
    let source = Source::default();
    let key = item_entry(&cache, &source, 1)
        .key()
        .expect("it is good")
        .to_string();
    let place = cluster.primary_of(cluster.slot_of(&key));
    for round in 0..3 {
        source.set(round);
        until("a copy is kept", || async {
            let before = cache.stats().function("item").near_hits;
            let value = item(&cache, &source, 1).await;
            value == round && cache.stats().function("item").near_hits > before
        })
        .await;
        source.set(round + 1);
        for link in links(&cluster, place) {
            cluster.ask::<u64>(place, &["CLIENT", "KILL", "ID", &link]);
        }
        // No event reports the lost connection.
        cluster.ask::<u64>(place, &["DEL", &key]);
        until("it is computed anew", || async {
            item(&cache, &source, 1).await == round + 1
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_computed_once_served_near_and_invalidated_on_all_nodes() {
    const CALLS: u64 = 60;
    let cluster = Cluster::start();
    let (one, two) = pair(&cluster).await;
    let source = Source::default();
    for cache in [&one, &two, &one, &two] {
        for id in 0..CALLS {
            assert_eq!(item(cache, &source, id).await, 0);
            assert_eq!(far(cache, &source, id).await, 0);
        }
    }
    assert_eq!(source.runs() as u64, 2 * CALLS, "once in the fleet");
    assert!(
        two.stats().function("item").near_hits > CALLS / 2,
        "{}",
        two.stats()
    );
    // Invalidate by name, by tag, by key and everything, whichever node stores the keys.
    let held = |cache: &Cache, wanted: u64| {
        let (cache, source) = (cache.clone(), &source);
        async move {
            let mut all = true;
            for id in 0..CALLS {
                all &= item(&cache, source, id).await == wanted;
            }
            all
        }
    };
    source.set(1);
    let _ = one.invalidate("item").await.expect("it works");
    assert!(held(&one, 1).await);
    until("the other has heard of it", || held(&two, 1)).await;
    source.set(2);
    for id in 0..CALLS {
        let _ = one
            .invalidate_tag(&format!("tag:{id}"))
            .await
            .expect("it works");
    }
    assert!(held(&one, 2).await);
    until("the other has heard of it", || held(&two, 2)).await;
    source.set(3);
    let freed = one
        .invalidate_keys("item:*")
        .await
        .expect("it works")
        .entries;
    assert_eq!(freed, CALLS);
    assert!(held(&one, 3).await);
    until("the other has heard of it", || held(&two, 3)).await;
    source.set(4);
    let _ = two.invalidate_all().await.expect("it works");
    assert!(held(&two, 4).await);
    until("the other has heard of it", || held(&one, 4)).await;
    // A purge removes entries on every node.
    let freed = one.purge("*").await.expect("it works").entries;
    assert!(freed >= 2 * CALLS, "{freed}");
    let entries: usize = cluster
        .primaries()
        .into_iter()
        .map(|place| {
            cluster
                .ask::<Vec<String>>(place, &["KEYS", "cluster:item:*"])
                .len()
        })
        .sum();
    assert_eq!(entries, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_takes_neither_entries_nor_invalidations_with_it() {
    let cluster = Cluster::start();
    let (one, two) = pair(&cluster).await;
    let source = Source::default();
    for round in 0..4 {
        let before = source.runs();
        source.set(2 * round);
        let _ = one.invalidate("item").await.expect("it works");
        until("both have it", || async {
            item(&one, &source, 1).await == 2 * round && item(&two, &source, 1).await == 2 * round
        })
        .await;
        let runs = source.runs();
        assert!(runs > before);
        // Move the entry first, then the generations that validate it.
        let key = [
            "cluster:item:1",
            "cluster:gen:fn:item",
            "cluster:gen:all",
            "cluster:gen:tag:tag:1",
        ];
        let (from, to) = cluster.move_slot(cluster.slot_of(key[round as usize]));
        assert_ne!(from, to);
        for cache in [&one, &two] {
            assert_eq!(item(cache, &source, 1).await, 2 * round);
        }
        assert_eq!(source.runs(), runs, "nothing is lost with it");
        source.set(2 * round + 1);
        let _ = one.invalidate_tag("tag:1").await.expect("it works");
        assert_eq!(item(&one, &source, 1).await, 2 * round + 1);
        until("the other has heard of it", || async {
            item(&two, &source, 1).await == 2 * round + 1
        })
        .await;
    }
}

/// Continuous calls, each of which must return a value no older than the last invalidation that was
/// acknowledged before the call began, in any process.
struct Traffic {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    calls: Arc<AtomicUsize>,
    slowest: Arc<AtomicU64>,
}

impl Traffic {
    fn begin(cache: &Cache, source: &Arc<Source>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (calls, slowest) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
        let tasks = (0..4).map(|task| {
            let (cache, source, stop) = (cache.clone(), Arc::clone(source), Arc::clone(&stop));
            let (calls, slowest) = (Arc::clone(&calls), Arc::clone(&slowest));
            tokio::spawn(async move {
                let mut id = task;
                while !stop.load(Ordering::SeqCst) {
                    id = (id + 7) % 50;
                    let (begun, oldest) = (Instant::now(), source.oldest.load(Ordering::SeqCst));
                    let value = far(&cache, &source, id).await;
                    assert!(value >= oldest, "{value} was invalidated");
                    slowest.fetch_max(begun.elapsed().as_millis() as u64, Ordering::SeqCst);
                    calls.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        });
        Self {
            tasks: tasks.collect(),
            stop,
            calls,
            slowest,
        }
    }

    async fn end(self) -> (usize, u64) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("no panic");
        }
        (
            self.calls.load(Ordering::SeqCst),
            self.slowest.load(Ordering::SeqCst),
        )
    }
}

/// Waits until calls are hits again and returns the elapsed time.
async fn hits_again(cache: &Cache, source: &Source) -> Duration {
    let begun = Instant::now();
    until("there are hits again", || async {
        let runs = source.runs();
        for _ in 0..2 {
            for id in 0..50 {
                far(cache, source, id).await;
            }
        }
        let runs_now = source.runs();
        // The first pass may compute, the second must not.
        runs_now - runs <= 50 && {
            for id in 0..50 {
                far(cache, source, id).await;
            }
            source.runs() == runs_now
        }
    })
    .await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_dies_costs_no_call_its_result_and_hits_come_back() {
    let mut cluster = Cluster::start();
    let cache = Cache::builder()
        .redis(cluster.url())
        .namespace("cluster")
        .command_timeout(Duration::from_millis(500))
        .build()
        .expect("it builds");
    ready(&cache).await;
    let source = Arc::new(Source::default());
    hits_again(&cache, &source).await;
    let traffic = Traffic::begin(&cache, &source);
    let lost = cluster.primary_of(cluster.slot_of("cluster:gen:fn:far"));
    cluster.kill(lost);
    cluster.fails_over(lost);
    let again = hits_again(&cache, &source).await;
    assert!(again < Duration::from_secs(5), "{again:?}");
    source.set(1);
    let _ = cache.invalidate("far").await.expect("it works");
    source.is_told();
    assert_eq!(far(&cache, &source, 1).await, 1);
    // The killed node returns as a replica.
    cluster.restart(lost);
    cluster.is_whole();
    let (calls, slowest) = traffic.end().await;
    assert!(
        calls > 100 && slowest < 5_000,
        "{calls} calls, {slowest} ms"
    );
    assert_eq!(far(&cache, &source, 1).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_from_a_node_that_is_lost_are_not_served() {
    let mut cluster = Cluster::start();
    let (one, two) = pair(&cluster).await;
    let source = Source::default();
    let kept = || one.stats().near.entries;
    for id in 0..50 {
        until("it is near", || async {
            item(&one, &source, id).await;
            let hits = one.stats().total.near_hits;
            item(&one, &source, id).await;
            one.stats().total.near_hits > hits
        })
        .await;
    }
    assert!(kept() > 40, "{}", one.stats());
    let lost = cluster.primary_of(cluster.slot_of("cluster:item:1"));
    cluster.kill(lost);
    until("they are gone", || async { kept() < 10 }).await;
    cluster.fails_over(lost);
    // Another process invalidates as soon as that is possible.
    source.set(1);
    until("it can be invalidated", || async {
        two.invalidate("item")
            .await
            .is_ok_and(|report| !report.queued)
    })
    .await;
    until("no old value is served", || async {
        let mut new = true;
        for id in 0..50 {
            new &= item(&one, &source, id).await == 1;
        }
        new
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes half a minute: see the README"]
async fn all_nodes_may_be_restarted_in_turn() {
    let mut cluster = Cluster::start();
    let (cache, _) = pair(&cluster).await;
    let source = Arc::new(Source::default());
    let traffic = Traffic::begin(&cache, &source);
    for place in 0..6 {
        let primary = cluster.primaries().contains(&place);
        cluster.kill(place);
        if primary {
            cluster.fails_over(place);
        }
        cluster.restart(place);
        cluster.is_whole();
    }
    let again = hits_again(&cache, &source).await;
    assert!(again < Duration::from_secs(5), "{again:?}");
    let (calls, _) = traffic.end().await;
    assert!(calls > 100, "{calls}");
}

/// One register per tag. Each register is changed and invalidated through one cache and read
/// through both, while slots move and primaries hand over to their replicas. An acknowledged
/// invalidation holds at once in its own process, and in the other after `TRAVEL`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_invalidation_is_lost_while_slots_move_and_primaries_change() {
    const REGISTERS: u64 = 20;
    const TRAVEL: Duration = Duration::from_secs(2);
    struct Register {
        source: Source,
        /// Newest version known to be invalidated, and the time of the invalidation.
        told: std::sync::Mutex<(u64, Instant)>,
    }
    let cluster = Arc::new(Cluster::start());
    let (one, two) = pair(&cluster).await;
    let new = || Register {
        source: Source::default(),
        told: std::sync::Mutex::new((0, Instant::now())),
    };
    let registers: Arc<Vec<Register>> = Arc::new((0..REGISTERS).map(|_| new()).collect());
    let over = Arc::new(AtomicBool::new(false));
    let (reads, acknowledged) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let readers: Vec<_> = (0..4)
        .map(|place| {
            let (cache, registers) = (two.clone(), Arc::clone(&registers));
            let (over, reads) = (Arc::clone(&over), Arc::clone(&reads));
            tokio::spawn(async move {
                let mut id = place;
                while !over.load(Ordering::SeqCst) {
                    id = (id + 3) % REGISTERS;
                    let register = &registers[id as usize];
                    let (told, since) = *register.told.lock().expect("no panic");
                    let travelled = since.elapsed() > TRAVEL;
                    let read = item(&cache, &register.source, id).await;
                    assert!(
                        read >= told || !travelled,
                        "{read} was read, {told} is told"
                    );
                    reads.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writer = {
        let (cache, registers, over) = (one.clone(), Arc::clone(&registers), Arc::clone(&over));
        let acknowledged = Arc::clone(&acknowledged);
        tokio::spawn(async move {
            let mut untold = 0;
            for version in 1.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let id = version % REGISTERS;
                let register = &registers[id as usize];
                register.source.set(version);
                let outcome = cache.invalidate_tag(&format!("tag:{id}")).await;
                assert!(item(&cache, &register.source, id).await >= version);
                match outcome {
                    Ok(_) => {
                        *register.told.lock().expect("no panic") = (version, Instant::now());
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    // The invalidation is queued and sent when that is possible.
                    Err(_) => untold += 1,
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            untold
        })
    };
    let (disturbed, told) = (Arc::clone(&cluster), Arc::clone(&acknowledged));
    let disturb = tokio::task::spawn_blocking(move || {
        let mut round = 0;
        while round < 4 || told.load(Ordering::SeqCst) < 200 {
            assert!(round < 100, "nothing is acknowledged");
            round += 1;
            for key in [
                format!("cluster:gen:tag:tag:{}", round % REGISTERS),
                format!("cluster:item:{}", round % REGISTERS),
            ] {
                disturbed.move_slot(disturbed.slot_of(&key));
            }
            let primary = disturbed.primary_of(disturbed.slot_of("cluster:gen:fn:item"));
            disturbed.hand_over(primary);
            disturbed.is_whole();
        }
    });
    disturb.await.expect("the cluster obeys");
    until("there is traffic in the calm", {
        let (before, reads) = (reads.load(Ordering::SeqCst), Arc::clone(&reads));
        move || {
            let reads = reads.load(Ordering::SeqCst);
            async move { reads > before + 1_000 }
        }
    })
    .await;
    over.store(true, Ordering::SeqCst);
    let untold = writer.await.expect("none was lost");
    let told = acknowledged.load(Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("none was lost");
    }
    println!(
        "{told} invalidations told, {untold} queued, {} reads",
        reads.load(Ordering::SeqCst)
    );
    for (id, register) in registers.iter().enumerate() {
        let newest = register.source.value.load(Ordering::SeqCst);
        for cache in [&one, &two] {
            until("nothing old is left", || async {
                item(cache, &register.source, id as u64).await == newest
            })
            .await;
        }
    }
}
