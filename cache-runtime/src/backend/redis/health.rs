use crate::process::sync::Mutex;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::error::{Error, ErrorKind};
use crate::telemetry::event::{Event, Observer};

/// A connection of the cache whose state counts for the state of the backend.
pub(super) trait Monitored: Send + Sync {
    /// Returns `true` if calls are sent on the connection now.
    fn is_in_use(&self) -> bool;
    /// Stops sending calls until the server has replied to a ping.
    fn suspend(&self);
    /// Checks the connection now.
    fn check_now(&self);
    /// Gives up the connection because the sentinels name another server.
    fn abandon(&self);
}

/// State of the backend: up if calls reach the server on any connection. Changes are reported to
/// the observer.
pub(crate) struct Health {
    observer: Observer,
    /// Set when the cache was dropped.
    silent: AtomicBool,
    state: Mutex<HealthState>,
    connections: Mutex<Vec<Weak<dyn Monitored>>>,
    /// Server that the connections use, if sentinels have named it.
    place: Mutex<Option<ServerAddress>>,
}

/// Address or run id of a server that sentinels have named.
pub(super) type ServerAddress = String;

#[derive(Default)]
struct HealthState {
    /// Number of connections that are up. Negative while the rise and the fall of a connection are
    /// recorded in reverse order.
    up: isize,
    reported: Option<bool>,
}

impl Health {
    pub(crate) fn new(observer: Observer) -> Self {
        Self {
            observer,
            silent: AtomicBool::new(false),
            state: Mutex::default(),
            connections: Mutex::default(),
            place: Mutex::default(),
        }
    }

    /// Stops reports to the observer, because the cache is no longer used.
    pub(super) fn silence(&self) {
        self.silent.store(true, Ordering::Release);
    }

    pub(super) fn observer(&self) -> &Observer {
        &self.observer
    }

    pub(super) fn watch<C: Monitored + 'static>(&self, connection: &Arc<C>) {
        let mut connections = self.connections.lock();
        connections.retain(|connection| connection.strong_count() > 0);
        let connection: Weak<dyn Monitored> = Arc::<C>::downgrade(connection);
        connections.push(connection);
    }

    /// Suspends all connections after a call on one of them got no reply in time. All connections
    /// use the same server: they take no calls until it has replied to a ping, so that not every
    /// connection costs a call its time limit.
    pub(super) fn suspect(&self) {
        let known = self.connections.lock();
        let connections: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        // The observer is notified of connections that go down, and may use the cache.
        drop(known);
        for connection in connections {
            connection.suspend();
        }
    }

    /// Checks all connections now.
    pub(super) fn look_again(&self) {
        let known = self.connections.lock();
        let connections: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        // A connection that is dropped here takes this lock again.
        drop(known);
        for connection in connections {
            connection.check_now();
        }
    }

    /// Records that a connection will take calls at the server `at`, and abandons the connections
    /// at another server: a server does not push invalidations that are sent to another one.
    pub(super) fn arrive<C: Monitored>(&self, arrived: &Arc<C>, at: Option<&ServerAddress>) {
        if self.is_at(at) {
            return;
        }
        *self.place.lock() = at.cloned();
        let known = self.connections.lock();
        let connections: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        drop(known);
        // A connection that is still connecting has no server yet.
        let is_arrived = |connection: &Arc<dyn Monitored>| {
            ptr::addr_eq(Arc::as_ptr(connection), Arc::as_ptr(arrived))
        };
        let elsewhere =
            |connection: &&Arc<dyn Monitored>| !is_arrived(connection) && connection.is_in_use();
        for connection in connections.iter().filter(elsewhere) {
            connection.abandon();
        }
    }

    /// Returns `true` if the connections use the server `at`, or if the server is not known.
    pub(super) fn is_at(&self, at: Option<&ServerAddress>) -> bool {
        let place = self.place.lock();
        at.is_none() || place.as_ref() == at
    }

    /// Records the change of a connection that was up or down (`was`). The connection is now down
    /// for `reason`, or up if there is none.
    pub(super) fn turned(&self, was: bool, reason: Option<&Arc<str>>) {
        let is = reason.is_none();
        let mut state = self.state.lock();
        state.up += isize::from(is) - isize::from(was);
        let reached = state.up > 0;
        let change = state.reported != Some(reached);
        state.reported = Some(reached);
        // The observer may use the cache.
        drop(state);
        if !change || self.silent.load(Ordering::Acquire) {
            return;
        }
        self.observer.notify(&match reason {
            Some(reason) if !reached => Event::Disconnected(unreachable(reason)),
            _ => Event::Reconnected,
        });
    }
}

/// Returns the error of a call that cannot be sent.
pub(super) fn unreachable(reason: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("redis is not reachable: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_away_when_no_link_reaches_it_and_is_reported_so_once() {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let observer = Observer::new({
            let reported = Arc::clone(&reported);
            move |event| {
                let away = matches!(event, Event::Disconnected(_));
                reported.lock().push(away);
            }
        });
        let health = Health::new(observer);
        let reason: Arc<str> = "refused".into();
        let reported = || std::mem::take(&mut *reported.lock());
        health.turned(false, Some(&reason));
        health.turned(false, Some(&reason));
        assert_eq!(reported(), [true]);
        health.turned(false, None);
        health.turned(false, None);
        assert_eq!(reported(), [false]);
        health.turned(true, Some(&reason));
        assert!(reported().is_empty());
        health.turned(true, Some(&reason));
        assert_eq!(reported(), [true]);
        // Recorded in another order than it happened.
        health.turned(true, Some(&reason));
        health.turned(false, None);
        assert!(reported().is_empty());
        health.turned(false, None);
        assert_eq!(reported(), [false]);
        health.turned(true, Some(&reason));
        assert_eq!(reported(), [true]);
    }
}
