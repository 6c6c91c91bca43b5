use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use super::Expansion;
use crate::args::Codec;

impl Expansion<'_> {
    /// Returns the policy as an expression.
    pub(super) fn policy(&self) -> TokenStream {
        let (args, facade) = (self.args, &self.facade);
        let ttl = &args.ttl;
        let new = quote!(#facade::Policy::new(#ttl));
        // Paths instead of method calls: a trait of the user's may have a method of the same name.
        let policy = args.policy().fold(new, |policy, (name, value)| {
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
