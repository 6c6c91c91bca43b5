//! Values that a codec cannot write, cannot read back, or reads back as a different value. Every
//! call returns its result, and the observer receives the function's name once (G5, G11).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Builder, Cache, Policy, cached};
use recached_tests::{Backend, ReceivedEvents, on_server_and_cluster};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const CALLS: usize = 20;

on_server_and_cluster! {
    "multi_thread"
    shared [
        what_cannot_be_read_back_is_computed_and_reported_once
        what_is_nested_too_deep_is_computed_and_reported_once
        a_value_whose_serialize_panics_is_returned_and_reported_once
        a_stored_value_whose_deserialize_panics_is_a_miss_and_replaced
        what_is_read_back_as_another_value_is_reported_once
        what_is_read_back_as_it_was_is_not_reported
        an_entry_nested_a_hundred_thousand_levels_is_a_miss
        an_entry_that_unpacks_to_a_gigabyte_is_not_unpacked
    ]
    own []
}

fn on(backend: &Backend) -> Builder {
    let builder = Cache::builder().redis(backend.url());
    builder
        .namespace(&backend.namespace)
        .command_timeout(Duration::from_secs(5))
        .connect_timeout(Duration::from_secs(5))
}

/// The field is skipped when written and required when read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LeftOut {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    list: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Counts { of: BTreeMap<u32, u32> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wide {
    id: u32,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    large: u128,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Renamed {
    #[serde(rename(serialize = "out", deserialize = "in"))]
    value: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nested(Vec<Nested>);

impl Nested {
    fn levels(levels: usize) -> Self {
        (1..levels).fold(Self(Vec::new()), |inner, _| Self(vec![inner]))
    }
}

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

/// Calls a function of this name that returns `value`. Returns the number of computations.
async fn calls<T>(cache: &Cache, name: &str, policy: Policy, value: &T) -> usize
where
    T: Clone + Debug + PartialEq + Serialize + for<'a> Deserialize<'a> + Send + Sync + 'static,
{
    let runs = AtomicUsize::new(0);
    for _ in 0..CALLS {
        let compute = async || {
            runs.fetch_add(1, Ordering::SeqCst);
            value.clone()
        };
        let key = format!("{name}:1");
        assert_eq!(&cache.get_or_compute(&key, policy, compute).await, value);
    }
    runs.into_inner()
}

/// Asserts that every call computes, and that this is reported once, with `reason` and without
/// `secret`.
async fn is_degraded<T>(
    backend: &Backend,
    name: &str,
    policy: Policy,
    value: &T,
    reason: &str,
    secret: &str,
) where
    T: Clone + Debug + PartialEq + Serialize + for<'a> Deserialize<'a> + Send + Sync + 'static,
{
    let told = ReceivedEvents::default();
    let cache = told.by(on(backend));
    assert_eq!(calls(&cache, name, policy, value).await, CALLS, "{name}");
    let events = told.named("FunctionDegraded");
    let named = format!("`{name}`");
    let of_it: Vec<_> = events.iter().filter(|it| it.contains(&named)).collect();
    assert_eq!(of_it.len(), 1, "{events:?}");
    assert!(of_it[0].contains(reason), "{of_it:?}");
    assert!(!of_it[0].contains(secret), "{of_it:?}");
    let errors = cache.stats().function(name).error_kinds;
    assert!(
        errors.decode + errors.encode >= CALLS as u64 - 1,
        "{name}: {errors}"
    );
    // The memory backend does not encode values.
    let here = Cache::builder().in_process().build().expect("it builds");
    assert_eq!(calls(&here, name, policy, value).await, 1, "{name}");
}

async fn what_cannot_be_read_back_is_computed_and_reported_once(backend: Backend) {
    let left_out = LeftOut { list: Vec::new() };
    is_degraded(
        &backend,
        "left",
        MINUTE,
        &left_out,
        "missing field `list`",
        "{}",
    )
    .await;
    let packed = MINUTE.codec::<recached::codec::MsgPack>();
    is_degraded(&backend, "packed", packed, &left_out, "list", "{}").await;
    let of = BTreeMap::from([(77_777, 88_888)]);
    let tagged = Tagged::Counts { of };
    is_degraded(&backend, "tagged", MINUTE, &tagged, "u32", "77777").await;
    let renamed = Renamed { value: 77_777 };
    is_degraded(
        &backend,
        "renamed",
        MINUTE,
        &renamed,
        "missing field `in`",
        "77777",
    )
    .await;
    let rest = Rest { large: u128::MAX };
    let wide = Wide { id: 1, rest };
    is_degraded(&backend, "wide", MINUTE, &wide, "128", "340282").await;
}

async fn what_is_nested_too_deep_is_computed_and_reported_once(backend: Backend) {
    // Each level takes one of the 127 levels that serde_json reads.
    let deepest = Nested::levels(127);
    let cache = on(&backend).build().expect("it builds");
    assert_eq!(calls(&cache, "deepest", MINUTE, &deepest).await, 1);
    let packed = MINUTE.codec::<recached::codec::MsgPack>();
    assert_eq!(calls(&cache, "deepest_packed", packed, &deepest).await, 1);
    let deeper = Nested::levels(128);
    is_degraded(&backend, "deeper", MINUTE, &deeper, "127", "[[").await;
    is_degraded(&backend, "deeper_packed", packed, &deeper, "127", "[[").await;
    let deepest_of_all = Nested::levels(1_000);
    is_degraded(&backend, "deep", MINUTE, &deepest_of_all, "127", "[[").await;
}

/// Panics when it is serialized, unless its number is even.
#[derive(Clone, Debug, PartialEq)]
struct Fragile(u32);

static UNREADABLE: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.0.is_multiple_of(2), "it is odd");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self)
    }
}

