use std::sync::{Arc, Weak};
use std::time::Duration;

use super::super::connection::{BUSY, Connection, LONGEST_DOUBT, SilenceCause};
use super::command_batcher::CommandBatcher;
use super::limits::{late_by, unsent};

/// Number of turns, of 1 ms each, that the reader gets before an undelivered reply is late.
const TURNS: usize = 3;

/// Fails overdue requests. Runs on the library's own runtime, because the connection's runtime may
/// be blocked.
pub(in crate::backend::redis) async fn watch(
    connection: Weak<Connection>,
    batcher: Arc<CommandBatcher>,
) {
    loop {
        batcher.begun.notified().await;
        while let Some(due) = batcher.due() {
            tokio::time::sleep(due).await;
            for _ in 0..TURNS {
                // If the reader runs on this thread, the reply may have arrived already.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if batcher.is_slow()
                && let Some(connection) = connection.upgrade()
            {
                connection.ask_whether_it_answers();
            }
            for pending in batcher.unsent() {
                pending.answer(Err(unsent()), Duration::ZERO);
            }
            let overdue = batcher.overdue_since();
            // Requests that failed make room for others in flight.
            batcher.asked.notify_one();
            let Some(sent) = overdue else { continue };
            let silent = Duration::from(sent.elapsed());
            let since = std::time::Instant::now().checked_sub(silent);
            let verdict = match (connection.upgrade(), since) {
                (Some(connection), Some(since)) => connection.judge(since).await,
                _ => SilenceCause::Away,
            };
            let elsewhere = matches!(verdict, SilenceCause::Busy);
            let patience = match verdict {
                SilenceCause::Away => Duration::ZERO,
                // A burst of requests from this process keeps any runtime busy for long.
                SilenceCause::Busy | SilenceCause::Slow if batcher.is_crowded() => LONGEST_DOUBT,
                SilenceCause::Busy => BUSY,
                SilenceCause::Slow => Duration::ZERO,
            };
            if silent < patience {
                batcher.state().ours = Some((sent, patience));
                continue;
            }
            if elsewhere && let Some(connection) = connection.upgrade() {
                connection.leave();
            }
            for pending in batcher.overdue() {
                let error = late_by(batcher.limit);
                let error = match elsewhere {
                    true => error.elsewhere(),
                    false => error,
                };
                pending.answer(Err(error), batcher.limit);
            }
            batcher.asked.notify_one();
        }
        if batcher.is_closed() {
            return;
        }
    }
}
