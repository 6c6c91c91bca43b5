//! Reads that are sent to the server together: each receives its own reply, and none waits long.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_tests::{Cluster, PATIENCE, Server, cache_on, in_time, resident, until};

const TASKS: u64 = 300;

const DEADLINE: Duration = Duration::from_secs(1);

/// Stored value of `id`.
fn text(id: u64) -> String {
    format!("value {id} {}", "x".repeat(id as usize))
}

/// One call without the near cache; `runs` counts the computations.
async fn read(cache: Cache, id: u64, runs: Arc<AtomicUsize>) -> String {
    let policy = Policy::new(Duration::from_secs(60)).near(false);
    let compute = || async {
        runs.fetch_add(1, Ordering::SeqCst);
        text(id)
    };
    let key = format!("together:{id}");
    cache.get_or_compute(&key, policy, compute).await
}

/// A cache with a command timeout, with the values of all calls stored.
async fn with_a_deadline(deadline: Duration) -> (Server, Cache) {
    let server = Server::start();
    let builder = Cache::builder().redis(server.url()).namespace("together");
    let cache = builder.command_timeout(deadline).build();
    let cache = cache.expect("the url is good");
    until("all of it is stored", || async {
        read_all(&cache).await == 0
    })
    .await;
    (server, cache)
}

