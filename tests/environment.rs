//! Log messages about an unusable environment, for caches without a builder that could return an
//! error.

use std::env;
use std::fmt::Debug;
use std::process::Command;

use std::time::Duration;

use recached::{Cache, Policy, cached};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

const MINUTE: Policy = Policy::new(Duration::from_secs(60));

#[cached(ttl = 60, secret(token))]
async fn account(token: &str) -> u32 {
    u32::from(!token.is_empty())
}

/// Prints log messages.
struct Printed;

impl tracing::Subscriber for Printed {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Line;
        impl Visit for Line {
            fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
                println!("{value:?}");
            }
        }
        event.record(&mut Line);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Runs in a child process with its own environment.
#[test]
#[ignore = "a part of another test"]
fn child() {
    let cache = tracing::subscriber::with_default(Printed, Cache::global);
    let run = || {
        let value = cache.get_or_compute("probe:1", MINUTE, || async { 1u32 });
        assert_eq!(recached_tests::block_on(value), 1);
    };
    run();
    run();
    let secretive = || recached_tests::block_on(account("hunter2"));
    assert_eq!((secretive(), secretive()), (1, 1));
    let stats = cache.stats();
    println!("bypasses: {}", stats.function("probe").bypasses);
    println!("near hits: {}", stats.function("probe").near_hits);
    let late = Cache::builder().install();
    println!("installed late: {}", late.expect_err("there is one"));
    let account = stats
        .functions
        .iter()
        .find(|(name, _)| name.ends_with("account"));
    println!(
        "account: {:?}",
        account.map(|(_, of)| (of.bypasses, of.near_hits))
    );
    match recached_tests::block_on(cache.invalidate("probe")) {
        Ok(report) => println!("invalidated: {:?}", report.functions),
        Err(error) => println!("refused: {error}"),
    }
}

/// Returns the log of a child process with this variable in its environment.
fn logged(variable: &str, value: &str) -> String {
    let program = env::current_exe().expect("this is a program");
    let mut child = Command::new(program);
    for variable in [
        "REDIS_URL",
        "RECACHED_TTL",
        "RECACHED_OFF",
        "RECACHED_SECRET",
    ] {
        child.env_remove(variable);
    }
    let child = child
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(variable, value)
        .output()
        .expect("it starts");
    assert!(child.status.success(), "the cache is there all the same");
    String::from_utf8_lossy(&child.stdout).into_owned()
}

#[test]
fn a_variable_that_cannot_be_used_is_named_and_no_other() {
    let all = [
        "REDIS_URL",
        "RECACHED_TTL",
        "RECACHED_OFF",
        "RECACHED_SECRET",
    ];
    for (culprit, value) in [
        ("REDIS_URL", "http://ada:hunter2@localhost/"),
        ("RECACHED_TTL", "user*=soon"),
        ("RECACHED_OFF", "a:b"),
        ("RECACHED_SECRET", "hunter2"),
    ] {
        let text = logged(culprit, value);
        for variable in all {
            let named =
                text.contains(&format!("{variable}:")) || text.contains(&format!("{variable} is"));
            assert_eq!(named, variable == culprit, "{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(!logged("RECACHED_TTL", "user*=5s").contains("RECACHED"));
}

#[test]
fn a_cache_whose_server_cannot_be_known_is_off() {
    for url in [
        "\"redis://127.0.0.1/\"",
        "'redis://127.0.0.1/'",
        "127.0.0.1",
        "127.0.0.1:6379",
        "http://x/",
    ] {
        let text = logged("REDIS_URL", url);
        assert!(
            text.contains("bypasses: 2") && text.contains("near hits: 0"),
            "{url}: {text}"
        );
        assert!(text.contains("refused: the cache is off"), "{url}: {text}");
    }
}

#[test]
fn a_bad_override_disables_itself_and_not_the_cache() {
    for (variable, value) in [
        ("RECACHED_TTL", "f=5"),
        ("RECACHED_OFF", "a:b"),
        ("RECACHED_TTL", "probe=1h,f=5"),
    ] {
        let text = logged(variable, value);
        assert!(text.contains("near hits: 1"), "{text}");
        assert!(text.contains("invalidated: [\"probe\"]"), "{text}");
        assert!(text.contains("account: Some((0, 1))"), "{text}");
    }
}

#[test]
fn a_short_secret_disables_the_functions_that_need_it() {
    let text = logged("RECACHED_SECRET", "hunter2");
    assert!(text.contains("near hits: 1"), "{text}");
    assert!(text.contains("account: Some((2, 0))"), "{text}");
}

#[test]
fn a_misspelt_variable_is_said() {
    let text = logged("RECACHED_TTLS", "user=5s");
    assert!(text.contains("did you mean RECACHED_TTL?"), "{text}");
}

#[test]
fn an_install_that_comes_too_late_names_the_function_that_came_first() {
    let said = logged("RECACHED_TTL", "");
    assert!(
        said.contains("installed late: ")
            && said.contains("the cached function `probe` was called before this"),
        "{said}"
    );
}
