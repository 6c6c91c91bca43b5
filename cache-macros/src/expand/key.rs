use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprField, Type};

use super::Expansion;
use crate::function::Argument;
use crate::template::{Piece, Template};
use crate::tokens::mentions;

impl Expansion<'_> {
    pub(super) fn key(&self) -> TokenStream {
        let (arguments, call) = (self.local("arguments"), self.local("call"));
        if let Some(template) = &self.args.key {
            return self.fill(template, &arguments);
        }
        let given = self
            .arguments
            .iter()
            .filter(|argument| !self.is_skipped(argument));
        let given = given.map(|argument| {
            let Argument { name, ty, .. } = argument;
            let text = argument.label();
            let private = self.private_at(Span::mixed_site().located_at(ty.span()));
            let value = part(&private, name, ty, ty.span());
            match self.is_secret(argument) {
                // The call holds the cache, whose secret is the key of the hash.
                true => quote!(let #arguments = #private::Call::secret(&mut #call, #text, #value);),
                false => quote!(#private::KeyPart::recached_add(#value, #arguments, #text);),
            }
        });
        let with = self.args.with.iter().map(|expr| {
            let text = expr.to_token_stream().to_string();
            let value = quote_spanned!(expr.span()=> &(#expr));
            let private = self.private_at(Span::mixed_site().located_at(expr.span()));
            quote!(#private::KeyPart::recached_add(#value, #arguments, #text);)
        });
        given.chain(with).collect()
    }

    fn is_skipped(&self, argument: &Argument) -> bool {
        let mut skipped = self.args.skip.iter();
        skipped.any(|name| argument.is_called(name))
    }

    fn is_secret(&self, argument: &Argument) -> bool {
        let mut secret = self.args.secret.iter();
        secret.any(|name| argument.is_called(name))
    }

    /// Returns code that writes a template's text.
    fn fill(&self, template: &Template, text: &Ident) -> TokenStream {
        let call = self.local("call");
        fill(
            template,
            self.arguments,
            &|at| self.private_at(at),
            text,
            |private, field| {
                let Field { root, name, value } = field;
                let secret = self.args.secret.contains(root);
                secret.then(
                    || quote!(let #text = #private::Call::secret_field(&mut #call, #name, #value);),
                )
            },
        )
    }

    /// Returns code that writes the tags, which runs only after a miss.
    pub(super) fn tags(&self) -> TokenStream {
        let (tag, call, private) = (self.local("tag"), self.local("call"), self.private());
        let tags = self.args.tags.iter().map(|template| {
            let fill = self.fill(template, &tag);
            quote!(let #tag = #private::Call::tag(&mut #call); #fill)
        });
        tags.collect()
    }
}

/// A placeholder of a template.
pub(crate) struct Field<'a> {
    pub(crate) root: &'a Ident,
    pub(crate) name: &'a str,
    pub(crate) value: TokenStream,
}

/// Returns code that writes a template's text. `special` may return other code for a field.
/// `private` returns the path of the module for generated code, with a given span.
pub(crate) fn fill(
    template: &Template,
    arguments: &[Argument],
    private: &dyn Fn(Span) -> TokenStream,
    text: &Ident,
    special: impl Fn(&TokenStream, &Field<'_>) -> Option<TokenStream>,
) -> TokenStream {
    let here = private(Span::mixed_site().located_at(template.span));
    let pieces = template.pieces.iter().map(|piece| match piece {
        Piece::Text(literal) => quote!(#here::Arguments::text(#text, #literal);),
        Piece::Field { name, expr, root } => {
            let argument = arguments.iter().find(|argument| argument.is_called(root));
            let mut expr = expr.clone();
            if let Some(argument) = argument {
                set_root(&mut expr, &argument.name);
            }
            let value = match argument {
                Some(argument) if matches!(*expr, Expr::Path(_)) => {
                    part(&here, &expr, &argument.ty, expr.span())
                }
                _ => quote_spanned!(expr.span()=> &#expr),
            };
            let field = Field { root, name, value };
            special(&here, &field).unwrap_or_else(|| {
                let Field { name, value, .. } = field;
                quote!(#here::KeyPart::recached_field(#value, #text, #name);)
            })
        }
    });
    pieces.collect()
}

/// Replaces the user's name of an argument by the generated one, with the same span.
fn set_root(expr: &mut Expr, name: &Ident) {
    match expr {
        Expr::Path(path) => {
            let mut name = name.clone();
            name.set_span(name.span().located_at(path.span()));
            path.path = name.into();
        }
        Expr::Field(ExprField { base, .. }) => set_root(base, name),
        _ => {}
    }
}

/// Returns the part of an argument that enters the key: of an `Arc`, the shared value. The decision
/// is made by types; tokens only show if an `Arc` is possible.
fn part(private: &TokenStream, value: &impl ToTokens, ty: &Type, there: Span) -> TokenStream {
    if !mentions(ty.to_token_stream(), "Arc") {
        // A reference is used directly, so that errors name the type behind it.
        return match ty {
            Type::Reference(_) => quote_spanned!(there=> #value),
            _ => quote_spanned!(there=> &#value),
        };
    }
    quote_spanned! {there=>
        &{
            use #private::AnyPart as _;
            #private::KeyRef(&#value).recached_part()
        }
    }
}
