mod boxed;
mod check;
mod generics;
mod types;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{
    AttrStyle, Attribute, Error, FnArg, Pat, ReturnType, Signature, Type, Visibility, parse_quote,
};

use crate::args::{Args, Entry};
use crate::tokens::{mentions, mentions_impl, shown};
use boxed::{boxed_output, pinned};

/// The annotated function: its signature is parsed, its body is kept as tokens.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    body: Group,
}

/// A parameter, for the key and the entry handle.
pub(crate) struct Argument {
    /// The name in generated code.
    pub(crate) name: Ident,
    /// The user's pattern, if `name` is generated.
    pattern: Option<Pat>,
    pub(crate) ty: Type,
}

impl Argument {
    /// Returns `true` if options can refer to the argument by this name.
    pub(crate) fn is_called(&self, name: &Ident) -> bool {
        self.called().is_some_and(|own| own.unraw() == name.unraw())
    }

    /// Returns the name; the pattern if the argument has no name.
    pub(crate) fn label(&self) -> String {
        match (self.called(), &self.pattern) {
            (None, Some(pattern)) => shown(pattern),
            (own, _) => own.unwrap_or(&self.name).unraw().to_string(),
        }
    }

    fn called(&self) -> Option<&Ident> {
        match &self.pattern {
            None => Some(&self.name),
            Some(Pat::Ident(of)) if of.subpat.is_none() => Some(&of.ident),
            Some(_) => None,
        }
    }
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
    /// Gives each parameter a name; patterns move into the body. So do names that begin with `_`,
    /// because generated code uses all of them, unless an option mentions them.
    pub(crate) fn name_parameters(&mut self, args: &Args) -> Vec<Argument> {
        let mut arguments = Vec::new();
        let mut lets = TokenStream::new();
        let body = self.body.to_string();
        for (place, input) in self.sig.inputs.iter_mut().enumerate() {
            let FnArg::Typed(typed) = input else { continue };
            // A macro span, so that lints about names do not apply.
            let there = Span::mixed_site().located_at(typed.pat.span());
            let name = match &*typed.pat {
                Pat::Ident(ident) if ident.by_ref.is_none() && ident.subpat.is_none() => {
                    let name = &ident.ident;
                    let unused = name.to_string().starts_with('_') && !args.mention(name);
                    unused
                        .then(|| Ident::new(&name.to_string(), there))
                        .ok_or(name.clone())
                }
                _ => Ok(format_ident!("__recached_argument_{place}", span = there)),
            };
            let (name, pattern) = match name {
                Ok(name) => {
                    let pattern = typed.pat.clone();
                    // A pattern without names that the body mentions is left out.
                    let binds = match &*pattern {
                        Pat::Wild(_) => false,
                        Pat::Ident(of) => body.contains(&of.ident.to_string()),
                        _ => true,
                    };
                    if binds {
                        lets.extend(quote!(let #pattern = #name;));
                    }
                    *typed.pat = parse_quote!(#name);
                    (name, Some(*pattern))
                }
                Err(name) => (name, None),
            };
            let ty = (*typed.ty).clone();
            arguments.push(Argument { name, pattern, ty });
        }
        if !lets.is_empty() {
            self.body = self.with_lets(&lets);
        }
        // An explicit `-> ()` is intended, and lints must not suggest its removal.
        if matches!(&self.sig.output, ReturnType::Type(_, ty) if is_unit(ty)) {
            let there = Span::mixed_site().located_at(self.sig.output.span());
            let unit = quote_spanned!(there=> -> ());
            self.sig.output = syn::parse2(unit).unwrap_or(ReturnType::Default);
        }
        arguments
    }

    /// Returns `true` if the function is a plain one with `#[track_caller]`.
    pub(crate) fn is_tracked(&self) -> bool {
        !self.is_async() && self.track_caller().is_some()
    }

    pub(crate) fn track_caller(&self) -> Option<&Attribute> {
        let mut attrs = self.attrs.iter();
        attrs.find(|attribute| attribute.path().is_ident("track_caller"))
    }

    /// Returns the parameters that have a name.
    pub(crate) fn arguments(&self) -> Vec<Argument> {
        let named = self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(of) => Some((of.ident.clone(), (*typed.ty).clone())),
                _ => None,
            },
            FnArg::Receiver(_) => None,
        });
        named
            .map(|(name, ty)| Argument {
                name,
                pattern: None,
                ty,
            })
            .collect()
    }

