mod boxed;
mod check;
mod generics;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{
    AttrStyle, Attribute, Error, FnArg, Pat, ReturnType, Signature, Type, Visibility, parse_quote,
};

use crate::args::Entry;
use boxed::{boxed_output, pinned};

/// The annotated function: its signature parsed, its body carried as it is.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    body: Group,
}

/// A parameter as the key and the companion know it.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// The pattern that stood there, where the name is ours.
    pattern: Option<Pat>,
    pub(crate) ty: Type,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let Ok(sig) = input.parse::<Signature>() else {
            return Err(input.error("this attribute goes on a function"));
        };
        match input.parse()? {
            TokenTree::Group(body) if input.is_empty() => {
                let (inner, body) = without_attributes(block(body))?;
                attrs.extend(inner);
                Ok(Self {
                    attrs,
                    vis,
                    sig,
                    body,
                })
            }
            _ => Err(Error::new(
                sig.span(),
                "there is no body: put the attribute on the function that has one",
            )),
        }
    }
}

impl Function {
    /// Gives each parameter a name of its own; patterns move into the body.
    pub(crate) fn name_parameters(&mut self) -> Vec<Argument> {
        let mut arguments = Vec::new();
        let mut lets = TokenStream::new();
        for (place, input) in self.sig.inputs.iter_mut().enumerate() {
            let FnArg::Typed(typed) = input else { continue };
            let (name, pattern) = match &*typed.pat {
                Pat::Ident(ident) if ident.by_ref.is_none() && ident.subpat.is_none() => {
                    (ident.ident.clone(), None)
                }
                pattern => {
                    let name = format_ident!("__recached_argument_{place}", span = pattern.span());
                    lets.extend(quote!(let #pattern = #name;));
                    let pattern = pattern.clone();
                    *typed.pat = parse_quote!(#name);
                    (name, Some(pattern))
                }
            };
            let ty = (*typed.ty).clone();
            arguments.push(Argument { name, pattern, ty });
        }
        if !lets.is_empty() {
            let body = &self.body;
            let mut with_lets = Group::new(Delimiter::Brace, quote!(#lets #body));
            with_lets.set_span(self.body.span());
            self.body = with_lets;
        }
        arguments
    }

    /// Whether its value comes from a future, its own or a boxed one.
    pub(crate) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some() || self.is_boxed()
    }

    /// Whether it is a plain function that gives a boxed future, as `#[async_trait]` makes them.
    pub(crate) fn is_boxed(&self) -> bool {
        self.sig.asyncness.is_none() && boxed_output(&self.sig.output).is_some()
    }

    /// What it returns, or what its boxed future gives; `()` where it says nothing.
    pub(crate) fn returns(&self) -> Type {
        match &self.sig.output {
            ReturnType::Default => parse_quote!(()),
            output if self.is_boxed() => boxed_output(output).unwrap_or_else(|| parse_quote!(())),
            ReturnType::Type(_, ty) => (**ty).clone(),
        }
    }

    /// The body as what computes: a future or a closure.
    pub(crate) fn compute(&self) -> TokenStream {
        let (body, output) = (&self.body, &self.sig.output);
        if self.sig.asyncness.is_some() {
            let (type_of_return, body) = (self.type_of_return(), body.stream());
            return quote!(async move { #type_of_return #body });
        }
        if !self.is_boxed() {
            let returns = self.returns();
            return quote!(move || -> #returns #body);
        }
        match pinned(body) {
            Some(future) => future,
            None => quote!(async move { (move || #output #body)().await }),
        }
    }

    /// Never returns, and says of what type a return is: the block of a future can't be annotated,
    /// and what is returned may need to be made into that type, as a `Box<dyn Error>` does.
    fn type_of_return(&self) -> TokenStream {
        let ReturnType::Type(_, ty) = &self.sig.output else {
            return TokenStream::new();
        };
        if mentions_impl(ty) || matches!(**ty, Type::Never(_)) {
            return TokenStream::new();
        }
        let there = Span::mixed_site().located_at(ty.span());
        quote_spanned! {there=>
            if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<#ty> {
                return returned;
            }
        }
    }

    /// The body as it is.
    pub(crate) fn body(&self) -> &Group {
        &self.body
    }

    pub(crate) fn has_receiver(&self) -> bool {
        self.sig.receiver().is_some()
    }

    /// As far as can be seen from here.
    pub(crate) fn is_associated(&self, entry: &Entry) -> bool {
        self.has_receiver()
            || matches!(
                entry,
                Entry::Named {
                    associated: true,
                    ..
                }
            )
            || mentions(self.sig.to_token_stream(), "Self")
            || mentions(self.body.stream(), "Self")
    }
}

/// The block that a `macro_rules` fragment stands for.
fn block(body: Group) -> Group {
    if body.delimiter() == Delimiter::None
        && let Some(TokenTree::Group(inner)) = body.stream().into_iter().next()
    {
        return block(inner);
    }
    body
}

/// A body, and the attributes that stood first in it, to stand before the function.
fn without_attributes(body: Group) -> syn::Result<(Vec<Attribute>, Group)> {
    let first: Vec<TokenTree> = body.stream().into_iter().take(2).collect();
    let is = |token: &TokenTree, char| matches!(token, TokenTree::Punct(punct) if punct.as_char() == char);
    if !matches!(first.as_slice(), [hash, bang] if is(hash, '#') && is(bang, '!')) {
        return Ok((Vec::new(), body));
    }
    let parse = |input: ParseStream<'_>| {
        let attrs = input.call(Attribute::parse_inner)?;
        Ok((attrs, input.parse::<TokenStream>()?))
    };
    let (mut attrs, rest) = parse.parse2(body.stream())?;
    for attribute in &mut attrs {
        attribute.style = AttrStyle::Outer;
    }
    let mut without = Group::new(Delimiter::Brace, rest);
    without.set_span(body.span());
    Ok((attrs, without))
}

pub(crate) fn mentions_impl(ty: &Type) -> bool {
    mentions(ty.to_token_stream(), "impl")
}

/// As far as can be seen: a reference, or a lifetime other than `'static`.
pub(crate) fn is_borrowed(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let found = match &token {
            TokenTree::Group(group) => is_borrowed(group.stream()),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                !matches!(tokens.peek(), Some(TokenTree::Ident(name)) if name == "static")
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                !matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'')
            }
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

pub(crate) fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}
