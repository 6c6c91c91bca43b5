use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{FnArg, Pat, Safety, Token, Visibility, WhereClause, parse_quote};

use super::Expansion;
use super::lints::inherited;
use crate::args::Entry;
use crate::function::Function;
use crate::tokens::mentions;

impl Expansion<'_> {
    pub(super) fn entry_handle(&self) -> TokenStream {
        let Self {
            function, facade, ..
        } = self;
        let Some(name) = self.name() else {
            return TokenStream::new();
        };
        let Function { sig, .. } = function;
        let attrs = function.attrs.iter().filter_map(inherited);
        let (returns, kind, begin) = (function.returns(), self.kind(), self.begin());
        let inputs = self.inputs();
        let (safety, generics, where_clause) =
            (&sig.safety, &sig.generics, &sig.generics.where_clause);
        let (call, policy, there) = (self.local("call"), self.policy(), self.there());
        let tags = self.tags();
        let private = self.private();
        let compute = self.call_function(&self.computing());
        // An opaque type captures by the edition of the span of its `impl`: this crate's edition.
        let captures = quote_spanned!(Span::call_site()=> impl);
        let (entry, returned) = if function.is_async() {
            (
                quote_spanned!(there=> #private::entry(#call, #policy, #compute)),
                quote!(#facade::Entry<#returns, #kind, #captures ::core::future::Future<Output = #returns>>),
            )
        } else {
            (
                quote_spanned!(there=> #private::blocking_entry(#call, #policy, move || #compute)),
                quote!(#facade::blocking::Entry<#returns, #kind, #captures ::core::ops::FnOnce() -> #returns>),
            )
        };
        let doc = format!("The cache entry of a call of `{}`.", sig.ident);
        let where_clause = self.companion_where(where_clause.clone());
        let itself = self.itself(&name);
        let apart = self.associated && !self.is_inherent();
        let level = apart.then(|| quote!(#[deny(dead_code)]));
        let (vis, mut keyword) = (self.visibility(), sig.fn_token);
        keyword.span = self.place(keyword.span);
        let mut body = Group::new(Delimiter::Brace, quote!(#begin #tags #itself #entry));
        body.set_span(self.place(function.body().span()));
        quote! {
            #(#attrs)*
            #level
            #[doc = #doc]
            #vis #safety #keyword #name #generics (#(#inputs),*) -> #returned #where_clause #body
        }
    }

    /// Returns the name of the entry handle, if there is one.
    fn name(&self) -> Option<Ident> {
        match &self.args.entry {
            Entry::None => None,
            Entry::Named { name, .. } => Some(name.clone()),
            Entry::Default => {
                let function = &self.function.sig.ident;
                Some(format_ident!(
                    "{}_entry",
                    function.unraw(),
                    span = self.place(function.span())
                ))
            }
        }
    }

    /// Returns a span of the function for use in the entry handle. Mostly it is a macro span, so
    /// that the compiler does not report an unused entry handle.
    fn place(&self, there: Span) -> Span {
        match self.is_inherent() {
            true => there,
            false => Span::call_site().located_at(there),
        }
    }

    /// Returns `true` if the function is visibly an inherent method, and not a trait's.
    fn is_inherent(&self) -> bool {
        let inherited = matches!(self.function.vis, Visibility::Inherited);
        // The use of a deprecated function would cause a warning.
        self.associated && !inherited && !self.is_split()
    }

    /// Returns code that mentions the entry handle and never runs. The compiler reports the unused
    /// methods of one `impl` together if they have the same lint level, and reports none of them if
    /// one comes from a macro. So an inherent entry handle has the user's span and is used by its
    /// function; every other one in an `impl` has a rare lint level.
    pub(super) fn used(&self) -> Option<TokenStream> {
        let name = self.name().filter(|_| self.is_inherent())?;
        let (private, call) = (self.private(), self.call_function(&name));
        Some(quote!(if false { let _ = #call; return #private::nothing(); }))
    }

    /// Splits a deprecated function in two: the function itself, and the part that computes, which
    /// is not deprecated and which the entry handle calls. Other functions are unchanged.
    pub(super) fn split(&self, found: &TokenStream) -> (TokenStream, Option<TokenStream>) {
        if !self.is_split() {
            return (found.clone(), None);
        }
        let function = self.function;
        let attrs = self.attributes_of_part();
        let mut sig = function.sig.clone();
        sig.ident = self.computing();
        let forward = self.call_function(&sig.ident);
        let forward = match function.sig.asyncness {
            Some(_) => quote!(#forward.await),
            None => forward,
        };
        let tracked = function.track_caller();
        (
            forward,
            Some(quote!(#(#attrs)* #tracked #[doc(hidden)] #sig { #found })),
        )
    }

    /// Returns the attributes for a part of the function, which users do not call.
    pub(super) fn attributes_of_part(&self) -> impl Iterator<Item = TokenStream> {
        let attrs = self.function.attrs.iter().filter_map(inherited);
        attrs.filter(|attribute| !mentions(attribute.clone(), "deprecated"))
    }

    fn is_split(&self) -> bool {
        let mut attrs = self.function.attrs.iter();
        !matches!(self.args.entry, Entry::None)
            && attrs.any(|attribute| mentions(attribute.meta.to_token_stream(), "deprecated"))
    }

    /// Returns the name of the function that computes: the function, or its part that is not
    /// deprecated.
    fn computing(&self) -> Ident {
        let name = &self.function.sig.ident;
        match self.is_split() {
            true => {
                let there = Span::call_site().located_at(name.span());
                format_ident!("__recached_{}", name.unraw(), span = there)
            }
            false => name.clone(),
        }
    }

    /// Returns the function's visibility, with the span of the entry handle.
    fn visibility(&self) -> Visibility {
        let mut vis = self.function.vis.clone();
        let here = |token: &mut Token![pub]| token.span = self.place(token.span);
        match &mut vis {
            Visibility::Public(token) => here(token),
            Visibility::Restricted(restricted) => here(&mut restricted.pub_token),
            Visibility::Inherited => {}
        }
        vis
    }

    /// Returns the parameters without `mut`, for a function that does not change them.
    pub(super) fn inputs(&self) -> impl Iterator<Item = FnArg> {
        self.function.sig.inputs.iter().map(|input| {
            let mut input = input.clone();
            match &mut input {
                FnArg::Receiver(receiver) => receiver.mutability = None,
                FnArg::Typed(typed) => {
                    if let Pat::Ident(ident) = &mut *typed.pat {
                        ident.mutability = None;
                    }
                    typed.attrs.clear();
                }
            }
            input
        })
    }

    /// Adds `Self: Sized`, so that a trait whose methods have entry handles is still dyn
    /// compatible.
    fn companion_where(&self, clause: Option<WhereClause>) -> Option<WhereClause> {
        if !self.associated {
            return clause;
        }
        let mut clause = clause.unwrap_or_else(|| parse_quote!(where));
        clause
            .predicates
            .push(parse_quote!(Self: ::core::marker::Sized));
        Some(clause)
    }

    /// Returns code that mentions the entry handle of a free function and never runs. In an `impl`
    /// the name is not in scope, or belongs to another function.
    fn itself(&self, name: &Ident) -> Option<TokenStream> {
        let mut inputs = self.function.sig.inputs.iter();
        if self.associated || inputs.any(|input| mentions(input.to_token_stream(), "impl")) {
            return None;
        }
        let private = self.private_at(Span::call_site().located_at(name.span()));
        let nothing = self.arguments.iter().map(|_| quote!(#private::nothing()));
        let call = self.call_of(free(name), nothing);
        Some(quote!(if false { return #call; }))
    }

    /// Returns a call of the annotated function, or of a part of it, with the entry handle's
    /// arguments.
    pub(super) fn call_function(&self, callee: &Ident) -> TokenStream {
        let arguments = self.arguments.iter();
        let arguments = arguments.map(|argument| argument.name.to_token_stream());
        if !self.associated {
            return self.call_of(free(callee), arguments);
        }
        // The function's own `self` token: attribute and function may come from different macros.
        let receiver = self.function.sig.receiver();
        let receiver = receiver.map(|receiver| receiver.self_token.to_token_stream());
        self.call_of(quote!(Self::#callee), receiver.into_iter().chain(arguments))
    }

    /// Returns a call of a function with the same generics and safety.
    fn call_of<A: ToTokens>(
        &self,
        callee: impl ToTokens,
        arguments: impl Iterator<Item = A>,
    ) -> TokenStream {
        let parameters = self.function.parameters();
        let turbofish = (!parameters.is_empty()).then(|| quote!(::<#(#parameters),*>));
        let call = quote!(#callee #turbofish (#(#arguments),*));
        match self.function.sig.safety {
            Safety::Unsafe(_) => quote!(unsafe { #call }),
            _ => call,
        }
    }
}

/// Returns the function's name with a span that local variables do not shadow: an argument may have
/// the same name.
fn free(function: &Ident) -> Ident {
    let mut free = function.clone();
    free.set_span(Span::mixed_site().located_at(function.span()));
    free
}
