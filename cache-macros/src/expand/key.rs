use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, Type};

use super::Expansion;
use crate::function::{Argument, mentions};
use crate::template::{Piece, Template};

impl Expansion<'_> {
    pub(super) fn key(&self) -> TokenStream {
        let (arguments, call) = (self.local("arguments"), self.local("call"));
        if let Some(template) = &self.args.key {
            return self.fill(template, &arguments);
        }
        let skipped = |argument: &&Argument| !self.args.skip.contains(&argument.name);
        let given = self.arguments.iter().filter(skipped).map(|argument| {
            let Argument { name, ty, .. } = argument;
            let text = name.unraw().to_string();
            let value = self.part(name, ty, ty.span());
            // What the body does not use is part of the key all the same.
            let allow = text
                .starts_with('_')
                .then(|| quote!(#[allow(clippy::used_underscore_binding)]));
            match self.args.secret.contains(name) {
                // What hashes it is the cache's.
                true => quote!(#allow let #arguments = #call.secret(#text, #value);),
                false => quote!(#allow #arguments.add(#text, #value);),
            }
        });
        let with = self.args.with.iter().map(|expr| {
            let text = expr.to_token_stream().to_string();
            let value = quote_spanned!(expr.span()=> &(#expr));
            quote!(#arguments.add(#text, #value);)
        });
        given.chain(with).collect()
    }

    /// What of an argument enters the key: of an `Arc` what it shares. Types say what is one, and
    /// tokens only where it may be.
    fn part(&self, value: &impl ToTokens, ty: &Type, there: Span) -> TokenStream {
        if !mentions(ty.to_token_stream(), "Arc") {
            return quote_spanned!(there=> &#value);
        }
        let private = self.private_at(Span::call_site().located_at(there));
        quote_spanned! {there=>
            &{
                #[allow(unused_imports)]
                use #private::AnyPart as _;
                #private::Part(&#value).part()
            }
        }
    }

    /// Writes a template's text.
    fn fill(&self, template: &Template, text: &Ident) -> TokenStream {
        let call = self.local("call");
        let pieces = template.pieces.iter().map(|piece| match piece {
            Piece::Text(literal) => quote!(#text.text(#literal);),
            Piece::Field { name, expr, root } => {
                let whole = matches!(**expr, Expr::Path(_));
                let of = |argument: &&Argument| whole && argument.name == *root;
                let value = match self.arguments.iter().find(of) {
                    Some(argument) => self.part(expr, &argument.ty, expr.span()),
                    None => quote_spanned!(expr.span()=> &#expr),
                };
                match self.args.secret.contains(root) {
                    true => quote_spanned! {expr.span()=>
                        let #text = #call.secret_field(#name, #value);
                    },
                    false => quote_spanned!(expr.span()=> #text.field(#name, #value);),
                }
            }
        });
        pieces.collect()
    }

    /// What only a call without a hit needs.
    pub(super) fn tags(&self) -> TokenStream {
        let (tag, call) = (self.local("tag"), self.local("call"));
        let tags = self.args.tags.iter().map(|template| {
            let fill = self.fill(template, &tag);
            quote!(let #tag = #call.tag(); #fill)
        });
        tags.collect()
    }
}
