//! One file, compiled in each edition: what differs between them, and what generated code must
//! write so that it does not.
#![deny(
    warnings,
    rust_2018_idioms,
    missing_docs,
    clippy::all,
    clippy::pedantic
)]

use std::borrow::Cow;
use std::future::Future;

use recached::cached;
use recached_tests::{assert_cached, assert_cached_async, ran, runs};

#[cached(ttl = 60)]
async fn awaited(id: u64, text: &str, list: &[Option<&str>]) -> Result<String, std::fmt::Error> {
    ran("awaited");
    tokio::task::yield_now().await;
    Ok(format!("{id} {text} {list:?}"))
}

#[cached(ttl = "1m")]
fn plain<'a>((a, _): (&'a str, u8), mut rest: Cow<'a, str>) -> String {
    ran("plain");
    rest.to_mut().push_str(a);
    rest.into_owned()
}

#[cached(ttl = 60)]
async fn generic<T, const N: usize>(of: &T, mut more: Vec<u8>) -> usize
where
    T: serde::Serialize + Sync,
{
    ran("generic");
    let _ = of;
    more.push(0);
    more.len() + N
}

#[cached(ttl = 60, stale_while_revalidate = 60)]
async fn owned(id: usize, names: Vec<String>) -> Option<usize> {
    ran("owned");
    names.get(id).map(String::len)
}

/// # Safety
///
/// None is needed.
#[cached(ttl = 60)]
unsafe fn unchecked(bytes: &[u8]) -> usize {
    /// # Safety
    ///
    /// None is needed.
    unsafe fn length(bytes: &[u8]) -> usize {
        bytes.len()
    }
    ran("unchecked");
    unsafe { length(bytes) }
}

/// # Safety
///
/// None is needed.
#[cached(ttl = 60)]
async unsafe fn unchecked_later(id: u64) -> u64 {
    ran("unchecked_later");
    tokio::task::yield_now().await;
    id
}

#[cached(ttl = 60)]
extern "C" fn foreign(id: u64) -> u64 {
    ran("foreign");
    id
}

/// # Safety
///
/// None is needed.
#[cached(ttl = 60)]
unsafe extern "C" fn foreign_unchecked(id: u64) -> u64 {
    ran("foreign_unchecked");
    id
}

struct Shop {
    tenant: String,
}

impl Shop {
    #[cached(ttl = 60, with(self.tenant))]
    async fn price(&self, r#try: u64) -> u64 {
        ran("price");
        r#try
    }

    #[cached(ttl = 60, key = "{self.tenant}:{id}")]
    fn price_now(&self, id: u64) -> u64 {
        ran("price_now");
        id
    }
}

/// Uses of an entry handle by a caller: it may outlive the arguments' owner's scope by no more
/// than it does by hand, and cross threads.
fn sends<F: Future + Send>(future: F) -> F {
    future
}

macro_rules! written {
    ($vis:vis fn $name:ident($arg:ident: $ty:ty) -> $ret:ty $body:block, $ttl:expr) => {
        #[cached(ttl = $ttl)]
        $vis fn $name($arg: $ty) -> $ret $body
    };
}

written!(
    pub(crate) fn by_macro(id: Option<&str>) -> Option<usize> {
        ran("by_macro");
        id.map(str::len)
    },
    60
);

#[tokio::test]
async fn every_edition_has_the_same_shapes() {
    assert_cached_async!(
        "awaited",
        sends(awaited(1, "a", &[None])),
        awaited(2, "a", &[None]),
        awaited_entry(1, "a", &[None])
    );
    assert_cached!(
        "plain",
        plain(("a", 1), "b".into()),
        plain(("a", 2), "b".into()),
        plain_entry(("a", 1), "b".into())
    );
    assert_cached_async!(
        "generic",
        sends(generic::<_, 3>(&1_u8, vec![1])),
        generic::<_, 4>(&1_u8, vec![1]),
        generic_entry::<_, 3>(&1_u8, vec![1])
    );
    let names = || vec!["ada".to_owned()];
    assert_cached_async!(
        "owned",
        sends(owned(0, names())),
        owned(1, names()),
        owned_entry(0, names())
    );
    assert_cached!(
        "unchecked",
        unsafe { unchecked(b"a") },
        unsafe { unchecked(b"b") },
        unsafe { unchecked_entry(b"a") }
    );
    assert_cached_async!(
        "unchecked_later",
        unsafe { unchecked_later(1) },
        unsafe { unchecked_later(2) },
        unsafe { unchecked_later_entry(1) }
    );
    assert_cached!("foreign", foreign(1), foreign(2), foreign_entry(1));
    assert_cached!(
        "foreign_unchecked",
        unsafe { foreign_unchecked(1) },
        unsafe { foreign_unchecked(2) },
        unsafe { foreign_unchecked_entry(1) }
    );
    let shop = Shop {
        tenant: "a".to_owned(),
    };
    assert_cached_async!("price", shop.price(1), shop.price(2), shop.price_entry(1));
    assert_cached!(
        "price_now",
        shop.price_now(1),
        shop.price_now(2),
        shop.price_now_entry(1)
    );
    assert_cached!(
        "by_macro",
        by_macro(Some("a")),
        by_macro(None),
        by_macro_entry(Some("a"))
    );
    assert_eq!(runs("by_macro"), 3);
}
