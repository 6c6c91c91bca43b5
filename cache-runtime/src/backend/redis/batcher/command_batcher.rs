use crate::error::Error;
use crate::process::sync::{Mutex, MutexGuard};
use coarsetime::Instant;
use std::mem::replace;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

use super::batch::Batch;
use super::limits::{
    LONGEST_WAIT, MOST, MOST_BYTES, MOST_BYTES_IN_FLIGHT, MOST_BYTES_WAITING, MOST_IN_FLIGHT,
    MOST_WAITING,
};
use super::pending::PendingRequest;
use super::queue::{BatcherState, is_older_than};
use super::request::{BatchRequest, RequestOutcome};

/// The requests of one connection to one server.
pub(in crate::backend::redis) struct CommandBatcher {
    pub(super) state: Mutex<BatcherState>,
    /// Set while requests are queued, because the connection is up.
    pub(super) open: AtomicBool,
    /// Wakes the sending task.
    pub(super) asked: Notify,
    /// Wakes the watching task.
    pub(super) begun: Notify,
    pub(super) limit: Duration,
}

/// Result of submitting a request.
pub(in crate::backend::redis) enum Submission {
    /// The caller sends the request itself, because nothing else is in flight and another task
    /// would only cost time, or because the connection is down.
    SoleRequest(Option<SoleRequest>, BatchRequest),
    /// The request is sent together with others. Its reply arrives on this channel.
    Together(oneshot::Receiver<RequestOutcome>),
    /// The request is rejected, because too many requests wait.
    Refused {
        /// Set for the first refusal since the queue became full.
        first: bool,
    },
}

/// Marks a request that its own caller has sent as in flight, until this guard is dropped.
pub(in crate::backend::redis) struct SoleRequest(Arc<CommandBatcher>);

impl Drop for SoleRequest {
    fn drop(&mut self) {
        self.0.state().alone = false;
    }
}

impl CommandBatcher {
    pub(in crate::backend::redis) fn new(limit: Duration) -> Self {
        Self {
            state: Mutex::default(),
            open: AtomicBool::new(false),
            asked: Notify::new(),
            begun: Notify::new(),
            limit,
        }
    }

    /// Queues requests from this call on, or stops queueing them. If `open` is false, waiting
    /// requests fail with `reason`.
    pub(in crate::backend::redis) fn set_open(&self, open: bool, reason: impl Fn() -> Error) {
        self.open.store(open, Ordering::Release);
        if open {
            return;
        }
        let waiting = self.state().drain();
        for pending in waiting {
            pending.answer(Err(reason()), Duration::ZERO);
        }
    }

    /// Submits a request of `bytes` bytes.
    pub(in crate::backend::redis) fn begin(
        self: &Arc<Self>,
        request: BatchRequest,
        bytes: usize,
    ) -> Submission {
        if !self.open.load(Ordering::Acquire) {
            return Submission::SoleRequest(None, request);
        }
        let mut state = self.state();
        if state.closed {
            return Submission::SoleRequest(None, request);
        }
        if state.is_idle() {
            state.alone = true;
            return Submission::SoleRequest(Some(SoleRequest(Arc::clone(self))), request);
        }
        // Dropped after the lock is released.
        let left = state.take_left();
        let waiting = state.waiting();
        if waiting >= MOST_WAITING
            || state.waiting_bytes.saturating_add(bytes) > MOST_BYTES_WAITING && waiting > 0
        {
            let first = !replace(&mut state.full, true);
            return Submission::Refused { first };
        }
        let (reply, replied) = oneshot::channel();
        state.waiting_bytes += bytes;
        let queue = match request.is_urgent() {
            true => &mut state.urgent,
            false => &mut state.others,
        };
        queue.push_back(PendingRequest {
            request,
            bytes,
            asked: Instant::now(),
            reply,
        });
        let first = waiting == 0;
        let watched = replace(&mut state.watched, true);
        drop(state);
        drop(left);
        if first {
            self.asked.notify_one();
        }
        if !watched {
            self.begun.notify_one();
        }
        Submission::Together(replied)
    }

