use crate::backend::apply::{Applied, apply};
use crate::backend::contract::Backend;
use crate::backend::contract::Caller;
use crate::backend::invalidation_sink::InvalidationSink;
use crate::error::Error;
use crate::invalidation::group::Group;
use crate::invalidation::removed_entries::RemovedEntries;
use crate::invalidation::report::InvalidationReport;
use crate::invalidation::request::Invalidation;
use crate::key::Key;
use crate::key::nearest::nearest;
use crate::process::background::yielded;
use crate::protocol::cache_inner::CacheInner;

/// Number of groups that this process invalidates before it yields to other tasks.
const PART: usize = 500;

/// Maximum number of patterns that are logged as unknown.
const MOST_WARNINGS: usize = 1_000;

impl CacheInner {
    /// Applies `invalidation` to this process and to the fleet. After the return, no later call in
    /// this process is served a value that was computed before.
    ///
    /// # Errors
    ///
    /// Returns the error from Redis if Redis will never accept the invalidation. An invalidation
    /// that Redis cannot accept now waits in the outbox, and the report has `queued` set.
    pub(crate) async fn apply(
        &self,
        caller: Caller,
        invalidation: Invalidation,
    ) -> Result<InvalidationReport, Error> {
        let session = self.backend.session(caller).ahead();
        let names = match &invalidation {
            Invalidation::Functions(_) => self.process.registry.names(),
            _ => Vec::new(),
        };
        let Applied {
            groups,
            mut functions,
            outcome,
        } = apply(&session, &self.namespace, &invalidation, names).await;
        let queued = match outcome {
            Ok(entries) => Ok(Some(entries)),
            Err(error) => {
                // The groups of known functions are queued as well, because the fleet may have lost
                // the functions' names by the time the outbox is sent.
                let known = groups.iter().map(Invalidation::of_group);
                let pending = known.chain([invalidation.clone()]);
                self.backend.queue(pending, error).map(|()| None)
            }
        };
        let own = self.forget_all(&invalidation, &groups).await;
        let removed = queued?;
        match &invalidation {
            Invalidation::Functions(pattern) if functions.is_empty() && groups.is_empty() => {
                self.warn_of_unknown(pattern.as_str());
            }
            Invalidation::Group(key) if Group::of_key(key).is_everything() => {
                functions.extend(self.process.registry.names());
                functions.extend(session.functions().await.unwrap_or_default().names);
            }
            // The removed entries are unknown until Redis replies.
            Invalidation::Call(_) | Invalidation::Keys(_) if removed.is_none() => {
                return Ok(InvalidationReport::queued());
            }
            Invalidation::Call(key) if own.entries > 0 => {
                functions.insert(Key::name_in(key).to_owned());
            }
            _ => {}
        }
        functions.extend(own.functions);
        Ok(InvalidationReport {
            functions: functions.into_iter().collect(),
            entries: removed.unwrap_or_default() + own.entries,
            queued: removed.is_none(),
        })
    }

    /// Drops the state that this process holds of the invalidated calls. Returns the removed values
    /// that only this process has held: the values of `local` functions.
    async fn forget_all(&self, invalidation: &Invalidation, groups: &[Group]) -> RemovedEntries {
        for part in groups.chunks(PART) {
            for group in part {
                self.backend.forget(&Invalidation::of_group(group));
                self.process.group_changed(group.key());
            }
            yielded().await;
        }
        match invalidation {
            Invalidation::Group(_) | Invalidation::Functions(_) => RemovedEntries::default(),
            Invalidation::Call(key) => {
                let key = Key::of(key);
                let entries = self.process.remove_own(key.as_str());
                self.forget_call(&key);
                self.process.just_invalidated.add(key.fingerprint());
                RemovedEntries {
                    entries,
                    ..RemovedEntries::default()
                }
            }
            Invalidation::Keys(pattern) => {
                let own = self.process.remove_own_matching(pattern);
                let matches = |key: &Key, _: &[Group]| pattern.matches(key);
                self.process.flights.close_where(matches);
                self.backend.forget(invalidation);
                own
            }
        }
    }

    /// Closes the flight of the call to joiners, because the flight's read or computation began
    /// before the invalidation. Drops the state of the call on all connections.
    pub(crate) fn forget_call(&self, key: &Key) {
        self.process.flights.close_to_joiners(key);
        self.backend.forget(&Invalidation::call(key));
    }

    /// Logs that no function matches `pattern`, once per pattern, and suggests the nearest name.
    fn warn_of_unknown(&self, pattern: &str) {
        let mut warned = self.warned.lock();
        if warned.len() >= MOST_WARNINGS || !warned.insert(pattern.to_owned()) {
            return;
        }
        drop(warned);
        let names = self.process.registry.names();
        let last = |name: &'_ String| name.rsplit('.').next().unwrap_or(name).to_owned();
        let known: Vec<String> = match pattern.contains('.') {
            true => names,
            false => names.iter().map(last).collect(),
        };
        let word = pattern.trim_matches('*');
        let pattern = pattern.escape_debug();
        match nearest(word, known.iter().map(String::as_str)) {
            Some(meant) => {
                tracing::warn!(%pattern, "no function has this name: did you mean `{meant}`?")
            }
            None => tracing::warn!(%pattern, "no function has this name"),
        }
    }
}
