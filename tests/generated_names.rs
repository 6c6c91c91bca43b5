//! Names that do not clash, and places where functions may be defined. For each, the second call is
//! a hit, other arguments are another entry, and the entry handle invalidates the entry.

use recached::{cached, invalidates};
use recached_tests::{assert_cached, assert_cached_async, ran, runs};

#[cached(ttl = 60)]
fn common(cache: u8, key: u8, result: u8, value: u8, function: u8, call: u8, args: u8) -> u8 {
    ran("common");
    cache + key + result + value + function + call + args
}

#[cached(
    ttl = 60,
    key = "{arguments}:{hit}:{policy}:{entry}:{place}:{__x}:{compute}"
)]
async fn generated(
    arguments: u8,
    hit: u8,
    policy: u8,
    entry: u8,
    place: u8,
    __x: u8,
    compute: u8,
) -> u8 {
    ran("generated");
    arguments + hit + policy + entry + place + __x + compute
}

#[cached(ttl = 60)]
fn r#type(r#match: u8, r#fn: &str) -> u8 {
    ran("type");
    r#match + r#fn.len() as u8
}

#[cached(ttl = 60, skip(r#where), with(r#type % 10))]
async fn raw(r#type: u8, r#where: u8) -> u8 {
    ran("raw");
    r#type + r#where
}

#[cached(ttl = 60, key = "of:{r#type}")]
fn raw_template(r#type: u8) -> u8 {
    ran("raw_template");
    r#type
}

#[cached(ttl = 60)]
fn namesake(namesake: u8) -> u8 {
    ran("namesake");
    namesake
}

struct Namesakes;

impl Namesakes {
    const MORE: u8 = 1;

    #[cached(ttl = 60)]
    async fn associated(associated: u8) -> u8 {
        ran("Namesakes::associated");
        associated + Self::MORE
    }
}

#[tokio::test]
async fn an_argument_may_have_the_name_of_its_function() {
    assert_cached!("namesake", namesake(1), namesake(2), namesake_entry(1));
    assert_eq!(namesake_entry(3).refresh(), 3);
    assert_cached_async!(
        "Namesakes::associated",
        Namesakes::associated(1),
        Namesakes::associated(2),
        Namesakes::associated_entry(1)
    );
}

macro_rules! of_one_name {
    ($($module:ident $add:literal),*) => {$(
        mod $module {
            #[recached::cached(ttl = 60, name = "written.by.a.macro")]
            pub(super) fn load(id: u8) -> u8 {
                id + $add
            }
        }
    )*};
}
of_one_name!(first 1, second 2);

#[test]
fn functions_that_a_macro_gives_one_name_are_refused_loudly_and_still_answer() {
    for _ in 0..2 {
        assert_eq!((first::load(1), second::load(1)), (2, 3));
    }
    let error = second::load_entry(1).invalidate();
    let error = error.expect_err("the name is taken");
    assert_eq!(error.kind(), recached::ErrorKind::NameTaken);
    assert!(
        error.to_string().contains("generated_names.second.load"),
        "{error}"
    );
}

#[expect(non_camel_case_types, reason = "names that generated code may mention")]
mod shadowed {
    use super::*;

    struct Option;
    struct Some;
    struct None;
    struct Send;
    struct Future;
    struct Duration;
    struct str;
    struct u8;
    mod core {}
    mod std {}

    #[cached(ttl = 60, none_ttl = "1s", lease = "5s")]
    pub async fn among_strangers(id: u64) -> ::core::option::Option<u64> {
        ran("among_strangers");
        let _ = (Option, Some, None, Send, Future, Duration, str, u8);
        ::core::option::Option::Some(id)
    }
}

