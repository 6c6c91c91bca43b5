//! The attribute of [`recached`](https://docs.rs/recached). Use the facade.

mod args;
mod duration;
mod expand;
mod function;
mod invalidates;
mod returns;
#[cfg(test)]
mod snapshots;
mod template;

use proc_macro::TokenStream;

/// Memoizes a function: it is computed once in the fleet, then served from the cache until it
/// expires or is invalidated.
///
/// Next to `fn user(id: u64)` it puts a companion `fn user_entry(id: u64)`, which gives the
/// call's entry: `key`, `peek`, `put`, `ttl`, `invalidate`, `refresh`.
///
/// | option | meaning (default) |
/// |---|---|
/// | `ttl = 60`, `ttl = "1h 30m"`, `ttl = EXPR` | lifetime: seconds, a duration text, or a `Duration` expression. Required |
/// | `jitter = 0.1` | shortens each lifetime by a random share of up to this (0.05) |
/// | `none_ttl = …` | lifetime of a `None` (as any value) |
/// | `name = "…"` | the function's name (`crate.module.function`, `crate.module.Type.method`) |
/// | `key = "item:{id}"` | key template over the arguments (all arguments, in order) |
/// | `version = 2` | part of the key: change it when the meaning of the value changes |
/// | `skip(db, self)` | arguments that are not part of the key |
/// | `with(self.tenant)` | expressions that are, after the arguments |
/// | `when = EXPR` | `false`: this call does not consult the cache |
/// | `cache_if = \|value\| …` | `false`: this value is not stored |
/// | `lease = "5s"` | life of the lease between renewals (the cache's) |
/// | `wait = "10s"` | how long to wait for another holder before computing (the cache's) |
/// | `cache = EXPR` | another cache than the installed one; anything that derefs to `Cache` |
/// | `entry = NAME`, `entry = false` | the companion's name; none. `entry = Self::NAME` for an associated function that mentions `Self` nowhere |
/// | `crate = PATH` | where the facade is (`::recached`) |
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(options.into(), item.into()).into()
}

/// Invalidates, once the function has succeeded: of a `Result` only an `Ok` is a success, of
/// anything else every return.
///
/// ```ignore
/// #[invalidates("user*", tag = "user:{id}", entry = profile_entry(id))]
/// async fn rename(id: u64, name: &str) -> Result<(), sqlx::Error> { /* … */ }
/// ```
///
/// | option | meaning |
/// |---|---|
/// | `"user*"` | every function whose name matches, as `recached::invalidate` has it |
/// | `tag = "user:{id}"` | every call with the tag, the arguments filled in before the body runs |
/// | `entry = user_entry(id)` | one call, by its companion |
/// | `cache = EXPR` | another cache than the installed one; anything that derefs to `Cache` |
/// | `crate = PATH` | where the facade is (`::recached`) |
///
/// The first three may be given several times. The function returns when all is invalidated.
/// Where Redis can't be told, the result is returned all the same: this process has forgotten, and
/// Redis is told before anything it says is believed again. A call that is dropped half-way, or
/// panics, may have changed something: it invalidates too, beside its caller.
#[proc_macro_attribute]
pub fn invalidates(options: TokenStream, item: TokenStream) -> TokenStream {
    invalidates::invalidates(options.into(), item.into()).into()
}
