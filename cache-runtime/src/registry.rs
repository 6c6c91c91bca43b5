pub(crate) mod announcement;
pub(crate) mod failure_reporter;
pub(crate) mod outlook;

use crate::process::sync::RwLock;
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::entry::policy::Policy;
use crate::error::{Error, ErrorKind};
use crate::invalidation::group::Group;
use crate::key::name::{function_name, within};
use crate::key::{Arguments, Key, KeyPrefix, Variant};
use crate::near_cache::KnownStamp;
use crate::overrides::rules::OverrideRules;
use crate::process;
use crate::registry::announcement::Announcements;
use crate::registry::failure_reporter::FailureReporter;
use crate::registry::outlook::Outlook;
use crate::telemetry::event::Observer;
use crate::telemetry::stats::{Counters, NearCacheStats, Stats};

/// Place of an annotated function in the source. Two statics with the same site are one function.
#[derive(Debug)]
pub struct Site {
    /// The function's identifier.
    pub function: &'static str,
    /// The `name` option.
    pub name: Option<&'static str>,
    /// The `version` option, or an empty string.
    pub version: &'static str,
    /// Function that returns the path of an item inside the annotated function.
    pub path: fn() -> &'static str,
    /// The file of the attribute.
    pub file: &'static str,
    /// The line of the attribute.
    pub line: u32,
    /// The column of the attribute.
    pub column: u32,
}

/// An annotated function. The macro stores it in a static next to the function's body.
pub struct Function {
    site: Site,
    // Most processes have one cache, so only the state in the first cache is stored here.
    first: OnceLock<(u64, Arc<FunctionState>)>,
}

impl Function {
    /// Creates the function at `site`.
    pub const fn new(site: Site) -> Self {
        Self {
            site,
            first: OnceLock::new(),
        }
    }

    /// Returns the state of this function in one cache.
    #[inline]
    pub(crate) fn state(&'static self, registry: &Registry) -> FunctionRef {
        match self.first.get() {
            Some((id, state)) if *id == registry.id => FunctionRef::First(state),
            _ => self.other(registry),
        }
    }

    #[cold]
    fn other(&'static self, registry: &Registry) -> FunctionRef {
        let state = registry.of_site(&self.site);
        let _ = self.first.set((registry.id, Arc::clone(&state)));
        FunctionRef::Other(state)
    }
}

/// A reference to the state of one function in one cache. The state is borrowed if possible,
/// because a reference count that several cores write would cost more than the read of the state.
#[derive(Clone)]
pub(crate) enum FunctionRef {
    First(&'static FunctionState),
    Other(Arc<FunctionState>),
}

impl Deref for FunctionRef {
    type Target = FunctionState;

