//! Single-threaded runtimes that call often have connections of their own. Invalidations still take
//! effect while such a runtime is blocked, after it has ended, and when any of the connections is
//! lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use recached::{Cache, Policy};
use recached_tests::{PATIENCE, Server, block_on, cache_on};
use tokio::runtime::Runtime;

/// Source of the function.
#[derive(Clone, Default)]
struct Source(Arc<AtomicU64>);

impl Source {
    fn set(&self, version: u64) {
        self.0.store(version, Ordering::SeqCst);
    }
}

async fn read(cache: &Cache, source: &Source, id: u64) -> u64 {
    let policy = Policy::new(Duration::from_secs(600));
    let compute = || async { source.0.load(Ordering::SeqCst) };
    cache
        .get_or_compute(&format!("item:{id}"), policy, compute)
        .await
}

fn until(what: &str, mut state: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !state() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Clients of the server: the id of each, and the id of the client that receives its pushes.
fn clients(server: &Server) -> Vec<(i64, i64)> {
    let list: String = server.ask(&["CLIENT", "LIST"]);
    let number = |line: &str, name: &str| {
        let value = line.split(' ').find_map(|field| field.strip_prefix(name));
        value.and_then(|value| value.parse().ok())
    };
    let each = list.lines();
    each.filter_map(|line| Some((number(line, "id=")?, number(line, "redir=")?)))
        .collect()
}

/// The connection whose pushes are redirected, and the connection that receives them.
fn redirected(server: &Server) -> Option<(i64, i64)> {
    clients(server).into_iter().find(|(_, to)| *to > 0)
}

/// A thread with such a runtime that executes work items.
struct Busy {
    work: Option<mpsc::Sender<Work>>,
    thread: Option<thread::JoinHandle<()>>,
}

type Work = Box<dyn FnOnce(&Runtime) + Send>;

impl Busy {
    fn start() -> Self {
        let (work, todo) = mpsc::channel::<Work>();
        let thread = thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("it starts");
            loop {
                match todo.try_recv() {
                    Ok(work) => work(&runtime),
                    Err(mpsc::TryRecvError::Empty) => {
                        // The runtime runs all the time, like that of a service.
                        runtime.block_on(async {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        });
                    }
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
        });
        Self {
            work: Some(work),
            thread: Some(thread),
        }
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce(&Runtime) -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.begin(move |runtime| {
            let _ = done.send(work(runtime));
        });
        result.recv_timeout(PATIENCE).expect("no panic")
    }

    fn begin(&self, work: impl FnOnce(&Runtime) + Send + 'static) {
        let sender = self.work.as_ref().expect("it has not ended");
        sender.send(Box::new(work)).expect("it has not ended");
    }

    fn end(mut self) {
        self.work = None;
        let thread = self.thread.take().expect("it has not ended");
        thread.join().expect("no panic");
    }

    fn read(&self, cache: &Cache, source: &Source, id: u64) -> u64 {
        let (cache, source) = (cache.clone(), source.clone());
        self.run(move |runtime| runtime.block_on(read(&cache, &source, id)))
    }

    /// Calls until the runtime has a connection of its own, and returns its id and its redirection.
    fn calls_often(&self, server: &Server, cache: &Cache, source: &Source) -> (i64, i64) {
        static NEXT: Mutex<u64> = Mutex::new(1_000_000);
        let mut own = None;
        until("it has a connection of its own", || {
            let mut next = NEXT.lock().expect("no panic");
            let from = *next;
            *next += 200;
            drop(next);
            let (cache, source) = (cache.clone(), source.clone());
            self.run(move |runtime| {
                runtime.block_on(async {
                    for id in from..from + 200 {
                        read(&cache, &source, id).await;
                    }
                });
            });
            own = redirected(server);
            own.is_some()
        });
        own.expect("it was just found")
    }
}

/// A server, the cache of this process, and a second cache that invalidates.
fn pair() -> (Server, Cache, Cache) {
    let server = Server::start();
    let (ours, other) = (
        cache_on(&server.url(), "one-thread"),
        cache_on(&server.url(), "one-thread"),
    );
    (server, ours, other)
}

/// Invalidates through the other cache and waits until a call here returns the new version.
fn change(ours: &Cache, other: &Cache, source: &Source, version: u64, of_group: bool) {
    source.set(version);
    let told = match of_group {
        true => block_on(other.invalidate("item")).map(drop),
        false => block_on(other.remove("item:1")).map(drop),
    };
    told.expect("it is told");
    until("it is heard of", || {
        block_on(read(ours, source, 1)) == version
    });
}

#[test]
fn what_one_has_read_is_invalidated_while_its_thread_is_blocked() {
    let (server, ours, other) = pair();
    let source = Source::default();
    let busy = Busy::start();
    let copied = |id, version| {
        // The push about this write may arrive at the other connection after the reply.
        until("there is a copy", || {
            let hits = ours.stats().total.near_hits;
            assert_eq!(busy.read(&ours, &source, id), version);
            ours.stats().total.near_hits > hits
        });
    };
    // A runtime that stays blocked for some seconds is given up together with all near entries; the
    // near entry of another call shows whether that happened.
    let (mut version, mut heard) = (0, 0);
    while heard < 4 {
        assert!(version < 5, "nothing is heard of but by giving all up");
        busy.calls_often(&server, &ours, &source);
        copied(1, version);
        source.set(version);
        let (go_on, blocked) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let witness = Policy::new(Duration::from_secs(600));
        let read_witness = || block_on(ours.get_or_compute("witness:1", witness, || async { 0 }));
        until("there is a witness", || {
            let hits = ours.stats().total.near_hits;
            read_witness();
            ours.stats().total.near_hits > hits
        });
        busy.begin(move |runtime| {
            runtime.block_on(async {
                let _ = begin.send(());
                let _ = blocked.recv_timeout(PATIENCE);
            });
        });
        begun.recv_timeout(PATIENCE).expect("it blocks");
        version += 1;
        change(&ours, &other, &source, version, version % 2 == 0);
        let hits = ours.stats().total.near_hits;
        read_witness();
        heard += u32::from(ours.stats().total.near_hits > hits);
        drop(go_on);
    }
    busy.end();
}

#[test]
fn what_one_has_read_is_not_served_for_ever_after_it_has_ended() {
    let (server, ours, other) = pair();
    let source = Source::default();
    for round in 0..4 {
        let busy = Busy::start();
        busy.calls_often(&server, &ours, &source);
        busy.read(&ours, &source, 1);
        busy.end();
        change(&ours, &other, &source, round + 1, round % 2 == 0);
    }
}

#[test]
fn changes_are_received_whichever_connection_was_lost() {
    let (server, ours, other) = pair();
    let source = Source::default();
    let busy = Busy::start();
    for version in 1..=8 {
        let (own, steady) = busy.calls_often(&server, &ours, &source);
        busy.read(&ours, &source, 1);
        let lost = match version % 2 {
            0 => own,
            _ => steady,
        };
        server.ask::<i64>(&["CLIENT", "KILL", "ID", &lost.to_string()]);
        if version > 4 {
            // Use whichever connection exists by now.
            busy.read(&ours, &source, 1);
        }
        change(&ours, &other, &source, version, version % 4 < 2);
        until("another has come", || {
            let gone = |(own, to): (i64, i64)| own != lost && to != lost;
            busy.read(&ours, &source, 1);
            redirected(&server).is_none_or(gone)
        });
    }
    busy.end();
}
