//! Other macros around and beside the attribute, in either order, and macros that generate it.

use std::sync::atomic::{AtomicUsize, Ordering};

use recached::cached;
use recached_tests::{assert_cached, assert_cached_async, ran, runs};

#[cached(ttl = 60)]
#[tracing::instrument]
async fn traced_within(id: u64, text: &str) -> Result<String, std::fmt::Error> {
    ran("traced_within");
    tokio::task::yield_now().await;
    Ok(format!("{id}{text}"))
}

#[tracing::instrument(skip(text), fields(length = text.len()), err)]
#[cached(ttl = 60)]
async fn traced_around(id: u64, text: &str) -> Result<String, std::fmt::Error> {
    ran("traced_around");
    tokio::task::yield_now().await;
    Ok(format!("{id}{text}"))
}

#[cached(ttl = 60)]
#[tracing::instrument(ret)]
fn traced_plainly(id: u64) -> u64 {
    ran("traced_plainly");
    id
}

#[tracing::instrument(level = "debug")]
#[cached(ttl = 60, err_ttl = "1s")]
fn traced_plainly_around(id: u64) -> Result<u64, ()> {
    ran("traced_plainly_around");
    Ok(id)
}

struct Traced;

impl Traced {
    #[cached(ttl = 60, skip(self))]
    #[tracing::instrument(skip(self))]
    async fn within(&self, id: u64) -> u64 {
        ran("Traced::within");
        id
    }

    #[tracing::instrument(skip_all)]
    #[cached(ttl = 60, skip(self))]
    async fn around(&self, (id, more): (u64, u64)) -> u64 {
        ran("Traced::around");
        id + more
    }
}

#[async_trait::async_trait]
trait Tracing {
    async fn both(&self, id: u64) -> u64;
    async fn both_around(&self, id: u64) -> u64;
}

#[async_trait::async_trait]
impl Tracing for Traced {
    #[cached(ttl = 60, skip(self), entry = false)]
    #[tracing::instrument(skip(self))]
    async fn both(&self, id: u64) -> u64 {
        ran("Traced::both");
        tokio::task::yield_now().await;
        id
    }

    #[tracing::instrument(skip(self))]
    #[cached(ttl = 60, skip(self), entry = false)]
    async fn both_around(&self, id: u64) -> u64 {
        ran("Traced::both_around");
        tokio::task::yield_now().await;
        id
    }
}

#[tokio::test]
async fn a_traced_function_is_cached_in_either_order() {
    assert_cached_async!(
        "traced_within",
        traced_within(1, "a"),
        traced_within(2, "a"),
        traced_within_entry(1, "a")
    );
    assert_cached_async!(
        "traced_around",
        traced_around(1, "a"),
        traced_around(2, "a"),
        traced_around_entry(1, "a")
    );
    assert_cached!(
        "traced_plainly",
        traced_plainly(1),
        traced_plainly(2),
        traced_plainly_entry(1)
    );
    assert_cached!(
        "traced_plainly_around",
        traced_plainly_around(1),
        traced_plainly_around(2),
        traced_plainly_around_entry(1)
    );
    assert_cached_async!(
        "Traced::within",
        Traced.within(1),
        Traced.within(2),
        Traced.within_entry(1)
    );
    assert_cached_async!(
        "Traced::around",
        Traced.around((1, 2)),
        Traced.around((2, 1)),
        Traced.around_entry((1, 2))
    );
    for _ in 0..2 {
        assert_eq!(Traced.both(1).await + Traced.both(2).await, 3);
        assert_eq!(Traced.both_around(1).await + Traced.both_around(2).await, 3);
    }
    assert_eq!((runs("Traced::both"), runs("Traced::both_around")), (2, 2));
}

/// Counts the spans that begin.
#[derive(Clone, Default)]
struct Spans(std::sync::Arc<AtomicUsize>);