    #[inline]
    fn deref(&self) -> &FunctionState {
        match self {
            Self::First(state) => state,
            Self::Other(state) => state,
        }
    }
}

/// The state of one function in one cache.
pub(crate) struct FunctionState {
    pub(crate) name: Arc<str>,
    /// Path of the body and prefix of the keys. Set once the function is known not to be generic.
    plain: OnceLock<((usize, usize), KeyPrefix)>,
    /// Prefixes of the keys of all other instances, by the path of the instance's body.
    heads: RwLock<HashMap<(usize, usize), Arc<KeyPrefix>>>,
    /// The namespace and the name, separated by a colon.
    full_name: String,
    version: String,
    /// Groups of every call: the namespace and the function.
    pub(crate) groups: Arc<[Group]>,
    /// Stamp of `groups`, while the stamp is known.
    pub(crate) current: KnownStamp,
    pub(crate) counters: Counters,
    /// Variants that were announced to the fleet. The announcement lets a pattern or an
    /// invalidation by another release reach the entries of the variant.
    announced: RwLock<HashSet<Box<str>>>,
    pub(crate) announcing: Announcements,
    pub(crate) failures: FailureReporter,
    set: ActiveSettings,
    /// Error message if another function has the name. If set, no call of the function is cached.
    refused: Option<String>,
    #[cfg(debug_assertions)]
    read_back: AtomicBool,
    /// `true` if the whole cache is disabled.
    out: bool,
    place: FunctionPlace,
    pub(crate) outlook: Outlook,
}

/// Origin of a function. Distinguishes functions that have the same name.
#[derive(Clone, PartialEq, Eq)]
enum FunctionPlace {
    Site {
        at: String,
        /// Scope of the function, because a macro can generate several functions at one place.
        within: String,
        provided: bool,
    },
    ByHand,
}

impl FunctionPlace {
    /// Returns the site, or `None` if the keys are built by hand.
    fn at(&self) -> Option<&str> {
        match self {
            Self::Site { at, .. } => Some(at),
            Self::ByHand => None,
        }
    }
}

impl FunctionState {
    fn new(
        namespace: &str,
        name: &str,
        version: &str,
        place: FunctionPlace,
        refused: Option<String>,
        out: bool,
    ) -> Self {
        Self {
            name: name.into(),
            plain: OnceLock::new(),
            heads: RwLock::default(),
            full_name: format!("{namespace}:{name}"),
            version: version.to_owned(),
            groups: [
                Group::everything(namespace),
                Group::function(namespace, name),
            ]
            .into(),
            current: KnownStamp::default(),
            counters: Counters::default(),
            announced: RwLock::default(),
            announcing: Announcements::default(),
            failures: FailureReporter::default(),
            set: ActiveSettings::default(),
            refused,
            #[cfg(debug_assertions)]
            read_back: AtomicBool::new(false),
            out,
            place,
            outlook: Outlook::default(),
        }
    }

    /// Calls `with` with the prefix of the keys for a body at `path` and values of `schema`.
    #[inline(always)]
    pub(crate) fn head<T>(
        &self,
        path: &'static str,
        schema: fn() -> u64,
        with: impl FnOnce(&KeyPrefix) -> T,
    ) -> T {
        // Each instance has one static path, so the path's address identifies the instance.
        let place = (path.as_ptr().addr(), path.len());
        if let Some((plain, head)) = self.plain.get()
            && *plain == place
        {
            return with(head);
        }
        with(&self.other_head(path, place, schema))
    }

    #[cold]
    fn other_head(
        &self,
        path: &'static str,
        place: (usize, usize),
        schema: fn() -> u64,
    ) -> Arc<KeyPrefix> {
        let heads = self.heads.read();
        if let Some(head) = heads.get(&place) {
            return Arc::clone(head);
        }
        drop(heads);
        // `schema` runs the user's code, so no lock is held here.
        let variant = Variant::new(schema(), &self.version);
        let head = || match &self.place {
            // The path of an item in an `impl` contains the `impl`, but the path of an item in a
            // trait contains only the trait's name.
            FunctionPlace::Site { provided: true, .. } if path.starts_with('<') => {
                KeyPrefix::provided(&self.full_name, variant, path)
            }
            _ => KeyPrefix::new(&self.full_name, variant, path),
        };
        if !path.contains('<') && self.plain.set((place, head())).is_ok() {
            return Arc::new(head());
        }
        let head = Arc::new(head());
        let mut heads = self.heads.write();
        heads.insert(place, Arc::clone(&head));
        head
    }

    /// Returns the key of a call with these arguments.
    pub(crate) fn key(&self, arguments: &Arguments, schema: fn() -> u64) -> Result<Key, Error> {
        self.head(arguments.path(), schema, |head| arguments.key(head))
    }

    /// Returns `true` if the fleet knows this variant.
    pub(crate) fn is_announced(&self, variant: &str) -> bool {
        let announced = self.announced.read();
        announced.contains(variant)
    }

    /// Records that this variant was announced to the fleet.
    pub(crate) fn announced(&self, variant: &str) {
        let mut announced = self.announced.write();
        announced.insert(variant.into());
    }

