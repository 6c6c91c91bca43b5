//! What is said of an environment that can't be used, where no builder could return it.

use std::env;
use std::fmt::Debug;
use std::process::Command;

use recached::Cache;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

/// Prints what is logged.
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

/// Whose environment is not that of the other tests.
#[test]
#[ignore = "a part of another test"]
fn child() {
    let cache = tracing::subscriber::with_default(Printed, Cache::installed);
    assert!(format!("{cache:?}").contains("Cache"));
}

/// What a program logs whose environment has this variable.
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
            assert_eq!(text.contains(variable), variable == culprit, "{text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(!logged("RECACHED_TTL", "user*=5s").contains("RECACHED"));
}
