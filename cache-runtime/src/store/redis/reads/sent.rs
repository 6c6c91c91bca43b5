use std::future::{Future, poll_fn};
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use coarsetime::Instant;
use redis::aio::ConnectionLike;
use redis::{Pipeline, RedisResult, Value};
use tokio::time::timeout;

use super::super::link::Link;
use super::super::seen::{ask, seen};
use super::{Asked, Reads};
use crate::background::yielded;

/// A pipeline under way.
pub(super) struct Sent {
    /// When the first of them was asked for.
    pub(super) at: Instant,
    pub(super) count: usize,
    asked: Mutex<Vec<Asked>>,
}

impl Sent {
    pub(super) fn new(at: Instant, asked: Vec<Asked>) -> Self {
        Self {
            at,
            count: asked.len(),
            asked: Mutex::new(asked),
        }
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pipeline(&self, most: u64) -> Pipeline {
        let asked = self.asked();
        let mut pipeline = Pipeline::with_capacity(asked.len());
        for Asked { key, look, .. } in &*asked {
            for command in ask(key, *look, most) {
                pipeline.add_command(command);
            }
        }
        pipeline
    }

    /// Gives each its reply, unless it has one: it was overdue.
    fn reply(&self, link: &Link, replies: RedisResult<Vec<Value>>) {
        let asked = take(&mut *self.asked());
        let most = link.settings.largest_entry();
        let mut replies = replies.map(Vec::into_iter);
        for Asked {
            key, look, reply, ..
        } in asked
        {
            let seen = match &mut replies {
                Ok(replies) => seen(replies, &key, look, most).map_err(|error| link.error(&error)),
                Err(error) => Err(link.error(error)),
            };
            let _ = reply.send(seen);
        }
    }
}

/// Sends what is asked for; on the link's runtime, and ends with its link.
pub(in crate::store::redis) async fn send(link: Weak<Link>, reads: Arc<Reads>) {
    loop {
        reads.asked.notified().await;
        yielded().await;
        let Some(link) = link.upgrade() else { return };
        while let Some(sent) = reads.next() {
            let run = run(Arc::clone(&link), Arc::clone(&reads), sent);
            let mut run: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(run);
            // Sent in here: another task's turn may be far off.
            if poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await {
                tokio::spawn(run);
            }
        }
        if reads.is_closed() {
            return;
        }
    }
}

async fn run(link: Arc<Link>, reads: Arc<Reads>, sent: Arc<Sent>) {
    let outcome = match link.line_now() {
        Some(Ok(mut line)) => {
            let pipeline = sent.pipeline(link.settings.largest_entry());
            let count = pipeline.len();
            let replies = line.connection.req_packed_commands(&pipeline, 0, count);
            match timeout(reads.limit, replies).await {
                Ok(replies) => replies,
                // Whoever watches the clock tells those who wait.
                Err(_) => return,
            }
        }
        // It has fallen since: whoever comes now is told why.
        _ => Err((redis::ErrorKind::Io, "the connection was lost").into()),
    };
    reads.done(&sent);
    sent.reply(&link, outcome);
}