impl tracing::Subscriber for Spans {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let counts = span.metadata().name().starts_with("counted");
        self.0.fetch_add(usize::from(counts), Ordering::SeqCst);
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[cached(ttl = 60)]
#[tracing::instrument]
fn counted_below(id: u64) -> u64 {
    id
}

#[tracing::instrument]
#[cached(ttl = 60)]
fn counted_above(id: u64) -> u64 {
    id
}

#[test]
fn what_stands_below_sees_every_call_and_what_stands_above_computations() {
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        assert_eq!(
            [counted_below(1), counted_below(1), counted_below(1)],
            [1; 3]
        );
        assert_eq!(spans.0.swap(0, Ordering::SeqCst), 3);
        assert_eq!(
            [counted_above(1), counted_above(1), counted_above(1)],
            [1; 3]
        );
        assert_eq!(spans.0.swap(0, Ordering::SeqCst), 1);
    });
}

/// An attribute that turns an async function into a plain one.
#[tokio::main(flavor = "current_thread")]
#[cached(ttl = 60, entry = false)]
async fn driven(id: u64) -> u64 {
    ran("driven");
    tokio::task::yield_now().await;
    id
}

#[test]
fn a_function_with_a_runtime_of_its_own_is_cached() {
    assert_eq!((driven(1), driven(1), driven(2)), (1, 1, 2));
    assert_eq!(runs("driven"), 2);
}

#[tokio::test]
#[cached(ttl = 60, entry = false)]
async fn a_test_may_be_cached_itself() -> () {
    ran("a test");
    assert_eq!(runs("a test"), 1);
}

/// Counts from zero on each call.
#[must_use]
#[inline]
#[doc(hidden)]
#[allow(clippy::needless_pass_by_value)]
#[cached(ttl = 60)]
#[track_caller]
#[cfg(not(any()))]
#[cfg_attr(all(), doc = "More.")]
pub fn decorated(#[allow(unused_variables)] id: u64) -> u64 {
    ran("decorated");
    7
}

type Place = (u32, u32);

fn place(of: &std::panic::Location<'_>) -> Place {
    (of.line(), of.column())
}

/// Returns the location of its caller; another argument is another call.
#[track_caller]
#[cached(ttl = 60)]
fn tracked(mut id: u64, (_, _): (u8, u8)) -> Result<Place, u64> {
    ran("tracked");
    id += 1;
    if id > 1_000 {
        return Err(id);
    }
    Ok(place(std::panic::Location::caller()))
}

struct Tracked(u64);

impl Tracked {
    #[track_caller]
    #[cached(ttl = 60, with(self.0))]
    #[deprecated]
    fn place<T: Into<u64> + serde::Serialize>(&self, id: T) -> Place {
        ran("Tracked::place");
        let _: u64 = id.into() + self.0;
        place(std::panic::Location::caller())
    }
}

#[test]
#[expect(deprecated, reason = "nothing of it is lost by that")]
fn a_function_that_asks_for_its_caller_is_reported_it() {
    let (line, column) = (line!(), 21);
    let (first, again) = (tracked(1, (0, 0)), tracked(1, (0, 0)));
    assert_eq!(
        (first, again),
        (Ok((line + 1, column + 6)), Ok((line + 1, column + 6)))
    );
    assert_eq!(tracked(1_000, (0, 0)), Err(1_001));
    assert_eq!(runs("tracked"), 2);
    let line = line!() + 1;
    assert_eq!(Tracked(1).place(1u8), (line, 27));
    assert_eq!(Tracked(1).place(1u8), (line, 27));
    assert_eq!(runs("Tracked::place"), 1);
}

#[cfg(any())]
#[cached(ttl = 60)]
fn left_out(id: u64) -> DoesNotExist {}

#[cached(ttl = 60)]
#[deprecated(note = "for the test")]
fn deprecated(id: u64) -> u64 {
    ran("deprecated");
    id
}

#[test]
fn other_attributes_stay_with_the_function() {
    assert_cached!("decorated", decorated(1), decorated(2), decorated_entry(1));
    #[expect(deprecated, reason = "the companion is as deprecated as the function")]
    {
        assert_cached!(
            "deprecated",
            deprecated(1),
            deprecated(2),
            deprecated_entry(1)
        );
    }
}

