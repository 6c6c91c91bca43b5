//! The cache of the process: installed by the program, or made of the environment.

use crate::process::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::api::builder::Builder;
use crate::api::cache::Cache;
use crate::error::{Error, ErrorKind};

static INSTALLED: OnceLock<Cache> = OnceLock::new();

/// Whether nobody has installed it.
static OF_ENVIRONMENT: AtomicBool = AtomicBool::new(false);

/// How often the environment is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Cache {
    /// The process's default cache: the installed one, or else one made now from `REDIS_URL`, or
    /// else one in this process.
    ///
    /// If the environment can't be used, it is *off*: every call computes, and invalidations are
    /// errors. A private cache in its place would be out of reach of the fleet's invalidations.
    /// What may pass (no file descriptors left) is tried again, once a second.
    #[must_use]
    #[inline]
    pub fn global() -> &'static Self {
        INSTALLED.get().unwrap_or_else(Self::of_environment)
    }

    #[cold]
    fn of_environment() -> &'static Self {
        static OFF: OnceLock<Cache> = OnceLock::new();
        static TRIED: Mutex<Option<(Instant, bool)>> = Mutex::new(None);
        // Those who come meanwhile wait: with two caches, one's invalidations would miss the other.
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
                // Whoever hears of it may use the cache.
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