#[tokio::test]
async fn nothing_clashes_with_generated_names() {
    assert_cached!(
        "common",
        common(1, 2, 3, 4, 5, 6, 7),
        common(7, 6, 5, 4, 3, 2, 1),
        common_entry(1, 2, 3, 4, 5, 6, 7)
    );
    assert_cached_async!(
        "generated",
        generated(1, 2, 3, 4, 5, 6, 7),
        generated(7, 6, 5, 4, 3, 2, 1),
        generated_entry(1, 2, 3, 4, 5, 6, 7)
    );
    assert_cached!("type", r#type(1, "a"), r#type(1, "b"), type_entry(1, "a"));
    assert_cached_async!("raw", raw(1, 2), raw(2, 2), raw_entry(1, 0));
    assert_cached!(
        "raw_template",
        raw_template(1),
        raw_template(2),
        raw_template_entry(1)
    );
    assert_cached_async!(
        "among_strangers",
        shadowed::among_strangers(1),
        shadowed::among_strangers(2),
        shadowed::among_strangers_entry(1)
    );
}

mod outer {
    pub(crate) mod inner {
        #[recached::cached(ttl = 60)]
        pub(in crate::outer) fn within(id: u8) -> u8 {
            recached_tests::ran("within");
            id
        }
    }

    #[recached::cached(ttl = 60)]
    pub(super) fn around(id: u8) -> u8 {
        recached_tests::ran("around");
        id
    }

    pub(crate) fn through(id: u8) -> (u8, bool) {
        (
            inner::within(id),
            inner::within_entry(id)
                .invalidate()
                .expect("it works")
                .entries
                == 1,
        )
    }
}

#[cached(ttl = 60)]
async fn enclosing(id: u8) -> u8 {
    #[cached(ttl = 60)]
    async fn enclosed(id: u8) -> u8 {
        ran("enclosed");
        id + 1
    }
    ran("enclosing");
    let inner = enclosed(id).await;
    assert_eq!(
        enclosed_entry(id).peek().await.expect("it works"),
        Some(inner)
    );
    inner
}

#[tokio::test]
async fn functions_may_stand_anywhere() {
    assert_cached!(
        "around",
        outer::around(1),
        outer::around(2),
        outer::around_entry(1)
    );
    assert_eq!([outer::through(1), outer::through(1)], [(1, true); 2]);
    assert_eq!(runs("within"), 2);
    assert_cached_async!("enclosing", enclosing(1), enclosing(2), enclosing_entry(1));
    assert_eq!(runs("enclosed"), 2);

    #[cached(ttl = 60)]
    fn local(id: u8) -> u8 {
        ran("local");
        id
    }
    assert_cached!("local", local(1), local(2), local_entry(1));
    let closed = || {
        #[cached(ttl = 60)]
        fn local(id: u8) -> u8 {
            ran("local in a closure");
            id + 1
        }
        local(1)
    };
    assert_eq!((closed(), local(1)), (2, 1));
}

mod länge {
    use super::*;

    #[cached(ttl = 60)]
    pub(super) fn größe(id: u64) -> u64 {
        ran("größe");
        id
    }

    #[cached(ttl = 60, key = "名前:{名前}")]
    pub(super) async fn 検索(名前: &str) -> usize {
        ran("検索");
        名前.len()
    }
}

#[invalidates("größe", "検?")]
fn vergessen(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn a_name_in_another_script_is_a_name_wherever_one_is_asked_for() {
    use länge::{größe, 検索};
    let call = async || {
        assert_eq!((größe(1), 検索("é").await), (1, 2));
        (runs("größe"), runs("検索"))
    };
    assert_eq!(call().await, (1, 1));
    assert_eq!(call().await, (1, 1));
    for pattern in [
        "größe",
        "gr?ße",
        "*ße",
        "generated_names.länge.größe",
        "gr%C3%B6%C3%9Fe",
    ] {
        let before = runs("größe");
        let report = recached::invalidate(pattern)
            .await
            .expect("it is a pattern");
        assert_eq!(report.functions.len(), 1, "{pattern}");
        assert_eq!(call().await, (before + 1, 1), "{pattern}");
    }
    let before = runs("größe");
    vergessen(1);
    assert_eq!(call().await, (before + 1, 2));
    let report = recached::invalidate_keys("検索:名前:é").await;
    assert_eq!(report.expect("it is a pattern").entries, 1);
    assert_eq!(call().await, (before + 1, 3));
    assert!(
        recached::stats()
            .function("generated_names.länge.größe")
            .near_hits
            > 0
    );
    assert!(
        recached::invalidate("grosse")
            .await
            .expect("it is one")
            .functions
            .is_empty()
    );
}
