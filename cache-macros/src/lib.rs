//! The attribute of [`recached`](https://docs.rs/recached). Use the facade.

mod args;
mod duration;
mod expand;
mod function;
mod invalidates;
mod options;
mod returns;
#[cfg(test)]
mod snapshots;
mod template;
mod tokens;

use proc_macro::TokenStream;

/// Caches the results of a function. The facade documents the options.
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(options.into(), item.into()).into()
}

/// Invalidates entries after a successful call of a function. The facade documents the options.
#[proc_macro_attribute]
pub fn invalidates(options: TokenStream, item: TokenStream) -> TokenStream {
    invalidates::invalidates(options.into(), item.into()).into()
}
