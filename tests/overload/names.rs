//! Many names, of functions and of entries stored by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recached::Policy;
use recached_tests::{Fixture, on_both_stores};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));
const NAMES: usize = 10_000;
const SOME: [usize; 3] = [0, 1, NAMES - 1];
const TASKS: usize = 16;

on_both_stores! {
    ten_thousand_names_are_invalidated_while_others_go_on
}

async fn ten_thousand_names_are_invalidated_while_others_go_on(fixture: Fixture) {
    let cache = fixture.one.clone();
    let tasks = (0..TASKS).map(|task| {
        let cache = cache.clone();
        tokio::spawn(async move {
            for name in (task..NAMES).step_by(TASKS) {
                let key = format!("name{name}:1");
                assert_eq!(cache.get::<usize>(&key).await.expect("it works"), None);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    for name in SOME {
        let key = format!("name{name}:1");
        cache.put(&key, MINUTE, name).await.expect("it works");
    }
    let (report, took, others) = tokio::task::block_in_place(|| {
        // A single thread, which a long operation would block for all other tasks.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            let polls = Arc::new(AtomicUsize::new(0));
            let over = Arc::new(AtomicBool::new(false));
            let other = tokio::spawn({
                let (polls, over) = (Arc::clone(&polls), Arc::clone(&over));
                async move {
                    while !over.load(Ordering::SeqCst) {
                        polls.fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                    }
                }
            });
            tokio::task::yield_now().await;
            let before = polls.load(Ordering::SeqCst);
            let begun = Instant::now();
            let report = cache.invalidate("*").await.expect("it works");
            let took = begun.elapsed();
            let others = polls.load(Ordering::SeqCst) - before;
            over.store(true, Ordering::SeqCst);
            other.await.expect("no panic");
            (report, took, others)
        })
    });
    println!("{NAMES} names: {took:?}, {others} polls of another task meanwhile");
    assert_eq!(report.functions.len(), NAMES);
    assert!(!report.queued);
    assert!(others >= NAMES / 1_000, "{others}");
    for name in SOME {
        let key = format!("name{name}:1");
        assert_eq!(cache.get::<usize>(&key).await.expect("it works"), None);
    }
}
