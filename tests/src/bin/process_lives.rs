//! A test process that uses its cache across a special moment of its life. `fork WHERE` forks a
//! child after the cache was used, `end WHERE` uses the cache while the process exits. `WHERE` is a
//! URL or `process`. The process prints its observations.

use std::cell::RefCell;
use std::process::exit;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fork::{Fork, fork, waitpid};
use recached::{Cache, Event, cached};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

static COMPUTED: AtomicU64 = AtomicU64::new(0);
static FORKED: AtomicUsize = AtomicUsize::new(0);

static CACHE: LazyLock<Cache> = LazyLock::new(|| {
    let place = std::env::args().nth(2).expect("a url, or `process`");
    let builder = Cache::builder().namespace("lives").observer(|event| {
        if matches!(event, Event::Forked) {
            FORKED.fetch_add(1, Ordering::SeqCst);
        }
    });
    let builder = match &*place {
        "process" => builder.in_process(),
        url => builder.redis(url),
    };
    let patient = builder.command_timeout(Duration::from_secs(5));
    patient.build().expect("it builds")
});

#[cached(ttl = 60, cache = CACHE)]
fn square(number: u64) -> u64 {
    COMPUTED.fetch_add(1, Ordering::SeqCst);
    number * number
}

#[cached(ttl = 60, cache = CACHE)]
async fn cube(number: u64) -> u64 {
    COMPUTED.fetch_add(1, Ordering::SeqCst);
    number * number * number
}

/// Counts the computations that `call` causes.
fn computed(call: impl FnOnce()) -> u64 {
    let before = COMPUTED.load(Ordering::SeqCst);
    call();
    COMPUTED.load(Ordering::SeqCst) - before
}

fn near_hits() -> u64 {
    CACHE.stats().total.near_hits
}

/// Repeats the call until it is a near hit.
fn is_near(number: u64) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        let before = near_hits();
        assert_eq!(square(number), number * number);
        if near_hits() > before {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn forks() {
    assert!(is_near(1), "nothing is served near");
    match fork().expect("it forks") {
        Fork::Child => {
            // The first miss in the child, in a plain and in an async call.
            assert_eq!(computed(|| assert_eq!(square(2), 4)), 1);
            assert_eq!(computed(|| assert_eq!(square(2), 4)), 1);
            assert_eq!(
                computed(|| assert_eq!(recached_tests::block_on(cube(2)), 8)),
                1
            );
            // Entries of the parent's near cache must not be served: no server sends invalidations
            // for these entries to the child.
            let begun = Instant::now();
            while computed(|| assert_eq!(square(1), 1)) == 0 {
                assert!(
                    begun.elapsed() < Duration::from_secs(10),
                    "a copy is served"
                );
            }
            let refused = recached::blocking::Entry::invalidate(&square_entry(1));
            let refused = refused.expect_err("it reaches nobody").to_string();
            assert!(refused.contains("fork"), "{refused}");
            assert_eq!(FORKED.load(Ordering::SeqCst), 1);
            println!("the child computes");
            exit(0);
        }
        Fork::Parent(child) => {
            waitpid(child).expect("it ends");
            assert!(is_near(3), "nothing is served near");
            assert_eq!(FORKED.load(Ordering::SeqCst), 0);
            println!("the parent goes on");
        }
    }
}

/// Uses the cache when it is dropped, on the thread that ends.
struct Last(u64);

impl Drop for Last {
    fn drop(&mut self) {
        assert_eq!(square(self.0), self.0 * self.0);
        let number = self.0;
        assert_eq!(
            recached_tests::block_on(cube(number)),
            number * number * number
        );
        println!("{number} is computed at the end");
    }
}

thread_local! {
    /// Initialized before any thread local of the cache, and dropped after them.
    static BEFORE: RefCell<Option<Last>> = const { RefCell::new(None) };
    static AFTER: RefCell<Option<Last>> = const { RefCell::new(None) };
}

fn ends() {
    // Destructors run in the order of the first uses or in its reverse, so both are tested.
    let life = |first: u64| {
        BEFORE.with(|last| *last.borrow_mut() = Some(Last(first)));
        assert_eq!(square(first), first * first);
        AFTER.with(|last| *last.borrow_mut() = Some(Last(first + 1)));
    };
    std::thread::spawn(move || life(10))
        .join()
        .expect("it ends");
    // The destructors of the main thread run when the process exits.
    life(20);
    println!("the process ends");
}

/// A function on the cache that the environment configures.
#[cached(ttl = 60)]
fn default_square(number: u64) -> u64 {
    COMPUTED.fetch_add(1, Ordering::SeqCst);
    number * number
}

/// Uses the cache for the first time while no file descriptors are left, and again later.
fn starves() {
    let limits = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        ..limits
    };
    setrlimit(Resource::Nofile, none).expect("less is allowed");
    let begun = Instant::now();
    for number in 1..=20 {
        assert_eq!(default_square(number), number * number);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "it waits");
    setrlimit(Resource::Nofile, limits).expect("as before");
    println!("it computes without descriptors");
    let begun = Instant::now();
    while computed(|| assert_eq!(default_square(3), 9)) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is off");
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = recached::blocking::invalidate("default_square").expect("it is on");
    assert!(!report.queued);
    println!("it is cached with descriptors");
}

fn main() {
    match &*std::env::args().nth(1).expect("a turn") {
        "fork" => forks(),
        "end" => ends(),
        "starve" => starves(),
        other => panic!("no such turn: {other}"),
    }
}
