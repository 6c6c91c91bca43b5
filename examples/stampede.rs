//! 200 tasks in 4 processes call one cold function, with and without protection.
//!
//! `REDIS_URL=redis://127.0.0.1/ cargo run --release --example stampede`

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use recached::{Cache, Policy, cached};

const PROCESSES: usize = 4;
const TASKS: usize = 50;

async fn expensive() -> String {
    // Prints one line per computation, in every process.
    println!("computed");
    tokio::time::sleep(Duration::from_millis(50)).await;
    "report".to_owned()
}

#[cached(ttl = 60)]
async fn protected(_id: u32) -> String {
    expensive().await
}

/// The common pattern of caches: look up, compute, store.
async fn unprotected(id: u32) -> String {
    let (cache, key) = (Cache::global(), format!("unprotected:{id}"));
    if let Ok(Some(value)) = cache.get(&key).await {
        return value;
    }
    let value = expensive().await;
    if let Err(error) = cache
        .put(&key, Policy::new(Duration::from_secs(60)), value.clone())
        .await
    {
        eprintln!("not stored: {error}");
    }
    value
}

/// One process of the fleet: connects, waits for the start signal, and starts its tasks.
async fn process(how: &str, id: u32) -> Result<(), Box<dyn Error>> {
    Cache::builder().namespace("stampede-example").install()?;
    Cache::global().get::<String>("warm:up").await?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let is_protected = how == "protected";
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            tokio::spawn(async move {
                if is_protected {
                    protected(id).await
                } else {
                    unprotected(id).await
                }
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

fn spawn(how: &str, id: u32) -> Result<(Child, impl BufRead), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([how, &id.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    if line.trim() != "ready" {
        return Err("a process could not use REDIS_URL: does a server answer there?".into());
    }
    Ok((child, lines))
}

fn stampede(how: &str, id: u32) -> Result<(), Box<dyn Error>> {
    let mut fleet = (0..PROCESSES)
        .map(|_| spawn(how, id))
        .collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    for (child, _) in &mut fleet {
        child.stdin.take().ok_or("no input")?.write_all(b"go\n")?;
    }
    let mut computed = 0;
    for (mut child, lines) in fleet {
        computed += lines
            .lines()
            .map_while(Result::ok)
            .filter(|line| line == "computed")
            .count();
        child.wait()?;
    }
    println!(
        "{how:12} {} tasks in {PROCESSES} processes: {computed:>3} computations, all done after {:?}",
        PROCESSES * TASKS,
        begun.elapsed()
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os("REDIS_URL").is_none() {
        return Err("set REDIS_URL to a Redis server, as in REDIS_URL=redis://127.0.0.1/".into());
    }
    let mut words = std::env::args().skip(1);
    if let (Some(how), Some(id)) = (words.next(), words.next()) {
        return process(&how, id.parse()?).await;
    }
    // A key that no earlier run has stored.
    let id = std::process::id();
    stampede("unprotected", id)?;
    stampede("protected", id)
}
