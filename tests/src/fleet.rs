use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{PATIENCE, server::signal};

/// Another process of the fleet that executes commands from its standard input, one per line.
pub struct Worker {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts the worker binary and waits until it is connected.
    pub async fn start(binary: &str, url: &str, folder: &Path) -> Self {
        let mut process = Command::new(binary)
            .arg(url)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker was built with the tests");
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut worker = Self {
            process,
            orders,
            answers,
        };
        assert_eq!(worker.answer().await, "ready");
        worker
    }

    /// Sends an order without waiting for its answer.
    pub async fn order(&mut self, order: &str) {
        let line = format!("{order}\n");
        self.orders
            .write_all(line.as_bytes())
            .await
            .expect("the worker listens");
    }

    /// Receives the answer to the oldest order.
    pub async fn answer(&mut self) -> String {
        let line = timeout(PATIENCE, self.answers.next_line())
            .await
            .expect("the worker answers in time");
        line.expect("its output can be read")
            .expect("the worker lives")
    }

    /// Sends an order and waits for its answer.
    pub async fn ask(&mut self, order: &str) -> String {
        self.order(order).await;
        self.answer().await
    }

    /// Repeats an order until its answer is `wanted`.
    pub async fn until_answers(&mut self, order: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.ask(order).await;
            if answer == wanted {
                return;
            }
            let late = begun.elapsed() > PATIENCE;
            assert!(!late, "`{order}` is answered `{answer}`, never `{wanted}`");
        }
    }

    /// Kills the process without a chance to clean up.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("the worker can be killed");
    }

    /// Freezes the process.
    pub fn freeze(&self) {
        signal(self.process.id().expect("it runs"), Signal::STOP);
    }

    /// Resumes the frozen process.
    pub fn thaw(&self) {
        signal(self.process.id().expect("it runs"), Signal::CONT);
    }
}