    /// Returns `ErrorKind::NameTaken` if another function has the name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.refused {
            None => Ok(()),
            Some(message) => Err(Error::new(ErrorKind::NameTaken, message.as_str())),
        }
    }

    /// Returns `true` if calls of the function do not consult the cache.
    pub(crate) fn is_out(&self) -> bool {
        self.out || self.refused.is_some() || self.set.off.load(Ordering::Relaxed)
    }

    /// Applies the active overrides to `policy`, the policy of the function's attribute.
    pub(crate) fn policy(&self, policy: Policy) -> Policy {
        match self.set.ttl.load(Ordering::Relaxed) {
            0 => policy,
            ms => policy.capped(Some(Duration::from_millis(ms))),
        }
    }

    /// Returns `true` if a call that begins now would get the same policy.
    pub(crate) fn is_still(&self, policy: &Policy) -> bool {
        let cap = match self.set.ttl.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        };
        !self.is_out() && policy.cap == cap
    }

    /// Returns `true` for the first value of the function. Only the first value is read back.
    #[cfg(debug_assertions)]
    pub(crate) fn is_read_back_first(&self) -> bool {
        !self.read_back.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn own_group(&self) -> &Group {
        &self.groups[1]
    }

    /// Activates overrides. Returns `true` if the overrides changed.
    fn set(&self, (ttl, on): (Option<Duration>, bool)) -> bool {
        let ms = ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let ttl = self.set.ttl.swap(ms, Ordering::Relaxed) != ms;
        let off = self.set.off.swap(!on, Ordering::Relaxed) == on;
        ttl || off
    }
}

/// Active overrides of a function.
#[derive(Default)]
struct ActiveSettings {
    /// Ttl in milliseconds. 0 means that no ttl is overridden.
    ttl: AtomicU64,
    off: AtomicBool,
}

/// The functions that one cache has seen.
pub(crate) struct Registry {
    /// Id of the cache in this process.
    pub(crate) id: u64,
    namespace: Arc<str>,
    observer: Observer,
    rules: OverrideRules,
    pub(crate) off: bool,
    /// Reporter of damaged entries whose function this process does not know.
    damage: FailureReporter,
    functions: RwLock<HashMap<String, Vec<Arc<FunctionState>>>>,
    /// Name of the function that was called first.
    first_called: OnceLock<Arc<str>>,
}

/// Maximum number of names in a registry that accepts a new name by hand. A name by hand may come
/// from the program's data, so the number of such names would have no bound.
const MOST_BY_HAND: usize = 10_000;

