use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use coarsetime::Instant;

use super::batch::Batch;
use super::pending::{PendingRequest, ServerSilence};

/// Number of waiting requests below which abandoned ones are not searched for.
const LEAST_CROWD: usize = 1_024;

/// Requests that wait to be sent, and requests on the way.
#[derive(Default)]
pub(super) struct BatcherState {
    /// Requests that end calls go before those that begin calls, so that fewer leases are held.
    pub(super) urgent: VecDeque<PendingRequest>,
    pub(super) others: VecDeque<PendingRequest>,
    pub(super) waiting_bytes: usize,
    /// Number of waiting requests at which abandoned ones are searched for.
    crowd: usize,
    pub(super) sent: VecDeque<Arc<Batch>>,
    /// Number of requests on the way.
    pub(super) in_flight: usize,
    pub(super) bytes_in_flight: usize,
    /// Time of the last reply: only silence counts against a limit.
    pub(super) last_reply: Option<Instant>,
    /// Start and longest wait of a silence that is our own: the reader was late.
    pub(super) ours: Option<(Instant, Duration)>,
    /// `true` if a request is on the way that its caller has sent.
    pub(super) alone: bool,
    /// `true` if a task watches deadlines.
    pub(super) watched: bool,
    /// `true` if the sending task was not run in time, because its thread is blocked.
    pub(super) stuck: bool,
    /// `true` if the queue was full and is not half empty yet.
    pub(super) full: bool,
    /// `true` if nothing is sent any more.
    pub(super) closed: bool,
}

impl BatcherState {
    pub(super) fn is_idle(&self) -> bool {
        !self.alone && self.waiting() == 0 && self.sent.is_empty()
    }

    /// Returns the server's silence towards this pipeline.
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

    /// Returns the time since which the first request has waited.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let queues = [&self.urgent, &self.others].into_iter();
        queues.filter_map(|queue| Some(queue.front()?.asked)).min()
    }

    pub(super) fn next(&self) -> Option<&PendingRequest> {
        self.urgent.front().or(self.others.front())
    }

    /// Takes the abandoned requests, if twice as many wait as were left by the last search.
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
