use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::{Error, ErrorKind};
use crate::telemetry::event::{Event, Observer};

/// A connection of the cache, as far as the state of all of them is concerned.
pub(super) trait Monitored: Send + Sync {
    /// Whether calls are sent on it at this moment.
    fn is_in_use(&self) -> bool;
    /// Sends no calls until the server has answered a ping.
    fn suspend(&self);
    /// Looks after the connection now.
    fn check_now(&self);
    /// Gives the connection up, because the sentinels name another server.
    fn abandon(&self);
}

/// Whether calls reach the server by any link: told when it changes.
pub(crate) struct Health {
    observer: Observer,
    /// The cache was dropped.
    silent: AtomicBool,
    state: Mutex<HealthState>,
    links: Mutex<Vec<Weak<dyn Monitored>>>,
    /// Which of the servers that may be the one the links are at.
    place: Mutex<Option<ServerAddress>>,
}

/// A server that sentinels have named: where it is, or who it says it is.
pub(super) type ServerAddress = String;

#[derive(Default)]
struct HealthState {
    /// Links that are up; fewer than none while one that has risen and fallen is told of in
    /// another order.
    up: isize,
    told: Option<bool>,
}

impl Health {
    pub(crate) fn new(observer: Observer) -> Self {
        Self {
            observer,
            silent: AtomicBool::new(false),
            state: Mutex::default(),
            links: Mutex::default(),
            place: Mutex::default(),
        }
    }

    /// Nobody uses the cache any more: what becomes of its connections is nobody's concern.
    pub(super) fn silence(&self) {
        self.silent.store(true, Ordering::Release);
    }

    pub(super) fn observer(&self) -> &Observer {
        &self.observer
    }

    pub(super) fn watch<C: Monitored + 'static>(&self, link: &Arc<C>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        let link: Weak<dyn Monitored> = Arc::<C>::downgrade(link);
        links.push(link);
    }

    /// One link has let a call wait in vain. The others have the same server: they take no calls
    /// until it has answered a ping, so that not every link costs a call its patience.
    pub(super) fn suspect(&self) {
        let known = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let links: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        // An observer is told of those that fall, and may use the cache.
        drop(known);
        for link in links {
            link.suspend();
        }
    }

    /// All links look after their connections now.
    pub(super) fn look_again(&self) {
        let known = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let links: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        // One that is dropped here comes back to this lock.
        drop(known);
        for link in links {
            link.check_now();
        }
    }

    /// This link will take calls at this place. None of the others does so at another any more:
    /// what is told at the one is not heard of at the other.
    pub(super) fn arrive<C: Monitored>(&self, arrived: &Arc<C>, at: Option<&ServerAddress>) {
        if self.is_at(at) {
            return;
        }
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = at.cloned();
        let known = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let links: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        drop(known);
        // One that is still connecting is nowhere yet.
        let is_arrived =
            |link: &Arc<dyn Monitored>| ptr::addr_eq(Arc::as_ptr(link), Arc::as_ptr(arrived));
        let elsewhere = |link: &&Arc<dyn Monitored>| !is_arrived(link) && link.is_in_use();
        for link in links.iter().filter(elsewhere) {
            link.abandon();
        }
    }

    /// Whether the links are there, if that can be told.
    pub(super) fn is_at(&self, at: Option<&ServerAddress>) -> bool {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_none() || place.as_ref() == at
    }

    /// A link was up or not, and is now: if not, for this reason.
    pub(super) fn turned(&self, was: bool, reason: Option<&Arc<str>>) {
        let is = reason.is_none();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.up += isize::from(is) - isize::from(was);
        let reached = state.up > 0;
        let change = state.told != Some(reached);
        state.told = Some(reached);
        // An observer may use the cache.
        drop(state);
        if !change || self.silent.load(Ordering::Acquire) {
            return;
        }
        self.observer.tell(&match reason {
            Some(reason) if !reached => Event::Disconnected(unreachable(reason)),
            _ => Event::Reconnected,
        });
    }
}

/// The error of a call that can't be sent.
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
    fn a_server_is_away_when_no_link_reaches_it_and_is_told_so_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let observer = Observer::new({
            let told = Arc::clone(&told);
            move |event| {
                let away = matches!(event, Event::Disconnected(_));
                told.lock().expect("no panic").push(away);
            }
        });
        let health = Health::new(observer);
        let reason: Arc<str> = "refused".into();
        let told = || std::mem::take(&mut *told.lock().expect("no panic"));
        health.turned(false, Some(&reason));
        health.turned(false, Some(&reason));
        assert_eq!(told(), [true]);
        health.turned(false, None);
        health.turned(false, None);
        assert_eq!(told(), [false]);
        health.turned(true, Some(&reason));
        assert!(told().is_empty());
        health.turned(true, Some(&reason));
        assert_eq!(told(), [true]);
        // Told of in another order than it happened.
        health.turned(true, Some(&reason));
        health.turned(false, None);
        assert!(told().is_empty());
        health.turned(false, None);
        assert_eq!(told(), [false]);
        health.turned(true, Some(&reason));
        assert_eq!(told(), [true]);
    }
}
