use crate::process::sync::{Mutex, MutexGuard};
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coarsetime::Instant;
use redis::Cmd;

use super::super::raw_entry::ask;
use super::limits::LONGEST_WAIT;
use super::pending::{PendingRequest, ServerSilence};
use super::request::BatchRequest;

/// A pipeline that was sent.
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
        self.pending.lock()
    }

    /// Returns the time until the pipeline is slow, or late if it is slow already, unless the
    /// server replies before.
    pub(super) fn due(&self, silence: ServerSilence) -> Duration {
        let after = match self.asked_for.load(Ordering::Relaxed) {
            true => self.patience(silence),
            false => self.limit / 2,
        };
        after.saturating_sub(silence.since.elapsed().into())
    }

    /// Returns `true` for the first call after the pipeline has waited for half of its limit.
    pub(super) fn is_slow(&self, silence: ServerSilence) -> bool {
        Duration::from(silence.since.elapsed()) >= self.limit / 2
            && !self.asked_for.swap(true, Ordering::Relaxed)
    }

    fn patience(&self, silence: ServerSilence) -> Duration {
        silence.ours.map_or(self.limit, |ours| self.limit.max(ours))
    }

    /// Returns `true` if no caller waits for any request of the pipeline.
    pub(super) fn is_over(&self) -> bool {
        self.pending().iter().all(PendingRequest::is_over)
    }

    pub(super) fn is_late(&self, silence: ServerSilence) -> bool {
        Duration::from(silence.since.elapsed()) >= self.patience(silence)
            || Duration::from(self.at.elapsed()) >= LONGEST_WAIT.max(self.limit)
    }

    pub(super) fn commands(&self, most: u64) -> Vec<Cmd> {
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
}
