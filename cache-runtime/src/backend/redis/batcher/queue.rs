use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use coarsetime::Instant;

use super::batch::Batch;
use super::pending::{PendingRequest, ServerSilence};

/// Number of waiting requests below which abandoned requests are not removed.
const LEAST_CROWD: usize = 1_024;

/// The requests that wait to be sent, and the pipelines in flight.
#[derive(Default)]
pub(super) struct BatcherState {
    /// Requests that end calls. They are sent before requests that begin calls, so that fewer
    /// leases are held.
    pub(super) urgent: VecDeque<PendingRequest>,
    pub(super) others: VecDeque<PendingRequest>,
    pub(super) waiting_bytes: usize,
    /// Number of waiting requests at which abandoned requests are removed.
    crowd: usize,
    pub(super) sent: VecDeque<Arc<Batch>>,
    /// Number of requests in flight.
    pub(super) in_flight: usize,
    pub(super) bytes_in_flight: usize,
    /// Time of the last reply. Only the time since then counts against a limit.
    pub(super) last_reply: Option<Instant>,
    /// Start and maximum wait of a silence that this process caused because its reader was late.
    pub(super) ours: Option<(Instant, Duration)>,
    /// Set while a request is in flight that its own caller has sent.
    pub(super) alone: bool,
    /// Set while the watching task watches deadlines.
    pub(super) watched: bool,
    /// Set if the sending task was not run in time, because its thread is blocked.
    pub(super) stuck: bool,
    /// Set from the time when the queue is full until it is less than half full.
    pub(super) full: bool,
    /// Set when the batcher has ended.
    pub(super) closed: bool,
}

impl BatcherState {
    pub(super) fn is_idle(&self) -> bool {
        !self.alone && self.waiting() == 0 && self.sent.is_empty()
    }

    /// Returns the period without a reply, as it counts for this pipeline.
    pub(super) fn silence(&self, sent: &Batch) -> ServerSilence {
        let since = self
            .last_reply
            .map_or(sent.at, |last_reply| last_reply.max(sent.at));
        let ours = self.ours.filter(|(begun, _)| *begun == since);
        ServerSilence {
            since,
            ours: ours.map(|(_, patience)| patience),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.urgent.len() + self.others.len()
    }

    /// Returns the time at which the oldest waiting request was submitted.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let queues = [&self.urgent, &self.others].into_iter();
        queues.filter_map(|queue| Some(queue.front()?.asked)).min()
    }

    pub(super) fn next(&self) -> Option<&PendingRequest> {
        self.urgent.front().or(self.others.front())
    }

    /// Takes the abandoned requests, if at least twice as many requests wait as were left by the
    /// last search.
    pub(super) fn take_left(&mut self) -> Vec<PendingRequest> {
        let mut left = Vec::new();
        if self.waiting() < self.crowd.max(LEAST_CROWD) {
            return left;
        }
        for queue in [&mut self.urgent, &mut self.others] {
            let (over, stay): (Vec<_>, Vec<_>) =
                take(queue).into_iter().partition(PendingRequest::is_over);
            *queue = stay.into();
            left.extend(over);
        }
        self.waiting_bytes -= left.iter().map(|pending| pending.bytes).sum::<usize>();
        self.crowd = 2 * self.waiting();
        left
    }

    pub(super) fn take_first(&mut self) -> Option<PendingRequest> {
        let first = self
            .urgent
            .pop_front()
            .or_else(|| self.others.pop_front())?;
        self.waiting_bytes -= first.bytes;
        Some(first)
    }

    pub(super) fn take_older_than(&mut self, age: Duration) -> Vec<PendingRequest> {
        let mut old = Vec::new();
        for queue in [&mut self.urgent, &mut self.others] {
            let is_old = |pending: &&PendingRequest| is_older_than(pending.asked, age);
            let count = queue.iter().take_while(is_old).count();
            old.extend(queue.drain(..count));
        }
        self.waiting_bytes -= old.iter().map(|pending| pending.bytes).sum::<usize>();
        old
    }

    pub(super) fn drain(&mut self) -> Vec<PendingRequest> {
        self.waiting_bytes = 0;
        self.full = false;
        let mut all = Vec::from(take(&mut self.urgent));
        all.extend(take(&mut self.others));
        all
    }

    pub(super) fn pop(&mut self) -> Option<Arc<Batch>> {
        let sent = self.sent.pop_front()?;
        self.subtract(&sent);
        Some(sent)
    }

    pub(super) fn subtract(&mut self, sent: &Batch) {
        self.in_flight -= sent.count;
        self.bytes_in_flight -= sent.bytes;
    }
}

pub(super) fn is_older_than(asked: Instant, age: Duration) -> bool {
    Duration::from(asked.elapsed()) >= age
}