impl Registry {
    /// Creates a registry. If `off` is `true`, no call consults the cache.
    pub(crate) fn new(
        namespace: &str,
        observer: &Observer,
        rules: OverrideRules,
        off: bool,
    ) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        process::note();
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            namespace: namespace.into(),
            observer: observer.clone(),
            rules,
            off,
            damage: FailureReporter::default(),
            functions: RwLock::default(),
            first_called: OnceLock::new(),
        }
    }

    /// Returns the name of the function that was called first, if any.
    pub(crate) fn first_called(&self) -> Option<&str> {
        self.first_called.get().map(|name| &**name)
    }

    fn of_site(&self, site: &Site) -> Arc<FunctionState> {
        let path = (site.path)();
        let own = function_name(path, site.function);
        let place = FunctionPlace::Site {
            at: format!("{own} at {}:{}:{}", site.file, site.line, site.column),
            within: within(path),
            provided: !path.starts_with('<'),
        };
        let name = site.name.map_or(own, str::to_owned);
        self.of(&name, site.version, place)
    }

    /// Returns the function `name`, whose keys are built by hand.
    pub(crate) fn by_hand(&self, name: &str) -> Result<Arc<FunctionState>, Error> {
        let functions = self.functions.read();
        let known = functions.contains_key(name);
        if !known && functions.len() >= MOST_BY_HAND {
            return Err(Error::new(
                ErrorKind::Key,
                format!(
                    "more than {MOST_BY_HAND} names: put what varies behind a `:`, as in `user:42`"
                ),
            ));
        }
        drop(functions);
        Ok(self.of(name, "", FunctionPlace::ByHand))
    }

    fn of(&self, name: &str, version: &str, place: FunctionPlace) -> Arc<FunctionState> {
        let find =
            |states: &Vec<Arc<FunctionState>>| states.iter().find(|s| s.place == place).cloned();
        let functions = self.functions.read();
        if let Some(state) = functions.get(name).and_then(find) {
            return state;
        }
        drop(functions);
        let mut functions = self.functions.write();
        let states = functions.entry(name.to_owned()).or_default();
        if let Some(state) = find(states) {
            return state;
        }
        // Keys by hand have no variant, so keys by hand never equal keys of annotated functions.
        let owner = states.iter().find_map(|state| state.place.at());
        let refused = owner.zip(place.at()).map(|(owner, at)| {
            format!(
                "two functions are named `{name}`: {owner} has the name, so {at} is not cached; give one of them another with `name = \"…\"`"
            )
        });
        let state = Arc::new(FunctionState::new(
            &self.namespace,
            name,
            version,
            place,
            refused,
            self.off,
        ));
        state.set(self.rules.of(name));
        states.push(Arc::clone(&state));
        let _ = self.first_called.set(Arc::clone(&state.name));
        // The lock is released first, because an observer may use the cache.
        drop(functions);
        if let Err(error) = state.check() {
            state.failures.arises(&self.observer, name, &error);
        }
        state
    }

    /// Returns the overrides.
    pub(crate) fn rules(&self) -> &OverrideRules {
        &self.rules
    }

    /// Activates the overrides. Returns the functions whose overrides changed.
    pub(crate) fn apply_rules(&self) -> Vec<Arc<FunctionState>> {
        // The write lock ensures that a function that is added concurrently gets the overrides.
        let functions = self.functions.write();
        let states = functions.values().flatten();
        let new = states.filter(|state| state.set(self.rules.of(&state.name)));
        new.cloned().collect()
    }

    /// Forgets the stamp of the function whose group has a new generation. Forgets all stamps if
    /// `group` is not the group of a function.
    pub(crate) fn forget(&self, group: &str) {
        // The function is looked up by name, because a scan of all functions for each of ten
        // thousand groups would be slow.
        let Some(name) = Group::function_of_key(group) else {
            return self.forget_all();
        };
        let functions = self.functions.read();
        let states = functions.get(name).into_iter().flatten();
        states.for_each(|state| {
            // If the stamp was not known, the push reports a new generation and changes nothing.
            if state.current.forget() {
                state.outlook.expect_misses();
            }
        });
    }

    /// Forgets all stamps.
    pub(crate) fn forget_all(&self) {
        self.each(|state| {
            state.current.forget();
        });
    }

    fn each(&self, forget: impl Fn(&FunctionState)) {
        let functions = self.functions.read();
        functions.values().flatten().for_each(|state| forget(state));
    }

    /// Counts a damaged entry on the server. Reports the damage once.
    pub(crate) fn damaged(&self, function: &str, error: &Error) {
        let functions = self.functions.read();
        let state = functions.get(function).and_then(|states| states.first());
        let state = state.cloned();
        // The lock is released first, because an observer may use the cache.
        drop(functions);
        match state {
            Some(state) => {
                state.counters.here().errors.count(error.kind());
                state.failures.arises(&self.observer, function, error);
            }
            None => self.damage.arises(&self.observer, function, error),
        }
    }

    /// Returns the names in use, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let functions = self.functions.read();
        let mut names: Vec<String> = functions.keys().cloned().collect();
        names.sort();
        names
    }

    pub(crate) fn stats(&self, near: NearCacheStats) -> Stats {
        let functions = self.functions.read();
        Stats::of(
            functions
                .values()
                .flatten()
                .map(|state| (state.name.to_string(), state.counters.snapshot()))
                .collect(),
            near,
        )
    }
}
