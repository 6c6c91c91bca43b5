//! Stampede: 4 processes of 50 tasks on one cold key with a computation of 50 ms.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use recached::{Cache, Policy, cached};
use recached_benches::{median, micros, report};
use recached_tests::{Server, until};
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PROCESSES: usize = 4;
const TASKS: u64 = 50;
const ROUNDS: u64 = 9;
const COMPUTATION: Duration = Duration::from_millis(50);

async fn expensive(connection: &mut MultiplexedConnection) -> String {
    let _: u64 = redis::cmd("INCR")
        .arg("computations")
        .query_async(connection)
        .await
        .expect("it works");
    tokio::time::sleep(COMPUTATION).await;
    "report".to_owned()
}

#[cached(ttl = 60, name = "report", skip(connection))]
async fn protected(mut connection: MultiplexedConnection, _round: u64) -> String {
    expensive(&mut connection).await
}

async fn unprotected(mut connection: MultiplexedConnection, round: u64) -> String {
    let key = format!("plain:{round}");
    if let Some(value) = redis::cmd("GET")
        .arg(&key)
        .query_async(&mut connection)
        .await
        .expect("it works")
    {
        return value;
    }
    let value = expensive(&mut connection).await;
    let _: () = redis::cmd("SET")
        .arg(&key)
        .arg(&value)
        .query_async(&mut connection)
        .await
        .expect("it works");
    value
}

/// The commonly used lock: SET NX, and a poll every 10 ms.
async fn polling(mut connection: MultiplexedConnection, round: u64) -> String {
    let (key, lock) = (format!("poll:{round}"), format!("lock:{round}"));
    loop {
        if let Some(value) = redis::cmd("GET")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .expect("it works")
        {
            return value;
        }
        let mut take = redis::cmd("SET");
        take.arg(&lock).arg(1).arg("NX").arg("PX").arg(5_000);
        let taken: Option<String> = take.query_async(&mut connection).await.expect("it works");
        if taken.is_some() {
            let value = expensive(&mut connection).await;
            let _: () = redis::cmd("SET")
                .arg(&key)
                .arg(&value)
                .query_async(&mut connection)
                .await
                .expect("it works");
            return value;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn process(url: &str) {
    Cache::builder()
        .redis(url)
        .command_timeout(Duration::from_secs(5))
        .install()
        .expect("it builds");
    let client = redis::Client::open(url).expect("the url is good");
    let connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("it connects");
    until("it is connected", || async {
        let minute = Policy::new(Duration::from_secs(60));
        Cache::global().put("warm:up", minute, 1u32).await.is_ok()
    })
    .await;
    println!("ready");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(order)) = orders.next_line().await {
        let (how, round) = order.split_once(' ').expect("an order");
        let round: u64 = round.parse().expect("a number");
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let connection = connection.clone();
                match how {
                    "recached" => tokio::spawn(protected(connection, round)),
                    "polling" => tokio::spawn(polling(connection, round)),
                    _ => tokio::spawn(unprotected(connection, round)),
                }
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        println!("done");
    }
}

struct Peer {
    _process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if let Ok(url) = std::env::var("STAMPEDE_PROCESS") {
        return process(&url).await;
    }
    let server = Server::start();
    let mut fleet = Vec::new();
    for _ in 0..PROCESSES {
        let mut process = Command::new(std::env::current_exe().expect("it has a path"))
            .env("STAMPEDE_PROCESS", server.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let orders = process.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        assert_eq!(
            answers.next_line().await.expect("it is text").as_deref(),
            Some("ready")
        );
        fleet.push(Peer {
            _process: process,
            orders,
            answers,
        });
    }
    let hows = ["unprotected", "polling", "recached"];
    let mut results: Vec<(Vec<u64>, Vec<Duration>)> = vec![Default::default(); hows.len()];
    for round in 0..ROUNDS {
        for (how, (computations, times)) in hows.iter().zip(&mut results) {
            let _: () = server.ask(&["SET", "computations", "0"]);
            let begun = Instant::now();
            for peer in &mut fleet {
                let order = format!("{how} {round}\n");
                peer.orders
                    .write_all(order.as_bytes())
                    .await
                    .expect("it listens");
            }
            for peer in &mut fleet {
                peer.answers.next_line().await.expect("it answers");
            }
            times.push(begun.elapsed());
            computations.push(server.ask(&["GET", "computations"]));
        }
    }
    let mut table =
        String::from("| | computations | all 200 have the value after |\n|---|---|---|\n");
    for (how, (computations, times)) in hows.iter().zip(&results) {
        let how = match *how {
            "polling" => "hand-written SET NX, poll every 10 ms",
            "unprotected" => "look, compute, store",
            how => how,
        };
        let _ = writeln!(
            table,
            "| {how} | {} | {} |",
            median(computations),
            micros(median(times))
        );
    }
    report("stampede", &table);
}
