use super::super::connection::Connection;
use super::super::raw_entry::{Replies, seen};
use super::batch::Batch;
use super::command_batcher::CommandBatcher;
use super::limits::LONGEST_WAIT;
use super::request::{BatchReply, BatchRequest};
use crate::process::background::yielded;
use redis::RedisResult;
use std::future::{Future, poll_fn};
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use tokio::time::timeout;

/// Sends waiting requests on the connection's runtime, until the connection is dropped or the
/// batcher is closed.
pub(in crate::backend::redis) async fn send(
    connection: Weak<Connection>,
    batcher: Arc<CommandBatcher>,
) {
    loop {
        batcher.asked.notified().await;
        yielded().await;
        let Some(connection) = connection.upgrade() else {
            return;
        };
        while let Some(batch) = batcher.next() {
            let run = run(Arc::clone(&connection), Arc::clone(&batcher), batch);
            let mut run: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(run);
            // Polled here first, because a spawned task may run much later.
            if poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await {
                tokio::spawn(run);
            }
        }
        if batcher.is_closed() {
            return;
        }
    }
}

async fn run(connection: Arc<Connection>, batcher: Arc<CommandBatcher>, batch: Arc<Batch>) {
    let outcome = match connection.handle_now() {
        Some(Ok(mut handle)) => {
            let most = connection.config.largest_entry();
            let exchanged = handle.transport.send_together(batch.commands(most));
            match timeout(LONGEST_WAIT.max(batcher.limit), exchanged).await {
                Ok(replies) => replies.map(|(replies, moved)| {
                    if moved {
                        // Wakes the supervisor, which reads the slots again.
                        connection.push_handler.doubt.notify_one();
                    }
                    replies
                }),
                // The watching task has failed the callers already.
                Err(_) => return,
            }
        }
        // The connection went down after the requests were queued. New requests get the exact
        // reason.
        _ => Err((redis::ErrorKind::Io, "the connection was lost").into()),
    };
    batcher.done(&batch);
    batch.reply(&connection, outcome);
}

impl Batch {
    /// Sends each request its reply, unless the request was overdue and has failed already.
    fn reply(&self, connection: &Connection, mut replies: RedisResult<Replies>) {
        let pending = take(&mut *self.pending());
        let most = connection.config.largest_entry();
        let spent = self.at.elapsed().into();
        for pending in pending {
            let reply = match &mut replies {
                Ok(replies) => reply_to(&pending.request, replies, most),
                Err(error) => Err(error.clone()),
            };
            pending.answer(reply.map_err(|error| connection.error(&error)), spent);
        }
    }
}

fn reply_to(request: &BatchRequest, replies: &mut Replies, most: u64) -> RedisResult<BatchReply> {
    match request {
        BatchRequest::Lookup(key, look) => seen(replies, key, *look, most).map(BatchReply::Entry),
        BatchRequest::Commands { count, .. } => {
            // All replies are taken, because the next ones belong to another request.
            let replies: Vec<_> = replies.by_ref().take(*count).collect();
            let replies: RedisResult<_> = replies.into_iter().collect();
            replies.map(BatchReply::Values)
        }
    }
}
