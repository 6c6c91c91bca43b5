//! Reads that are asked for at one time go to the server as one pipeline: most of what a read
//! costs a process is paid once for all of them.

mod sent;

use std::collections::VecDeque;
use std::mem::{replace, take};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use coarsetime::Instant;
use tokio::sync::{Notify, oneshot};

use super::link::Link;
use super::seen::Seen;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::store::Look;

use sent::Sent;
pub(super) use sent::send;

/// Reads in one pipeline at most: all of them wait for the last reply.
const MOST: usize = 64;

/// Reads that are unanswered at most; further ones are sent one by one.
const MOST_UNANSWERED: usize = 65_536;

/// The reads of one link.
pub(super) struct Reads {
    state: Mutex<State>,
    /// Whether they are taken: the link is up, and all keys are on one server.
    open: AtomicBool,
    /// Wakes who sends them.
    asked: Notify,
    /// Wakes who watches the clock.
    begun: Notify,
    limit: Duration,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Asked>,
    sent: VecDeque<Arc<Sent>>,
    /// In all that was sent.
    unanswered: usize,
    /// Whether one is under way that was sent by its caller.
    alone: bool,
    /// Whether somebody watches the clock.
    watched: bool,
    /// Whoever sends them has not come to it in time: its thread is blocked.
    stuck: bool,
    /// Nobody sends any more.
    closed: bool,
}

type Reply = Result<Seen, Error>;

struct Asked {
    key: Key,
    look: Look,
    at: Instant,
    reply: oneshot::Sender<Reply>,
}

/// How a read is sent.
pub(super) enum Sending<'a> {
    /// By its caller: nothing else is under way, and another task would only cost time.
    Alone(Alone<'a>),
    /// With others: here comes the reply.
    Together(oneshot::Receiver<Reply>),
}

/// The one read under way that was sent by its caller.
pub(super) struct Alone<'a>(&'a Reads);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.state().alone = false;
    }
}

impl Reads {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            state: Mutex::default(),
            open: AtomicBool::new(false),
            asked: Notify::new(),
            begun: Notify::new(),
            limit,
        }
    }

    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    /// How the entry of `key` is to be asked for; `None` if the link can't.
    pub(super) fn begin(&self, key: &Key, look: Look, at: Instant) -> Option<Sending<'_>> {
        if !self.open.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state();
        if state.closed || state.waiting.len() + state.unanswered >= MOST_UNANSWERED {
            return None;
        }
        if state.is_idle() {
            state.alone = true;
            return Some(Sending::Alone(Alone(self)));
        }
        let (reply, replied) = oneshot::channel();
        let key = key.clone();
        let asked = Asked {
            key,
            look,
            at,
            reply,
        };
        state.waiting.push_back(asked);
        let first = state.waiting.len() == 1;
        let watched = replace(&mut state.watched, true);
        drop(state);
        if first {
            self.asked.notify_one();
        }
        if !watched {
            self.begun.notify_one();
        }
        Some(Sending::Together(replied))
    }

    /// Nobody sends them any more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let mut left = Vec::from(take(&mut state.waiting));
        while let Some(sent) = state.pop() {
            left.append(&mut sent.asked());
        }
        drop(state);
        // Whoever waits is woken by that.
        drop(left);
        self.asked.notify_one();
        self.begun.notify_one();
    }

    /// The next ones to send.
    fn next(&self) -> Option<Arc<Sent>> {
        let mut state = self.state();
        state.stuck = false;
        let mut asked = Vec::with_capacity(state.waiting.len().min(MOST));
        while asked.len() < MOST
            && let Some(next) = state.waiting.pop_front()
        {
            // Nobody waits for a call that was dropped.
            if !next.reply.is_closed() {
                asked.push(next);
            }
        }
        let at = asked.first()?.at;
        state.unanswered += asked.len();
        let sent = Arc::new(Sent::new(at, asked));
        state.sent.push_back(Arc::clone(&sent));
        Some(sent)
    }

    fn done(&self, done: &Arc<Sent>) {
        let mut state = self.state();
        let place = state.sent.iter().position(|sent| Arc::ptr_eq(sent, done));
        if place.and_then(|place| state.sent.remove(place)).is_some() {
            state.unanswered -= done.count;
        }
    }

    /// How long until the oldest one is overdue; `None` if there is none, and nobody watches from
    /// now on.
    fn due(&self) -> Option<Duration> {
        let mut state = self.state();
        let sent = state.sent.front().map(|sent| sent.at);
        let oldest = sent.or_else(|| Some(state.waiting.front()?.at));
        state.watched = oldest.is_some();
        oldest.map(|at| self.limit.saturating_sub(at.elapsed().into()))
    }

    /// Those that are overdue.
    fn overdue(&self) -> Vec<Asked> {
        let mut state = self.state();
        let is_late = |at: Instant| Duration::from(at.elapsed()) >= self.limit;
        let mut late = Vec::new();
        while state.sent.front().is_some_and(|sent| is_late(sent.at)) {
            if let Some(sent) = state.pop() {
                late.append(&mut sent.asked());
            }
        }
        let unsent = state.waiting.iter().take_while(|asked| is_late(asked.at));
        let unsent = unsent.count();
        state.stuck |= unsent > 0;
        late.extend(state.waiting.drain(..unsent));
        late
    }

    /// Whether those who ask would wait in vain, though the server answers.
    pub(super) fn is_stuck(&self) -> bool {
        self.state().stuck
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_idle(&self) -> bool {
        !self.alone && self.waiting.is_empty() && self.sent.is_empty()
    }

    fn pop(&mut self) -> Option<Arc<Sent>> {
        let sent = self.sent.pop_front()?;
        self.unanswered -= sent.count;
        Some(sent)
    }
}

/// Fails what is overdue; on our own runtime, because the link's may be blocked.
pub(super) async fn watch(link: Weak<Link>, reads: Arc<Reads>) {
    loop {
        reads.begun.notified().await;
        while let Some(due) = reads.due() {
            tokio::time::sleep(due).await;
            let mut late = reads.overdue();
            late.retain(|asked| !asked.reply.is_closed());
            if late.is_empty() {
                continue;
            }
            if let Some(link) = link.upgrade() {
                link.overdue();
            }
            for asked in late {
                let _ = asked.reply.send(Err(late_by(reads.limit)));
            }
        }
        if reads.is_closed() {
            return;
        }
    }
}

/// The error of one that was not answered in time.
pub(super) fn late_by(limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("redis did not answer within {limit:?}"),
    )
}