#[cached(ttl = 60, cache = cache, skip(cache))]
fn fragile(cache: &Cache, number: u32) -> Fragile {
    Fragile(number)
}

async fn a_value_whose_serialize_panics_is_returned_and_reported_once(backend: Backend) {
    is_degraded(&backend, "fragile", MINUTE, &Fragile(7), "panicked", "odd").await;
    // Another value of the same function that can be written is stored.
    let cache = on(&backend).build().expect("it builds");
    assert_eq!(calls(&cache, "fragile_even", MINUTE, &Fragile(8)).await, 1);
    let plain = tokio::task::spawn_blocking(move || {
        for number in [7, 7, 8, 8] {
            assert_eq!(fragile(&cache, number), Fragile(number));
        }
        cache.stats().function("values.fragile").computations
    });
    assert_eq!(plain.await.expect("no panic"), 3);
}

/// Panics when it is deserialized, unless its number is even.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Touchy(u32);

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        UNREADABLE.fetch_add(1, Ordering::SeqCst);
        assert!(number.is_multiple_of(2), "it is odd");
        Ok(Self(number))
    }
}

async fn a_stored_value_whose_deserialize_panics_is_a_miss_and_replaced(backend: Backend) {
    is_degraded(&backend, "touchy", MINUTE, &Touchy(7), "panicked", "odd").await;
    assert!(UNREADABLE.load(Ordering::SeqCst) > 0);
    // A readable value replaces the entry and is served.
    let cache = on(&backend).build().expect("it builds");
    let value = cache.get_or_compute("touchy:1", MINUTE, async || Touchy(8));
    assert_eq!(value.await, Touchy(8));
    assert_eq!(calls(&cache, "touchy", MINUTE, &Touchy(8)).await, 0);
}

/// Both variants have the same serialized form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    First { id: u32 },
    Second { id: u32, rest: Option<u32> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Skipping {
    id: u32,
    #[serde(skip)]
    token: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rounded {
    #[serde(serialize_with = "tenths", deserialize_with = "tenth")]
    value: u32,
}

fn tenths<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(value / 10)
}

fn tenth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    u32::deserialize(deserializer).map(|value| value * 11)
}

/// Returns `true` if an event reports that a stored value is read back as a different one.
async fn reads_back_otherwise<T>(backend: &Backend, name: &str, value: T) -> bool
where
    T: Clone + Debug + PartialEq + Serialize + for<'a> Deserialize<'a> + Send + Sync + 'static,
{
    let told = ReceivedEvents::default();
    let cache = told.by(on(backend));
    for id in 0..CALLS {
        let key = format!("{name}:{id}");
        cache
            .get_or_compute(&key, MINUTE, async || value.clone())
            .await;
    }
    let events = told.named("FunctionDegraded");
    assert!(events.len() <= 1, "{events:?}");
    let named = format!("`{name}`");
    assert!(events.iter().all(|it| it.contains(&named)), "{events:?}");
    events.iter().any(|it| it.contains("read back as another"))
}

