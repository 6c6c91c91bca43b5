use std::future::{Future, poll_fn};
use std::mem::take;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use coarsetime::Instant;
use redis::{Cmd, RedisResult};
use tokio::time::timeout;

use super::super::connection::Connection;
use super::super::raw_entry::{ask, seen};
use super::super::transport::Replies;
use super::{
    BatchReply, BatchRequest, CommandBatcher, LONGEST_WAIT, PendingRequest, ServerSilence,
};
use crate::process::background::yielded;

/// A pipeline under way.
pub(super) struct Batch {
    pub(super) at: Instant,
    pub(super) count: usize,
    pub(super) bytes: usize,
    limit: Duration,
    asked_for: AtomicBool,
    pending: Mutex<Vec<PendingRequest>>,
}

impl Batch {
    pub(super) fn new(pending: Vec<PendingRequest>, bytes: usize, limit: Duration) -> Self {
        Self {
            at: Instant::now(),
            count: pending.len(),
            bytes,
            limit,
            asked_for: AtomicBool::new(false),
            pending: Mutex::new(pending),
        }
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Vec<PendingRequest>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long until it is slow, or late, if the server stays silent.
    pub(super) fn due(&self, silence: ServerSilence) -> Duration {
        let after = match self.asked_for.load(Ordering::Relaxed) {
            true => self.patience(silence),
            false => self.limit / 2,
        };
        after.saturating_sub(silence.since.elapsed().into())
    }

    /// Whether it has waited for half of its patience, for the first time that this is asked.
    pub(super) fn is_slow(&self, silence: ServerSilence) -> bool {
        Duration::from(silence.since.elapsed()) >= self.limit / 2
            && !self.asked_for.swap(true, Ordering::Relaxed)
    }

    fn patience(&self, silence: ServerSilence) -> Duration {
        silence.ours.map_or(self.limit, |ours| self.limit.max(ours))
    }

    /// Whether nobody waits for any of it.
    pub(super) fn is_over(&self) -> bool {
        self.pending().iter().all(PendingRequest::is_over)
    }

    pub(super) fn is_late(&self, silence: ServerSilence) -> bool {
        Duration::from(silence.since.elapsed()) >= self.patience(silence)
            || Duration::from(self.at.elapsed()) >= LONGEST_WAIT.max(self.limit)
    }

    fn commands(&self, most: u64) -> Vec<Cmd> {
        let mut pending = self.pending();
        let mut commands = Vec::with_capacity(pending.len());
        for PendingRequest { request, .. } in &mut *pending {
            match request {
                BatchRequest::Lookup(key, look) => commands.extend(ask(key, *look, most)),
                BatchRequest::Commands { parts, .. } => {
                    commands.extend(take(parts).into_iter().flatten());
                }
            }
        }
        commands
    }

    /// Gives each its reply, unless it has one: it was overdue.
    fn reply(&self, link: &Connection, mut replies: RedisResult<Replies>) {
        let pending = take(&mut *self.pending());
        let most = link.settings.largest_entry();
        let spent = self.at.elapsed().into();
        for pending in pending {
            let reply = match &mut replies {
                Ok(replies) => reply_to(&pending.request, replies, most),
                Err(error) => Err(error.clone()),
            };
            pending.answer(reply.map_err(|error| link.error(&error)), spent);
        }
    }
}

fn reply_to(request: &BatchRequest, replies: &mut Replies, most: u64) -> RedisResult<BatchReply> {
    match request {
        BatchRequest::Lookup(key, look) => seen(replies, key, *look, most).map(BatchReply::Entry),
        BatchRequest::Commands { count, .. } => {
            // All of them are taken: what comes after them is another's.
            let replies: Vec<_> = replies.by_ref().take(*count).collect();
            let replies: RedisResult<_> = replies.into_iter().collect();
            replies.map(BatchReply::Values)
        }
    }
}

/// Sends what is asked for; on the link's runtime, and ends with its link.
pub(in crate::backend::redis) async fn send(link: Weak<Connection>, batcher: Arc<CommandBatcher>) {
    loop {
        batcher.asked.notified().await;
        yielded().await;
        let Some(link) = link.upgrade() else { return };
        while let Some(batch) = batcher.next() {
            let run = run(Arc::clone(&link), Arc::clone(&batcher), batch);
            let mut run: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(run);
            // Sent in here: another task's turn may be far off.
            if poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await {
                tokio::spawn(run);
            }
        }
        if batcher.is_closed() {
            return;
        }
    }
}

async fn run(link: Arc<Connection>, batcher: Arc<CommandBatcher>, batch: Arc<Batch>) {
    let outcome = match link.line_now() {
        Some(Ok(mut line)) => {
            let most = link.settings.largest_entry();
            let exchanged = line.connection.send_together(batch.commands(most));
            match timeout(LONGEST_WAIT.max(batcher.limit), exchanged).await {
                Ok(replies) => replies.map(|(replies, moved)| {
                    if moved {
                        // Their slots are looked up again.
                        link.inbox.doubt.notify_one();
                    }
                    replies
                }),
                // Whoever watches the clock tells those who wait.
                Err(_) => return,
            }
        }
        // It has fallen since: whoever comes now is told why.
        _ => Err((redis::ErrorKind::Io, "the connection was lost").into()),
    };
    batcher.done(&batch);
    batch.reply(&link, outcome);
}
