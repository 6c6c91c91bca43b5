//! Secret arguments, of which only a hash is visible.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use recached::{Builder, Cache, ErrorKind, Event, cached};
use recached_tests::{Server, until};

static RUNS: AtomicUsize = AtomicUsize::new(0);

#[cached(ttl = 60, cache = cache, skip(cache), secret(token, other))]
async fn account(cache: &Cache, id: u64, token: &str, other: Option<u32>) -> String {
    RUNS.fetch_add(1, Ordering::SeqCst);
    format!("{id} {token} {other:?}")
}

#[cached(ttl = 60, cache = cache, key = "of:{id}:{login.token}", secret(login), name = "templated")]
async fn templated(cache: &Cache, id: u64, login: &Login) -> u64 {
    RUNS.fetch_add(1, Ordering::SeqCst);
    id
}

struct Login {
    token: String,
}

#[cached(ttl = 60, cache = cache, skip(cache), secret(token))]
fn plain(cache: &Cache, token: String) -> usize {
    token.len()
}

fn builder(server: &Server) -> Builder {
    Cache::builder()
        .redis(server.url())
        .namespace("secret")
        .command_timeout(Duration::from_secs(5))
}

async fn runs(work: impl Future<Output = ()>) -> usize {
    let runs = RUNS.load(Ordering::SeqCst);
    work.await;
    RUNS.load(Ordering::SeqCst) - runs
}

/// One test for all cases, because they count the same computations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_hash_of_a_secret_argument_is_seen_and_the_fleet_shares_it() {
    let server = Server::start();
    let with = |secret: &str| builder(&server).secret(secret).build().expect("it builds");
    let (one, two) = (with("0123456789abcdef"), with("0123456789abcdef"));
    let stranger = with("another secret of theirs");
    let computed = runs(async {
        for cache in [&one, &two, &one] {
            assert_eq!(account(cache, 1, "hunter2", None).await, "1 hunter2 None");
        }
    });
    assert_eq!(computed.await, 1);
    let computed = runs(async {
        // Other values of each secret argument, and a cache with another secret.
        account(&one, 1, "hunter3", None).await;
        account(&one, 1, "hunter2", Some(1)).await;
        account(&stranger, 1, "hunter2", None).await;
    });
    assert_eq!(computed.await, 3);
    let login = Login {
        token: "hunter2".to_owned(),
    };
    let computed = runs(async {
        for cache in [&one, &two] {
            assert_eq!(templated(cache, 5, &login).await, 5);
        }
    });
    assert_eq!(computed.await, 1);
    assert_eq!(plain(&one, "hunter2".to_owned()), 7);
    assert_eq!(plain(&one, "hunter2".to_owned()), 7);
    until("all is stored", || async {
        server.ask::<Vec<String>>(&["KEYS", "*of:5*"]).len() == 1
    })
    .await;
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert!(
        keys.iter()
            .any(|key| key.contains(".account@") && key.contains(":1:!")),
        "{keys:?}"
    );
    assert!(
        keys.iter()
            .any(|key| key.contains(":templated@") && key.contains(":of:5:!")),
        "{keys:?}"
    );
    assert!(!keys.iter().any(|key| key.contains("hunter")), "{keys:?}");
    let key = account_entry(&one, 1, "hunter2", None);
    assert!(!key.key().expect("it has one").as_str().contains("hunter2"));
    // The handle still identifies the same call.
    let _ = account_entry(&one, 1, "hunter2", None)
        .invalidate()
        .await
        .expect("it works");
    let computed = runs(async { drop(account(&one, 1, "hunter2", None).await) });
    assert_eq!(computed.await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_that_is_shared_it_is_reported_once_and_nothing_is_exposed() {
    let server = Server::start();
    let told = Arc::new(Mutex::new(0));
    let build = || {
        let told = Arc::clone(&told);
        let observed = builder(&server).observer(move |event| {
            *told.lock().expect("no panic") += usize::from(matches!(event, Event::SecretNotShared));
        });
        observed.build().expect("it builds")
    };
    let (one, two) = (build(), build());
    for cache in [&one, &one, &two, &two] {
        assert_eq!(plain(cache, "hunter2".to_owned()), 7);
    }
    assert_eq!(*told.lock().expect("no panic"), 2, "once for each");
    for cache in [one, two] {
        assert_eq!(cache.stats().total.computations, 1);
    }
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert!(!keys.iter().any(|key| key.contains("hunter")), "{keys:?}");
    let alone = Cache::builder().in_process().build().expect("it builds");
    for _ in 0..2 {
        plain(&alone, "hunter2".to_owned());
    }
    assert_eq!(alone.stats().total.computations, 1);
}

#[test]
fn a_secret_that_can_be_guessed_is_an_error_that_does_not_tell_it() {
    let refused = Cache::builder().in_process().secret("hunter2").build();
    let error = refused.expect_err("it is short");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("16 bytes") && !error.to_string().contains("hunter2"));
    let debug = format!("{:?}", Cache::builder().secret("a secret of 16 bytes"));
    assert!(!debug.contains("a secret"), "{debug}");
}