async fn what_is_read_back_as_another_value_is_reported_once(backend: Backend) {
    // Debug builds read a value back once per function.
    let told = cfg!(debug_assertions);
    let second = Untagged::Second { id: 1, rest: None };
    assert_eq!(
        reads_back_otherwise(&backend, "untagged", second).await,
        told
    );
    let rounded = Rounded { value: 120 };
    assert_eq!(
        reads_back_otherwise(&backend, "rounded", rounded).await,
        told
    );
}

async fn what_is_read_back_as_it_was_is_not_reported(backend: Backend) {
    let first = Untagged::First { id: 1 };
    assert!(!reads_back_otherwise(&backend, "first", first).await);
    let skipping = Skipping { id: 1, token: 0 };
    assert!(!reads_back_otherwise(&backend, "skipping", skipping).await);
    let map = std::collections::HashMap::from(
        [(1, "a"), (2, "b"), (3, "c")].map(|(id, text)| (id, text.to_owned())),
    );
    assert!(!reads_back_otherwise(&backend, "map", map).await);
    assert!(!reads_back_otherwise(&backend, "float", 0.1_f32 + 0.2).await);
}

/// Length of the entry header before the payload.
const HEADER: usize = 60;

/// Replaces the payload of an entry.
fn replace(backend: &Backend, key: &str, payload: &[u8]) {
    let key = format!("{}:{key}", backend.namespace);
    let mut client = backend.client(&key);
    let entry: Vec<u8> = redis::cmd("GET")
        .arg(&key)
        .query(&mut client)
        .expect("it works");
    let mut bomb = entry[..HEADER].to_vec();
    bomb.extend_from_slice(payload);
    let mut set = redis::cmd("SET");
    set.arg(&key).arg(bomb).arg("KEEPTTL");
    set.exec(&mut client).expect("it works");
}

async fn an_entry_nested_a_hundred_thousand_levels_is_a_miss(backend: Backend) {
    let json = (MINUTE, b"[".as_slice());
    let packed = (
        MINUTE.codec::<recached::codec::MsgPack>(),
        b"\x91\x91\x91\x91\x91\x91".as_slice(),
    );
    for (policy, levels) in [json, packed] {
        let cache = on(&backend).build().expect("it builds");
        let _ = cache.remove("deep:1").await.expect("it works");
        let value = Nested::levels(3);
        assert_eq!(calls(&cache, "deep", policy, &value).await, 1);
        replace(&backend, "deep:1", &levels.repeat(100_000));
        // Another process reads the entry and replaces it.
        let cache = on(&backend).build().expect("it builds");
        assert_eq!(calls(&cache, "deep", policy, &value).await, 1);
        let errors = cache.stats().function("deep").error_kinds.decode;
        assert!(
            (1..=2).contains(&errors),
            "at the look, and at the claim: {errors}"
        );
    }
}

async fn an_entry_that_unpacks_to_a_gigabyte_is_not_unpacked(backend: Backend) {
    let policy = MINUTE.compress::<recached::codec::Lz4>();
    let cache = on(&backend).build().expect("it builds");
    let value = "x".repeat(9_000);
    assert_eq!(calls(&cache, "bomb", policy, &value).await, 1);
    // A JSON text in an LZ4 block: two literals, a match of any length that repeats the second, and
    // five literals as the format requires
    // (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
    let mut block = vec![0x2f, b'"', b'x', 1, 0];
    block.resize(block.len() + 3_900_000, 0xff);
    block.extend_from_slice(b"\0\x50xxxx\"");
    let length: u32 = 2 + 4 + 15 + 255 * 3_900_000 + 5;
    let mut payload = vec![b'z'];
    payload.extend_from_slice(&length.to_be_bytes());
    payload.append(&mut block);
    replace(&backend, "bomb:1", &payload);
    let cache = on(&backend).build().expect("it builds");
    assert_eq!(calls(&cache, "bomb", policy, &value).await, 1);
    let errors = cache.stats().function("bomb").error_kinds.decode;
    assert!(
        (1..=2).contains(&errors),
        "at the look, and at the claim: {errors}"
    );
}
