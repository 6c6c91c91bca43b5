use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, FnArg, Safety, Visibility, WhereClause, parse_quote};

use super::Expansion;
use crate::args::Entry;
use crate::function::{Function, mentions};

impl Expansion<'_> {
    pub(super) fn companion(&self) -> TokenStream {
        let Self {
            args,
            function,
            facade,
            ..
        } = self;
        let name = match &args.entry {
            Entry::None => return TokenStream::new(),
            Entry::Named { name, .. } => name.clone(),
            Entry::Default => {
                let function = &function.sig.ident;
                format_ident!("{}_entry", function.unraw(), span = function.span())
            }
        };
        let Function { vis, sig, .. } = function;
        let attrs = function
            .attrs
            .iter()
            .filter(|attribute| is_inherited(attribute));
        let (returns, kind, begin) = (function.returns(), self.kind(), self.begin());
        let inputs = sig.inputs.iter().map(|input| match input {
            FnArg::Receiver(receiver) => {
                let mut receiver = receiver.clone();
                receiver.mutability = None;
                quote!(#receiver)
            }
            FnArg::Typed(typed) => {
                let mut typed = typed.clone();
                if let syn::Pat::Ident(ident) = &mut *typed.pat {
                    ident.mutability = None;
                }
                typed.attrs.clear();
                quote!(#typed)
            }
        });
        let (safety, generics, where_clause) =
            (&sig.safety, &sig.generics, &sig.generics.where_clause);
        let (call, policy, there) = (self.local("call"), self.policy(), self.there());
        let tags = self.tags();
        let private = self.private();
        let compute = self.call_function();
        // What it captures is a matter of the edition, and `impl` has that of its span: ours.
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
        let before = quote! {
            #(#attrs)*
            #[doc = #doc]
            #[allow(
                dead_code,
                deprecated,
                clippy::needless_pass_by_value,
                clippy::too_many_arguments,
                clippy::type_complexity,
                clippy::used_underscore_binding
            )]
            #vis #safety
        };
        let itself = self.itself(&name);
        let rest = quote! {
            #name #generics (#(#inputs),*) -> #returned #where_clause {
                #begin
                #tags
                #itself
                #entry
            }
        };
        match (self.associated, vis) {
            // What the compiler says of a companion in the `impl` of a trait names this macro.
            // Nothing that is `pub` stands there.
            (true, Visibility::Inherited) => {
                let at = Span::call_site().located_at(sig.ident.span());
                let private = self.private_at(at);
                quote_spanned!(at=>
                    #private::say_entry_false_in_the_impl_of_a_trait! { [#before] #rest }
                )
            }
            _ => quote!(#before fn #rest),
        }
    }

    /// A trait whose methods have companions can be a `dyn` one all the same.
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

    /// Has the companion of a free function name itself, which is never run. In an `impl` the name
    /// is not in scope, and then the function's is another function's, if there is one.
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

    /// A call of the annotated function with the companion's arguments.
    fn call_function(&self) -> TokenStream {
        let function = self.function;
        let ident = &function.sig.ident;
        let callee = if let Some(receiver) = function.sig.receiver() {
            // Its own, because a macro may have written the attribute and another the function.
            let this = receiver.self_token;
            quote!(#this.#ident)
        } else if self.associated {
            quote!(Self::#ident)
        } else {
            free(ident).into_token_stream()
        };
        let names = self.arguments.iter().map(|argument| &argument.name);
        self.call_of(callee, names)
    }

    /// A call of what has the function's generics and safety.
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

/// An argument may have the name of the function: locals are out of its sight.
fn free(function: &Ident) -> Ident {
    let mut free = function.clone();
    free.set_span(Span::mixed_site().located_at(function.span()));
    free
}

/// Attributes that hold for the companion as well. A `forbid` can't: what is generated allows.
fn is_inherited(attribute: &Attribute) -> bool {
    ["cfg", "allow", "warn", "deny", "deprecated"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}
