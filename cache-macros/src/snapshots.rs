//! Expansions of the attributes, one file per mode; `UPDATE_SNAPSHOTS=1` rewrites the files.

use std::path::Path;
use std::{env, fs};

use proc_macro2::TokenStream;

use crate::expand::cached;
use crate::invalidates::invalidates;

/// Returns the expansion, formatted.
fn expand(options: &str, item: &str) -> String {
    let tokens = |text: &str| text.parse::<TokenStream>().expect("tokens");
    let expanded = cached(tokens(options), tokens(item));
    let within = |tokens| syn::parse2::<syn::File>(tokens);
    // A function with `self` must be in an `impl`.
    let file = within(expanded.clone())
        .or_else(|_| within(quote::quote!(impl Users { #expanded })))
        .expect("it is Rust");
    prettyplease::unparse(&file)
}

fn is_as_before(name: &str, expanded: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots");
    let file = folder.join(name).with_extension("rs");
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&file, expanded).expect("the folder is writable");
    }
    let before = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        expanded, before,
        "{name} is written in another way: see whether you want it, then set UPDATE_SNAPSHOTS=1"
    );
    assert_eq!(expanded.matches("marker()").count(), 1, "one body, once");
}

/// Returns the number of lines of the function without its entry handle.
fn lines_of_function(expanded: &str) -> usize {
    let end = expanded
        .find("///The cache entry")
        .expect("there is an entry handle");
    expanded[..end].lines().count()
}

#[test]
fn an_async_function() {
    let item = "pub(crate) async fn user(id: u64) -> User { marker().await }";
    is_as_before("async", &expand("ttl = 60", item));
}

#[test]
fn a_plain_function_stays_short() {
    let expanded = expand("ttl = 60", "fn user(id: u64) -> User { marker() }");
    is_as_before("plain", &expanded);
    assert!(lines_of_function(&expanded) < 40, "{expanded}");
    let bare = expand(
        "ttl = 60, entry = false",
        "fn user(id: u64) -> User { marker() }",
    );
    assert!(bare.lines().count() < 40, "{bare}");
}

#[test]
fn a_method() {
    let item = "/// Documented.
        #[inline]
        pub async fn user<T: Key>(&self, id: T, _db: &Db) -> Option<Arc<User>> where T: Send { marker() }";
    is_as_before(
        "method",
        &expand("ttl = \"1m\", with(self.tenant), skip(_db)", item),
    );
}

#[test]
fn borrowed_arguments_and_patterns() {
    let item = "unsafe fn user<'a>(name: &'a str, (a, mut b): (u8, u8), ref c: Cow<'_, str>) -> User { marker() }";
    is_as_before("borrowed", &expand("ttl = TTL", item));
}

#[test]
fn a_result_with_options() {
    let options =
        "ttl = 60, jitter = 0.1, none_ttl = 5, lease = \"5s\", lease_wait = 10, near_ttl = 1,
        stale_while_revalidate = 60, stale_if_error = 60, soft_timeout = 1, refresh_ahead = true,
        key = \"user:{id}\", name = \"app.user\", version = 2, bypass_if = id > 1, refresh_if = id > 2,
        store_if = |user| user.is_some(), ttl_with = |user| user.life(),
        cache = CACHE, entry = handle, crate = crate::deep::recached";
    let item = "async fn user(id: u64) -> Result<Option<User>, Error> { marker() }";
    is_as_before("result", &expand(options, item));
}

#[test]
fn tags_secrets_and_codecs() {
    let options =
        "ttl = 60, tags(\"user:{id}\", \"all\"), secret(token), codec = \"msgpack\", compress";
    let item = "async fn user(id: u64, token: &str) -> User { marker().await }";
    is_as_before("tagged", &expand(options, item));
}

#[test]
fn a_function_that_invalidates() {
    let tokens = |text: &str| text.parse::<TokenStream>().expect("tokens");
    let options = "\"user*\", tag = \"user:{id}\", entry = user_entry(id)";
    let item = "pub async fn rename(id: u64, name: &str) -> Result<(), Error> { marker().await }";
    let expanded = invalidates(tokens(options), tokens(item));
    let file = syn::parse2(expanded).expect("it is Rust");
    is_as_before("invalidates", &prettyplease::unparse(&file));
}

#[test]
fn a_boxed_future() {
    let item = "fn user<'life0, 'async_trait>(&'life0 self, id: u64)
        -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = User> + ::core::marker::Send + 'async_trait>>
        where 'life0: 'async_trait, Self: 'async_trait
        { Box::pin(async move { let __self = self; marker() }) }";
    is_as_before(
        "boxed",
        &expand("ttl = 60, skip(self), entry = false", item),
    );
}