macro_rules! lookup {
    ($(#[$meta:meta])* $vis:vis fn $name:ident / $entry:ident ($arg:ident: $ty:ty) -> $ret:ty, $ttl:expr, $text:literal, $body:expr) => {
        $(#[$meta])*
        #[cached(ttl = $ttl, entry = $entry, name = $text, none_ttl = $ttl)]
        $vis fn $name($arg: $ty, plus: u64) -> $ret {
            ran($text);
            let _ = plus;
            $body
        }
    };
}

lookup!(/// Documented.
    pub(crate) fn by_fragments / of_fragments (id: Option<&str>) -> Option<usize>, 60, "by.fragments", id.map(str::len));
lookup!(fn by_text / of_text (_id: u64) -> Result<Option<u64>, NotStored>, "1m", "by.text", Ok(Some(1)));

struct NotStored;

macro_rules! in_block {
    ($name:ident $body:block $($option:tt)*) => {
        #[cached($($option)*)]
        async fn $name(id: u64) -> u64 $body
    };
}

static SEVEN: AtomicUsize = AtomicUsize::new(7);

in_block!(from_block {
    ran("from_block");
    SEVEN.load(Ordering::SeqCst) as u64
} ttl = 60, version = 2);

macro_rules! method {
    ($ty:ty, $ret:ty, $ttl:literal, $jitter:expr, $near:expr) => {
        impl $ty {
            #[cached(ttl = $ttl, jitter = $jitter, near = $near, with(self.0))]
            fn written(&self, id: $ret) -> $ret {
                ran(stringify!($ty));
                id
            }

            #[cached(ttl = $ttl, key = "{self.0}")]
            fn fallible(&self) -> Result<$ret, NotStored> {
                ran(concat!(stringify!($ty), " fallible"));
                Err(NotStored)
            }
        }
    };
}

struct First(u8);
struct Second(u8);
method!(First, u16, 60, 0.1, true);
method!(Second, Vec<u8>, "1m", 0.0, false);

macro_rules! whole {
    ($ty:ident: $($item:tt)*) => {
        impl $ty {
            #[cached(ttl = 60, with(1 + 1), skip(self))]
            $($item)*
        }
    };
    ($item:item) => {
        #[cached(ttl = 60)]
        $item
    };
}

whole! {
    async fn as_item(id: u64, (a, b): (u8, u8)) -> u64 {
        ran("as_item");
        id + u64::from(a + b)
    }
}

whole! {
    First:
    fn as_method(&self, id: u64) -> u64 {
        ran("as_method");
        id + u64::from(self.0)
    }
}

macro_rules! reduced {
    ($ret:ty) => {
        impl Second {
            #[cached(ttl = 60, skip(self))]
            fn reduced(&self, id: u64) -> $ret {
                ran("reduced");
                if id == 0 { Err("zero".into()) } else { Ok(id) }
            }
        }
    };
}

reduced!(Result<u64, String>);

#[tokio::test]
async fn macros_may_write_the_attribute() {
    assert_cached!(
        "by.fragments",
        by_fragments(Some("a"), 1),
        by_fragments(None, 1),
        of_fragments(Some("a"), 1)
    );
    assert_cached!("by.text", by_text(1, 1).ok(), by_text(2, 1), of_text(1, 1));
    assert_cached_async!(
        "from_block",
        from_block(1),
        from_block(2),
        from_block_entry(1)
    );
    let (first, second) = (First(1), Second(2));
    assert_cached!(
        "First",
        first.written(1),
        first.written(2),
        first.written_entry(1)
    );
    assert_cached!(
        "Second",
        second.written(vec![1]),
        Second(1).written(vec![1]),
        second.written_entry(vec![1])
    );
    assert!(first.fallible().is_err() && first.fallible().is_err());
    assert!(second.fallible().is_err());
    assert_eq!((runs("First fallible"), runs("Second fallible")), (2, 1));
    assert_cached_async!(
        "as_item",
        as_item(1, (2, 3)),
        as_item(1, (3, 2)),
        as_item_entry(1, (2, 3))
    );
    assert_cached!(
        "as_method",
        first.as_method(1),
        first.as_method(2),
        first.as_method_entry(1)
    );
    // An error is never stored, however the type is written.
    assert!(second.reduced(0).is_err() && second.reduced(0).is_err());
    assert_eq!(runs("reduced"), 2);
}
