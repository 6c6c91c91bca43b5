//! Reads that are asked for at one time go to the server as one pipeline: most of what a read
//! costs a process is paid once for all of them.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem::{replace, take};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use coarsetime::Instant;
use redis::aio::ConnectionLike;
use redis::{Pipeline, RedisResult, Value};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::link::Link;
use super::seen::{Seen, ask, seen};

use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::store::Look;

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

/// A pipeline under way.
struct Sent {
    /// When the first of them was asked for.
    at: Instant,
    count: usize,
    asked: Mutex<Vec<Asked>>,
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
        let (at, count) = (asked.first()?.at, asked.len());
        let asked = Mutex::new(asked);
        let sent = Arc::new(Sent { at, count, asked });
        state.unanswered += count;
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

impl Sent {
    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
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
        for Asked { look, reply, .. } in asked {
            let seen = match &mut replies {
                Ok(replies) => seen(replies, look, most).map_err(|error| link.error(&error)),
                Err(error) => Err(link.error(error)),
            };
            let _ = reply.send(seen);
        }
    }
}

/// Sends what is asked for; on the link's runtime, and ends with its link.
pub(super) async fn send(link: Weak<Link>, reads: Arc<Reads>) {
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

/// Lets those who are about to ask come first. Through the queue that other threads take from: if
/// one of those blocks this thread, another goes on. (`tokio::task::yield_now` waits in a place
/// that no other thread looks into.)
async fn yielded() {
    let mut before = false;
    poll_fn(|cx| {
        if replace(&mut before, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
