mod entry_handle;
mod key;
mod lints;
mod policy;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, Path, ReturnType, parse_quote};

use crate::args::Args;
use crate::function::{Argument, Function};
use crate::returns::{Reduced, Scope};
use crate::tokens::is_borrowed;

pub(crate) use key::fill;

/// Returns the cached function and its entry handle; on errors, the errors and the unchanged
/// function.
pub(crate) fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    let (args, mut errors) = Args::parse(options);
    match syn::parse2::<Function>(item.clone()) {
        Ok(mut function) => {
            let arguments = function.name_parameters(&args);
            // A ttl that can't be parsed is not reported as missing.
            let unread = args.ttl.is_none() && !errors.is_empty();
            let found = function.check(&args, &arguments);
            errors.extend(found.into_iter().skip(usize::from(unread)));
            if errors.is_empty() {
                return Expansion::new(&args, &function, &arguments).into_tokens();
            }
        }
        Err(error) => errors.push(error),
    }
    let errors = errors.iter().map(Error::to_compile_error);
    // The function is kept, so that the compiler reports its other errors as well.
    quote!(#(#errors)* #item)
}

struct Expansion<'a> {
    args: &'a Args,
    function: &'a Function,
    arguments: &'a [Argument],
    facade: Path,
    associated: bool,
}

impl<'a> Expansion<'a> {
    fn new(args: &'a Args, function: &'a Function, arguments: &'a [Argument]) -> Self {
        Self {
            args,
            function,
            arguments,
            facade: args
                .facade
                .clone()
                .unwrap_or_else(|| parse_quote!(::recached)),
            associated: function.is_associated(&args.entry),
        }
    }

