//! The attribute of [`recached`](https://docs.rs/recached). Use the facade.

mod args;
mod duration;
mod expand;
mod function;
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