/// Makes all calls at once and returns the number of computations.
async fn read_all(cache: &Cache) -> usize {
    let runs = Arc::new(AtomicUsize::new(0));
    let reads = (0..TASKS).map(|id| (id, tokio::spawn(read(cache.clone(), id, Arc::clone(&runs)))));
    let reads: Vec<_> = reads.collect();
    for (id, read) in reads {
        assert_eq!(read.await.expect("no panic"), text(id));
    }
    runs.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_those_who_read_together_has_its_own_value() {
    in_time(async {
        let server = Server::start();
        let cache = cache_on(&server.url(), "together");
        assert_eq!(read_all(&cache).await, TASKS as usize);
        for _ in 0..20 {
            assert_eq!(read_all(&cache).await, 0);
        }
        assert_eq!(cache.stats().total.errors, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_each_has_its_own_value_though_slots_have_moved() {
    in_time(async {
        let cluster = Cluster::start();
        let cache = cache_on(&cluster.url(), "together");
        until("it is reached", || async {
            cache.exists("together:0").await.is_ok()
        })
        .await;
        assert_eq!(read_all(&cache).await, TASKS as usize);
        for round in 0..20 {
            let moved = format!("together:together:{round}");
            cluster.move_slot(cluster.slot_of(&moved));
            assert_eq!(read_all(&cache).await, 0);
        }
        assert_eq!(cache.stats().total.errors, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_an_error_costs_only_its_own_call() {
    in_time(async {
        let server = Server::start();
        let cache = cache_on(&server.url(), "together");
        read_all(&cache).await;
        let client = redis::Client::open(server.url()).expect("the url is good");
        let mut plain = client.get_connection().expect("it is there");
        for id in [0, 7, TASKS - 1] {
            let key = format!("together:together:{id}");
            let () = redis::cmd("UNLINK")
                .arg(&key)
                .query(&mut plain)
                .expect("it works");
            let () = redis::cmd("RPUSH")
                .arg(&key)
                .arg(1)
                .query(&mut plain)
                .expect("it works");
        }
        let before = cache.stats().total;
        assert_eq!(read_all(&cache).await, 3);
        let after = cache.stats().total;
        assert_eq!(after.redis_hits - before.redis_hits, TASKS - 3);
        assert_eq!(after.errors - before.errors, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_those_who_read_together_one_deadline() {
    in_time(async {
        let (server, cache) = with_a_deadline(DEADLINE).await;
        server.freeze();
        let begun = Instant::now();
        assert_eq!(read_all(&cache).await, TASKS as usize);
        let took = begun.elapsed();
        assert!(took >= DEADLINE, "nobody waited: {took:?}");
        assert!(took < PATIENCE / 2, "they waited {took:?}");
        server.thaw();
        until("it is used again", || async { read_all(&cache).await == 0 }).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_blocks_holds_up_nobody_on_another() {
    in_time(async {
        let (_server, cache) = with_a_deadline(DEADLINE).await;
        let runs = Arc::new(AtomicUsize::new(0));
        let (told, done) = mpsc::channel();
        let blocks = tokio::spawn({
            let read = |id| read(cache.clone(), id, Arc::clone(&runs));
            // The second read has woken the sender, which runs on this thread and is blocked with
            // it.
            let (first, second) = (read(TASKS), read(TASKS + 1));
            async move {
                let blocked = async move { done.recv_timeout(PATIENCE) };
                tokio::join!(first, second, blocked).2
            }
        });
        until("the others are served from the server", || async {
            read_all(&cache).await == 0
        })
        .await;
        // They are served although replies also arrive on the connection that is blocked. A busy
        // machine may be late once.
        let mut late = 0;
        for _ in 0..20 {
            late += usize::from(read_all(&cache).await > 0);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(late <= 1, "{late} times they waited in vain");
        told.send(()).expect("it still blocks");
        let outcome = blocks.await.expect("no panic");
        outcome.expect("the others were done before it gave up");
    })
    .await;
}

/// Polls once.
async fn begun<F: Future>(future: Pin<&mut F>) {
    let mut future = Some(future);
    poll_fn(|cx| Poll::Ready(future.take().map(|future| future.poll(cx).is_ready()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn another_task_that_blocks_its_thread_holds_up_nobody() {
    in_time(async {
        let (_server, cache) = with_a_deadline(DEADLINE).await;
        let runs = Arc::new(AtomicUsize::new(0));
        let mut late = 0;
        for _ in 0..16 {
            let (told, done) = mpsc::channel();
            let reads = tokio::spawn({
                let read = |id| read(cache.clone(), id, Arc::clone(&runs));
                // One read is in progress, so that the next one is batched.
                let (mut first, second) = (Box::pin(read(0)), read(1));
                async move {
                    begun(first.as_mut()).await;
                    // An unrelated task that is about to block this thread or another one.
                    let blocks = tokio::spawn(async move { done.recv_timeout(DEADLINE * 5) });
                    second.await;
                    told.send(()).expect("it blocks, or is about to");
                    blocks.await.expect("no panic")
                }
            });
            let outcome = reads.await.expect("no panic");
            outcome.expect("the reads were done before it gave up");
            late += runs.swap(0, Ordering::SeqCst);
            until("all of it comes from the server", || async {
                read_all(&cache).await == 0
            })
            .await;
        }
        assert!(late <= 1, "{late} reads waited in vain");
    })
    .await;
}

#[test]
fn a_call_whose_connection_nobody_reads_goes_by_another_and_is_a_hit() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("it starts");
    let (_server, cache) = runtime.block_on(with_a_deadline(DEADLINE));
    let runs = Arc::new(AtomicUsize::new(0));
    // Block the only thread that could read the replies.
    let (told, done) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    runtime.spawn(async move {
        let _ = begin.send(());
        let _ = done.recv_timeout(PATIENCE);
    });
    begun.recv_timeout(PATIENCE).expect("it blocks");
    let _within = runtime.enter();
    let before = cache.stats().total;
    for id in 0..3 {
        let value = recached_tests::block_on(read(cache.clone(), id, Arc::clone(&runs)));
        assert_eq!(value, text(id));
    }
    let after = cache.stats().total;
    assert_eq!(runs.load(Ordering::SeqCst), 0, "{after:?}");
    assert_eq!(after.redis_hits - before.redis_hits, 3);
    drop(told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_deadline_is_one_too() {
    in_time(async {
        let (_server, cache) = with_a_deadline(Duration::MAX).await;
        let before = cache.stats().total;
        assert_eq!(read_all(&cache).await, 0);
        let after = cache.stats().total;
        assert_eq!(
            (after.errors, after.redis_hits - before.redis_hits),
            (0, TASKS)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_have_left_leave_nothing_behind() {
    in_time(async {
        let (server, cache) = with_a_deadline(PATIENCE).await;
        server.freeze();
        let runs = Arc::new(AtomicUsize::new(0));
        let leave = tokio::spawn(async move {
            for id in 0..200_000 {
                let mut one = Box::pin(read(cache.clone(), id % 3, Arc::clone(&runs)));
                begun(one.as_mut()).await;
                let mut other = Box::pin(read(cache.clone(), 1_000 + id, Arc::clone(&runs)));
                begun(other.as_mut()).await;
                drop((one, other));
                if id % 32 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let before = resident().expect("the system tells");
        leave.await.expect("no panic");
        let after = resident().expect("the system tells");
        let grown = after.saturating_sub(before);
        server.thaw();
        assert!(grown < 30 << 20, "grown by {grown} bytes");
    })
    .await;
}