    /// Returns the body after `lets`. Temporaries of its last expression are dropped before the
    /// bindings, as before arguments. The braces have a macro span, so that lints do not suggest
    /// their removal.
    fn with_lets(&self, lets: &TokenStream) -> Group {
        let there = Span::mixed_site().located_at(self.body.span());
        let mut body = Group::new(Delimiter::Brace, self.body.stream());
        body.set_span(there);
        let ty = match &self.sig.output {
            ReturnType::Type(_, ty) if is_nameable(ty) => Some(quote!(: #ty)),
            _ => None,
        };
        let returned = Ident::new("__recached_returned", there);
        self.braced(quote_spanned!(there=> #lets let #returned #ty = #body; #returned))
    }

    /// Returns `true` if the value comes from a future, either the function's own or a boxed one.
    pub(crate) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some() || self.is_boxed()
    }

    /// Returns `true` if it is a plain function that returns a boxed future, as `#[async_trait]`
    /// generates them.
    pub(crate) fn is_boxed(&self) -> bool {
        self.sig.asyncness.is_none() && boxed_output(&self.sig.output).is_some()
    }

    /// Returns the return type, or the output of the boxed future; `()` if none is written.
    pub(crate) fn returns(&self) -> Type {
        match &self.sig.output {
            ReturnType::Default => parse_quote!(()),
            output if self.is_boxed() => boxed_output(output).unwrap_or_else(|| parse_quote!(())),
            ReturnType::Type(_, ty) => (**ty).clone(),
        }
    }

    /// Returns the computation: a future or a closure with the body.
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

    /// Returns the computation as [`compute`](Self::compute) does, but holds all arguments until
    /// its end, even if the body does not mention them: an argument may be a permit.
    pub(crate) fn compute_holding(&self, arguments: &[Argument]) -> TokenStream {
        let receiver = self.sig.receiver().map(|receiver| receiver.self_token);
        let receiver = receiver.iter().map(ToTokens::to_token_stream);
        let names = arguments
            .iter()
            .map(|argument| argument.name.to_token_stream());
        let holds: TokenStream = receiver
            .chain(names)
            .map(|name| quote!(let _ = &#name;))
            .collect();
        let (body, returns) = (self.body.stream(), self.returns());
        if self.sig.asyncness.is_some() {
            let type_of_return = self.type_of_return();
            return quote!(async move { #holds #type_of_return #body });
        }
        if self.is_boxed() {
            let compute = self.compute();
            return quote!(async move { #holds (#compute).await });
        }
        quote!(move || -> #returns { #holds #body })
    }

    /// Returns code that never runs and fixes the type of `return`: an async block can't be
    /// annotated, and a returned value may need a coercion to that type, as for a `Box<dyn Error>`.
    fn type_of_return(&self) -> TokenStream {
        let ReturnType::Type(_, ty) = &self.sig.output else {
            return TokenStream::new();
        };
        if !is_nameable(ty) {
            return TokenStream::new();
        }
        let there = Span::mixed_site().located_at(ty.span());
        quote_spanned! {there=>
            if let ::core::option::Option::Some(__recached_returned)
                = ::core::option::Option::None::<#ty>
            {
                return __recached_returned;
            }
        }
    }

    /// Returns a new body with the span of the old one, so that lints treat the function as the
    /// user's.
    pub(crate) fn braced(&self, body: TokenStream) -> Group {
        let mut group = Group::new(Delimiter::Brace, body);
        group.set_span(self.body.span());
        group
    }

    /// Returns the unchanged body.
    pub(crate) fn body(&self) -> &Group {
        &self.body
    }

    pub(crate) fn has_receiver(&self) -> bool {
        self.sig.receiver().is_some()
    }

    /// Returns `true` if the function is in an `impl` or a trait, as far as tokens show.
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

/// Returns the block inside a `macro_rules` fragment.
fn block(body: Group) -> Group {
    if body.delimiter() == Delimiter::None
        && let Some(TokenTree::Group(inner)) = body.stream().into_iter().next()
    {
        return block(inner);
    }
    body
}

/// Splits a body into its inner attributes, turned into outer ones, and the rest.
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

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Returns `true` if a variable can be annotated with the type.
fn is_nameable(ty: &Type) -> bool {
    !mentions_impl(ty) && !matches!(ty, Type::Never(_))
}