    /// Ends the batcher. No further request is queued or sent by it.
    pub(in crate::backend::redis) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let mut left = state.drain();
        while let Some(sent) = state.pop() {
            left.append(&mut sent.pending());
        }
        drop(state);
        // Dropping the requests wakes their callers, so the lock is released first.
        drop(left);
        self.asked.notify_one();
        self.begun.notify_one();
    }

    /// Takes the next requests to send, if there is room for them in flight.
    pub(super) fn next(&self) -> Option<Arc<Batch>> {
        let mut state = self.state();
        state.stuck = false;
        // Waits for room for a whole pipeline; otherwise each reply would make room for a very
        // short one.
        let next = state.waiting().min(MOST);
        if state.in_flight + next > MOST_IN_FLIGHT || state.bytes_in_flight >= MOST_BYTES_IN_FLIGHT
        {
            return None;
        }
        let (mut batch, mut bytes) = (Vec::with_capacity(state.waiting().min(MOST)), 0);
        // Dropped after the lock is released.
        let mut over = Vec::new();
        while batch.len() < MOST
            && let Some(next) = state.next()
            && (batch.is_empty() || bytes + next.bytes <= MOST_BYTES)
            && let Some(next) = state.take_first()
        {
            match next.is_over() {
                true => over.push(next),
                false => {
                    bytes += next.bytes;
                    batch.push(next);
                }
            }
        }
        let sent = (!batch.is_empty()).then(|| Arc::new(Batch::new(batch, bytes, self.limit)));
        if let Some(sent) = &sent {
            state.in_flight += sent.count;
            state.bytes_in_flight += bytes;
            state.sent.push_back(Arc::clone(sent));
        }
        if state.waiting() < MOST_WAITING / 2 && state.waiting_bytes < MOST_BYTES_WAITING / 2 {
            state.full = false;
        }
        drop(state);
        drop(over);
        sent
    }

    pub(super) fn done(&self, done: &Arc<Batch>) {
        let mut state = self.state();
        let place = state.sent.iter().position(|sent| Arc::ptr_eq(sent, done));
        if let Some(sent) = place.and_then(|place| state.sent.remove(place)) {
            state.subtract(&sent);
            state.last_reply = Some(Instant::now());
        }
        let waits = state.waiting() > 0;
        drop(state);
        if waits {
            // There is room for further requests now.
            self.asked.notify_one();
        }
    }

    /// Returns the time until the next deadline, or `None` if no request waits and watching ends.
    pub(super) fn due(&self) -> Option<Duration> {
        let mut state = self.state();
        let sent = state.sent.front().map(|sent| sent.due(state.silence(sent)));
        let unsent = state.oldest().map(|asked| {
            // If nothing is in flight, the sending task should have run.
            let longest = match state.sent.is_empty() {
                true => self.limit,
                false => LONGEST_WAIT.max(self.limit),
            };
            longest.saturating_sub(asked.elapsed().into())
        });
        state.watched = sent.is_some() || unsent.is_some();
        match (sent, unsent) {
            (Some(sent), Some(unsent)) => Some(sent.min(unsent)),
            (sent, unsent) => sent.or(unsent),
        }
    }

    /// Returns the time since which the server, or the sending task, has not handled overdue
    /// requests, if callers still wait for them.
    pub(super) fn overdue_since(&self) -> Option<Instant> {
        let mut state = self.state();
        while let Some(sent) = state.sent.front()
            && sent.is_late(state.silence(sent))
        {
            if !sent.is_over() {
                return Some(state.silence(sent).since);
            }
            state.pop();
        }
        let oldest = state.oldest()?;
        let is_stuck = state.sent.is_empty() && is_older_than(oldest, self.limit);
        state.stuck |= is_stuck;
        is_stuck.then_some(oldest)
    }

    /// Takes the overdue requests.
    pub(super) fn overdue(&self) -> Vec<PendingRequest> {
        let mut state = self.state();
        let mut late = Vec::new();
        while let Some(sent) = state.sent.front()
            && sent.is_late(state.silence(sent))
            && let Some(sent) = state.pop()
        {
            late.append(&mut sent.pending());
        }
        if state.sent.is_empty() && late.is_empty() {
            // The sending task has not run.
            late = state.take_older_than(self.limit);
        }
        late
    }

    /// Takes the requests that have waited too long to be sent.
    pub(super) fn unsent(&self) -> Vec<PendingRequest> {
        self.state().take_older_than(LONGEST_WAIT.max(self.limit))
    }

    /// Returns `true` for the first call after the oldest pipeline has waited for half of its
    /// limit.
    pub(super) fn is_slow(&self) -> bool {
        let state = self.state();
        let first = state.sent.front();
        first.is_some_and(|sent| sent.is_slow(state.silence(sent)))
    }

    /// Returns `true` if more requests wait than may be in flight.
    pub(in crate::backend::redis) fn is_crowded(&self) -> bool {
        self.state().waiting() > MOST_IN_FLIGHT
    }

    /// Returns `true` if new requests would not be sent, although the server replies.
    pub(in crate::backend::redis) fn is_stuck(&self) -> bool {
        self.state().stuck
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub(super) fn state(&self) -> MutexGuard<'_, BatcherState> {
        self.state.lock()
    }
}