    fn into_tokens(self) -> TokenStream {
        let Self { args, function, .. } = &self;
        let Function {
            attrs, vis, sig, ..
        } = function;
        let returns = function.returns();
        let (kind, begin) = (self.kind(), self.begin());
        // All code that requires something of the return type has its span: the compiler then
        // reports an error there, and once.
        let (private, there) = (self.private(), self.there());
        let value = quote_spanned!(there=> <#returns as #private::Returns<#kind>>::Value);
        // The first of all requirements, so that the others do not repeat its error.
        let check = quote_spanned!(there=> let _ = ::core::marker::PhantomData::<#value>;);
        let judge = match (&args.store_if, &args.ttl_with) {
            (None, None) => quote_spanned!(there=> #private::always),
            (Some(when), None) => quote_spanned!(there=> #private::only_if::<#value>(#when)),
            (None, Some(life)) => quote_spanned!(there=> #private::for_as_long::<#value>(#life)),
            (Some(when), Some(life)) => {
                quote_spanned!(there=> #private::only_if_for::<#value>(#when, #life))
            }
        };
        let (bypass_if, refresh_if) = (args.bypass_if.iter(), args.refresh_if.iter());
        let (lifetimes, assumption) = (self.lifetimes(), self.assumption());
        let (call, hit, policy) = (self.local("call"), self.local("hit"), self.policy());
        let of_call = quote_spanned!(there=> #private::Call);
        let run = match (function.is_async(), args.goes_on().is_some()) {
            (true, false) => quote_spanned!(there=> run),
            (true, true) => quote_spanned!(there=> run_owned),
            (false, false) => quote_spanned!(there=> run_blocking),
            (false, true) => quote_spanned!(there=> run_blocking_owned),
        };
        let compute = match args.goes_on() {
            None => function.compute(),
            Some(_) => function.compute_holding(self.arguments),
        };
        // A borrowed result can't outlive its caller.
        let share = match is_borrowed(returns.to_token_stream()) {
            true => quote!(#private::Share::NOTHING),
            false => quote!(#private::share!(#returns)),
        };
        let detached = args.detached;
        let detached =
            (function.is_async() && args.goes_on().is_some()).then(|| quote!(, #detached));
        let (run, body) = match self.tracked() {
            None => {
                let run = quote_spanned! {there=>
                    #private::#run(#call, #policy, #share, #judge, #compute #detached)
                };
                (run, None)
            }
            Some((compute, body)) => {
                let found = self.local("found");
                let kind = quote_spanned!(there=> #returns, #kind);
                let run = quote_spanned! {there=>
                    match #private::seek_blocking::<#kind>(#call, #policy, #share) {
                        ::core::result::Result::Ok(#found) => #found,
                        ::core::result::Result::Err(#found) => {
                            #private::settle_blocking::<#kind>(#found, #compute, #judge)
                        }
                    }
                };
                (run, Some(body))
            }
        };
        let entry_handle = self.entry_handle();
        let near = match args.tags.is_empty() {
            true => quote_spanned!(there=> #of_call::near(&#call)),
            false => quote_spanned!(there=> #of_call::near_tagged(&#call)),
        };
        let tags = self.tags();
        let used = self.used();
        let found = quote! {
            #used
            #lifetimes
            #assumption
            #check
            #begin
            #(#of_call::bypass_if(&mut #call, #bypass_if);)*
            #(#of_call::refresh_if(&mut #call, #refresh_if);)*
            if let ::core::option::Option::Some(#hit) = #near {
                return #hit;
            }
            #tags
            #run
        };
        // The call must not live across the await, to keep the function's future small.
        let found = match function.is_async() {
            true => quote!({ #found }.await),
            false => found,
        };
        let found = match function.is_boxed() {
            true => quote!(::std::boxed::Box::pin(async move { #found })),
            false => found,
        };
        let (found, computing) = self.split(&found);
        let mut sig = sig.clone();
        if body.is_some() {
            // The body is in another function.
            sig.inputs = self.inputs().collect();
        }
        let found = function.braced(found);
        quote! {
            #(#attrs)*
            #vis #sig #found
            #computing
            #body
            #entry_handle
        }
    }

    /// Returns a call of the body and a function with the body, if the function has
    /// `#[track_caller]`: a closure would have the cache as its caller.
    fn tracked(&self) -> Option<(TokenStream, TokenStream)> {
        let Self { function, .. } = self;
        if !function.is_tracked() || self.args.goes_on().is_some() {
            return None;
        }
        let mut sig = function.sig.clone();
        let there = Span::call_site().located_at(sig.ident.span());
        sig.ident = format_ident!("__recached_body_of_{}", sig.ident.unraw(), span = there);
        let attrs = self.attributes_of_part();
        let (call, body) = (self.call_function(&sig.ident), function.body());
        let body = quote!(#(#attrs)* #[track_caller] #[doc(hidden)] #sig #body);
        Some((call, body))
    }

    /// Returns a name that is invisible to the user's arguments and expressions, and that no item
    /// has: a pattern would refer to a static or a unit struct of that name.
    fn local(&self, name: &str) -> Ident {
        let there = Span::mixed_site().located_at(self.there());
        Ident::new(&format!("__recached_{name}"), there)
    }

    /// Returns the path of the module for generated code, with the span of the return type.
    fn private(&self) -> TokenStream {
        self.private_at(self.there())
    }

    fn private_at(&self, there: Span) -> TokenStream {
        let Some(facade) = &self.args.facade else {
            return quote_spanned!(there=> ::recached::__private);
        };
        let facade = facade.to_token_stream().into_iter().map(|mut token| {
            token.set_span(token.span().located_at(there));
            token
        });
        let facade: TokenStream = facade.collect();
        quote_spanned!(there=> #facade::__private)
    }

    /// Returns the span of the return type for generated code. It is the span of
    /// [`local`](Self::local), too, because the compiler repeats errors with different spans.
    fn there(&self) -> Span {
        match &self.function.sig.output {
            ReturnType::Default => Span::mixed_site(),
            ReturnType::Type(_, ty) => Span::mixed_site().located_at(ty.span()),
        }
    }

    /// Returns the static and the call with its key, which the function and its entry handle share.
    fn begin(&self) -> TokenStream {
        let Self { args, function, .. } = self;
        let (private, there) = (self.private(), self.there());
        // The same span in both, so that both refer to the same site.
        let site = Span::call_site();
        let place = quote_spanned! {site=>
            file: ::core::file!(), line: ::core::line!(), column: ::core::column!()
        };
        let name = match &args.name {
            Some(name) => quote!(::core::option::Option::Some(#name)),
            None => quote!(::core::option::Option::None),
        };
        let version = args.version.as_deref().unwrap_or_default();
        let (ident, returns, kind) = (
            function.sig.ident.to_string(),
            function.returns(),
            self.kind(),
        );
        let key = self.key();
        let (arguments, call) = (self.local("arguments"), self.local("call"));
        let cache = args.cache.iter().map(|cache| {
            // The expression's own span, so that errors underline it.
            let cache = quote_spanned!(cache.span()=> &#cache);
            quote!(#private::Call::cache(&mut #call, #cache);)
        });
        let new = quote_spanned!(there=> #private::Call::<#returns, #kind>::new);
        quote! {
            fn __recached_here() {}
            static __RECACHED_FUNCTION: #private::Function =
                #private::Function::new(#private::Site {
                    function: #ident,
                    name: #name,
                    version: #version,
                    path: || #private::path_of(&__recached_here),
                    #place
                });
            let mut #call = #new(&__RECACHED_FUNCTION, #private::path_of(&|| ()));
            #(#cache)*
            let #arguments = #private::Call::arguments(&mut #call);
            #key
        }
    }

    /// Returns a type of the return type's kind, for places that can't mention parameters.
    fn reduced(&self) -> Reduced {
        let parameters = self.function.parameters();
        let scope = Scope {
            parameters: parameters.iter().map(ToString::to_string).collect(),
            bounded: self.function.bounded(),
            constants: self.function.constants(),
            in_impl: self.associated,
        };
        scope.reduce(&self.function.returns())
    }

    /// Returns code by which the compiler checks the assumption about the return type.
    fn assumption(&self) -> Option<TokenStream> {
        let (private, there, returns) = (self.private(), self.there(), self.function.returns());
        let check = || quote_spanned!(there=> #private::no_result!(#returns););
        self.reduced().assumed.then(check)
    }

    /// Returns the kind of the return type, as a const generic argument.
    fn kind(&self) -> TokenStream {
        let facade = &self.facade;
        let reduced = self.reduced().ty;
        let kind = quote!(#facade::__private::kind!(#reduced));
        let kind = match self.args.err_ttl {
            Some(_) => quote!(#facade::__private::whole(#kind)),
            None => kind,
        };
        match self.args.local {
            true => quote!({ #facade::__private::own(#kind) }),
            false => quote!({ #kind }),
        }
    }

    /// Returns code that rejects ttls of values that the function can't return. The check uses
    /// types, not tokens.
    fn lifetimes(&self) -> TokenStream {
        let kind = self.kind();
        let checks = ["none_ttl", "err_ttl"].into_iter().filter_map(|option| {
            let at = Span::call_site().located_at(self.args.place(option)?);
            let (private, check) = (self.private_at(at), Ident::new(option, at));
            Some(quote_spanned!(at=> const _: () = #private::#check(#kind);))
        });
        checks.collect()
    }
}
