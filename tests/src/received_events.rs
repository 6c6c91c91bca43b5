use std::sync::{Arc, Mutex, MutexGuard};

use recached::{Builder, Cache};

/// Events that an observer received, each as its name and its message.
#[derive(Clone, Default)]
pub struct ReceivedEvents(Arc<Mutex<Vec<String>>>);

impl ReceivedEvents {
    /// Builds a cache with an observer that records its events.
    pub fn by(&self, builder: Builder) -> Cache {
        let told = self.clone();
        let builder = builder.observer(move |event| {
            let what = format!("{event:?}");
            let what = what.split(['(', ' ']).next().expect("a name");
            told.all().push(format!("{what}: {event}"));
        });
        builder.build().expect("it builds")
    }

    /// All events, the oldest first.
    pub fn all(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("no test panics under it")
    }

    /// Events of this name.
    pub fn named(&self, what: &str) -> Vec<String> {
        let what = format!("{what}:");
        let all = self.all();
        all.iter()
            .filter(|it| it.starts_with(&what))
            .cloned()
            .collect()
    }

    /// Number of events of this name.
    pub fn count(&self, what: &str) -> usize {
        self.named(what).len()
    }
}
