//! Codecs and compression of values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Cache, Policy, cached, codec};
use recached_tests::{Server, cache_on};
use serde::{Deserialize, Serialize};

static RUNS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shop {
    name: String,
    open: bool,
    rating: f64,
    tags: Vec<Option<String>>,
    stock: BTreeMap<u32, i64>,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    Tuple(u8, i128),
    Named { x: char },
}

fn shop(size: usize) -> Shop {
    Shop {
        name: "é".repeat(size),
        open: true,
        rating: 0.1 + 0.2,
        tags: vec![None, Some("a".into())],
        stock: (0..9).map(|id| (id, -i64::from(id))).collect(),
        kind: match size % 3 {
            0 => Kind::Unit,
            1 => Kind::Tuple(1, i128::MIN),
            _ => Kind::Named { x: '\u{1F600}' },
        },
        note: (size > 1).then(|| "x".into()),
    }
}

macro_rules! in_codec {
    ($($function:ident $mark:literal [$($option:tt)+])+) => {$(
        #[cached(ttl = 60, cache = cache, skip(cache), near = false, $($option)+)]
        async fn $function(cache: &Cache, size: usize) -> Result<Arc<Shop>, String> {
            RUNS.fetch_add(1, Ordering::SeqCst);
            Ok(Arc::new(shop(size)))
        }
    )+
        const MARKS: &[(&str, &str)] = &[$((stringify!($function), $mark)),+];

        async fn all(cache: &Cache, size: usize) {
            $(assert_eq!($function(cache, size).await, Ok(Arc::new(shop(size))));)+
        }
    };
}

in_codec! {
    json "j" [codec = "json"]
    msgpack "m" [codec = "msgpack"]
    json_compressed "J" [compress]
    msgpack_compressed "M" [compress, codec = "msgpack"]
    as_ever "j" [compress = false]
}

fn key_of(server: &Server, function: &str, size: usize) -> String {
    let module = module_path!().replace("::", ".");
    let pattern = format!("codec:{module}.{function}@*:{size}");
    let found: Vec<String> = server.ask(&["KEYS", &pattern]);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_gives_back_what_was_stored() {
    let server = Server::start();
    let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "codec"));
    let sizes = [0, 1, 2, 1_000, 100_000];
    for size in sizes {
        for cache in [&one, &two, &one] {
            all(cache, size).await;
        }
    }
    assert_eq!(RUNS.load(Ordering::SeqCst), sizes.len() * MARKS.len());
    assert_eq!(two.stats().total.computations, 0);
    let length = |function: &str, size: usize| {
        server.ask::<usize>(&["STRLEN", &key_of(&server, function, size)])
    };
    for (function, mark) in MARKS {
        let key = key_of(&server, function, 1);
        assert_eq!(server.ask::<String>(&["GETRANGE", &key, "3", "3"]), *mark);
    }
    assert!(length("msgpack", 1) < length("json", 1));
    assert_eq!(
        length("json_compressed", 1),
        length("json", 1) + 1,
        "small values stay readable"
    );
    for (whole, compressed) in [
        ("json", "json_compressed"),
        ("msgpack", "msgpack_compressed"),
    ] {
        assert!(length(compressed, 100_000) * 50 < length(whole, 100_000));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_hand_a_policy_names_the_codec() {
    let server = Server::start();
    let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "codec"));
    let minute = Policy::new(Duration::from_secs(60));
    let policy = minute.codec::<codec::MsgPack>().compress::<codec::Lz4>();
    let long = || vec![7_u64; 9_000];
    let value = one.get_or_compute("hand:1", policy, || async { long() });
    assert!(value.await == long());
    assert!(server.ask::<usize>(&["STRLEN", "codec:hand:1"]) < 500);
    // An entry records its own codec and compression, so any reader can decode it.
    let value = two.get_or_compute("hand:1", minute, || async { Vec::<u64>::new() });
    assert!(value.await == long());
    assert!(two.get("hand:1").await.expect("it works") == Some(long()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_value_fits_if_it_fits_as_it_is() {
    let server = Server::start();
    let cache = Cache::builder()
        .redis(server.url())
        .namespace("codec")
        .command_timeout(Duration::from_secs(5))
        .max_value_size(10_002)
        .build()
        .expect("it builds");
    let policy = Policy::new(Duration::from_secs(60)).compress::<codec::Lz4>();
    // The size includes two quotes and a byte that marks compression.
    for (length, stored) in [(9_999, true), (10_000, false), (10_001, false)] {
        let key = format!("fits:{length}");
        let value = "x".repeat(length);
        let computed = cache.get_or_compute(&key, policy, || async { value.clone() });
        assert_eq!(computed.await, value);
        assert_eq!(
            cache.exists(&key).await.expect("it works"),
            stored,
            "{length}"
        );
    }
}

macro_rules! nothing_in_some {
    ($($function:ident [$($option:tt)*])+) => {$(
        #[cached(ttl = 60, cache = cache, skip(cache), near = false $($option)*)]
        async fn $function(cache: &Cache, id: u8) -> Result<Option<Option<u8>>, String> {
            Ok([None, Some(None), Some(Some(7))][usize::from(id)])
        }
    )+
        async fn all_nothings(cache: &Cache, id: u8) -> Vec<Option<Option<u8>>> {
            vec![$($function(cache, id).await.expect("it does not fail")),+]
        }
    };
}

nothing_in_some! {
    nickname_in_json []
    nickname_in_msgpack [, codec = "msgpack"]
}

/// A row without a nickname is not a missing row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_would_be_read_as_another_is_computed_each_time() {
    let server = Server::start();
    let [one, two] = [(); 2].map(|()| cache_on(&server.url(), "codec"));
    for (id, value) in (0..).zip([None, Some(None), Some(Some(7))]) {
        for cache in [&one, &two, &one] {
            assert_eq!(all_nothings(cache, id).await, [value, value]);
        }
    }
    let total = two.stats().total;
    assert_eq!(
        (total.redis_hits, total.computations, total.errors),
        (4, 2, 2)
    );
}
