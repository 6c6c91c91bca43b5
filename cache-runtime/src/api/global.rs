//! The global cache: installed by the program, or built from the environment.

use crate::process::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::api::builder::Builder;
use crate::api::cache::Cache;
use crate::error::{Error, ErrorKind};

static INSTALLED: OnceLock<Cache> = OnceLock::new();

/// `true` if the global cache was built from the environment.
static OF_ENVIRONMENT: AtomicBool = AtomicBool::new(false);

/// Minimum time between two attempts to build a cache from the environment.
const RETRY: Duration = Duration::from_secs(1);

impl Cache {
    /// Returns the process's global cache: the installed one, or else one that is built now from
    /// `REDIS_URL`, or else an in-process one.
    ///
    /// If the environment can't be used, the cache is *off*: every call computes, and invalidations
    /// return errors. A private cache in its place would miss the fleet's invalidations. A
    /// transient failure (no file descriptors left) is retried once a second.
    #[must_use]
    #[inline]
    pub fn global() -> &'static Self {
        INSTALLED.get().unwrap_or_else(Self::of_environment)
    }

    #[cold]
    fn of_environment() -> &'static Self {
        static OFF: OnceLock<Cache> = OnceLock::new();
        static TRIED: Mutex<Option<(Instant, bool)>> = Mutex::new(None);
        // Other threads wait here: with two caches, invalidations in one would miss the other.
        let mut tried = TRIED.lock();
        if let Some(installed) = INSTALLED.get() {
            return installed;
        }
        let off = || OFF.get_or_init(|| Builder::default().off());
        match *tried {
            Some((_, false)) => return off(),
            Some((at, true)) if at.elapsed() < RETRY => return off(),
            _ => {}
        }
        match Self::builder().build() {
            Ok(cache) => INSTALLED.get_or_init(|| {
                OF_ENVIRONMENT.store(true, Ordering::Relaxed);
                cache
            }),
            Err(error) => {
                let is_first = tried
                    .replace((Instant::now(), error.is_transient()))
                    .is_none();
                let off = off();
                // Unlocked before logging, because a subscriber may use the cache.
                drop(tried);
                if is_first {
                    tracing::error!("the cache of this process is off: {error}");
                }
                off
            }
        }
    }

    pub(crate) fn install(self) -> Result<(), Error> {
        INSTALLED.set(self).map_err(|_| {
            let text = match OF_ENVIRONMENT.load(Ordering::Relaxed) {
                false => "a cache is installed already: install once, first thing in `main`".into(),
                true => match Self::global().inner.process.registry.first_called() {
                    Some(name) => format!(
                        "the cached function `{name}` was called before this, and the cache was made of the environment: install first thing in `main`"
                    ),
                    None => "a cache was made of the environment before this: install first thing in `main`".into(),
                },
            };
            Error::new(ErrorKind::Config, text)
        })
    }
}
