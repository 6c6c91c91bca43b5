use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};

use super::Expansion;
use crate::args::{Args, Codec, Eagerness};

impl Expansion<'_> {
    /// The policy, as an expression.
    pub(super) fn policy(&self) -> TokenStream {
        let (args, facade) = (self.args, &self.facade);
        let Args {
            ttl, jitter, near, ..
        } = args;
        let new = quote!(#facade::Policy::new(#ttl));
        let ahead = args.refresh_ahead.as_ref().map(|Eagerness(factor)| factor);
        let options: [(&str, Option<&dyn ToTokens>); 12] = [
            ("jitter", jitter.as_ref().map(tokens)),
            ("none_ttl", args.none_ttl.as_ref().map(tokens)),
            ("lease", args.lease.as_ref().map(tokens)),
            ("lease_wait", args.lease_wait.as_ref().map(tokens)),
            ("near", near.as_ref().map(tokens)),
            ("near_ttl", args.near_ttl.as_ref().map(tokens)),
            ("err_ttl", args.err_ttl.as_ref().map(tokens)),
            (
                "stale_while_revalidate",
                args.stale_while_revalidate.as_ref().map(tokens),
            ),
            ("stale_if_error", args.stale_if_error.as_ref().map(tokens)),
            ("refresh_ahead", ahead.map(tokens)),
            ("retry_after", args.retry_after.as_ref().map(tokens)),
            ("soft_timeout", args.soft_timeout.as_ref().map(tokens)),
        ];
        // Paths, and no methods: a trait of the user's may have one of the same name.
        let policy = options.into_iter().fold(new, |policy, (name, value)| {
            let Some(value) = value else { return policy };
            let set = Ident::new(name, Span::call_site());
            quote!(#facade::Policy::#set(#policy, #value))
        });
        let policy = match args.codec {
            None => policy,
            Some(Codec::Json) => quote!(#facade::Policy::codec::<#facade::codec::Json>(#policy)),
            Some(Codec::MsgPack) => {
                quote!(#facade::Policy::codec::<#facade::codec::MsgPack>(#policy))
            }
        };
        match args.compress {
            true => quote!(#facade::Policy::compress::<#facade::codec::Lz4>(#policy)),
            false => policy,
        }
    }
}

fn tokens<T: ToTokens>(value: &T) -> &dyn ToTokens {
    value
}
