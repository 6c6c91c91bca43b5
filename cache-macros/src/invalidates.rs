use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Expr, FnArg, LitStr, Path, Token, parse_quote};

use crate::expand::fill;
use crate::function::Function;
use crate::options;
use crate::template::Template;
use crate::tokens::mentions_impl;

const OPTIONS: [&str; 4] = ["tag", "entry", "cache", "crate"];

/// The options of one `#[invalidates(…)]`.
#[derive(Default)]
struct Args {
    functions: Vec<LitStr>,
    tags: Vec<Template>,
    entries: Vec<Expr>,
    cache: Option<Expr>,
    facade: Option<Path>,
}

/// Returns the function with invalidations added; on errors, the errors and the unchanged function.
pub(crate) fn invalidates(options: TokenStream, item: TokenStream) -> TokenStream {
    let (args, mut errors) = Args::parse(options);
    match syn::parse2::<Function>(item.clone()) {
        Ok(function) => {
            errors.extend(args.check(&function));
            if errors.is_empty() {
                return args.expand(&function);
            }
        }
        Err(error) => errors.push(error),
    }
    let errors = errors.iter().map(Error::to_compile_error);
    quote!(#(#errors)* #item)
}

impl Args {
    fn parse(tokens: TokenStream) -> (Self, Vec<Error>) {
        let mut args = Self::default();
        let mut errors = options::each(tokens, |input| args.option(input));
        let none = args.functions.is_empty() && args.tags.is_empty() && args.entries.is_empty();
        if none && errors.is_empty() {
            errors.push(Error::new(
                Span::call_site(),
                "what does it invalidate? name functions as in `\"user*\"`, `tag = \"user:{id}\"`, or `entry = user_entry(id)`",
            ));
        }
        (args, errors)
    }

    fn option(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(LitStr) {
            self.functions.push(function_pattern(input.parse()?)?);
            return Ok(());
        }
        let option = input.call(Ident::parse_any)?;
        let name = option.to_string();
        let fail = |message: String| Err(Error::new(option.span(), message));
        if !OPTIONS.contains(&name.as_str()) {
            return fail(options::nearest(&name, &OPTIONS));
        }
        if !input.peek(Token![=]) {
            return fail(format!("write `{name} = …`"));
        }
        input.parse::<Token![=]>()?;
        let twice = match name.as_str() {
            "cache" => self.cache.is_some(),
            "crate" => self.facade.is_some(),
            _ => false,
        };
        if twice {
            return fail(format!("`{name}` is given twice"));
        }
        match name.as_str() {
            "tag" => self.tags.push(Template::parse_tag(input.parse()?)?),
            "entry" => self.entries.push(input.parse()?),
            "cache" => self.cache = Some(input.parse()?),
            _ => self.facade = Some(input.call(Path::parse_mod_style)?),
        }
        Ok(())
    }

    /// Returns the errors of the options in the context of the function.
    fn check(&self, function: &Function) -> Vec<Error> {
        let mut errors = Vec::new();
        if let Some(constness) = &function.sig.constness {
            let message = "a `const fn` can't use a cache: remove `const`";
            errors.push(Error::new_spanned(constness, message));
        }
        if let (true, Some(attribute)) = (function.is_tracked(), function.track_caller()) {
            let message = "the body runs in a closure, so that `Location::caller()` would name this place and not the caller's: remove it, or put `#[invalidates]` on an async function, or take the location as an argument";
            errors.push(Error::new_spanned(attribute, message));
        }
        let mut names = Vec::new();
        for input in &function.sig.inputs {
            match input {
                FnArg::Receiver(_) => names.push("self".to_owned()),
                FnArg::Typed(typed) => names_in(typed.pat.to_token_stream(), &mut names),
            }
        }
        for (_, root) in self.tags.iter().flat_map(Template::fields) {
            if !names.iter().any(|name| root == name) {
                let there = match names.is_empty() {
                    true => "the function has no arguments".to_owned(),
                    false => format!("there are `{}`", names.join("`, `")),
                };
                let message = format!("there is no argument `{root}`: {there}");
                errors.push(Error::new(root.span(), message));
            }
        }
        errors
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let Function {
            attrs, vis, sig, ..
        } = function;
        let facade = self.facade.clone();
        let facade = facade.unwrap_or_else(|| parse_quote!(::recached));
        let private = quote!(#facade::__private);
        let of_all = quote!(#private::Invalidations);
        let local = |name| Ident::new(name, Span::mixed_site());
        let all = local("__recached_invalidations");
        let (tag, result) = (local("__recached_tag"), local("__recached_result"));
        let (functions, arguments) = (&self.functions, function.arguments());
        let cache = self.cache.iter().map(|cache| {
            let cache = quote_spanned!(cache.span()=> &#cache);
            quote!(#of_all::cache(&mut #all, #cache);)
        });
        let tags = self.tags.iter().map(|template| {
            let fill = fill(template, &arguments, &|_| private.clone(), &tag, |_, _| {
                None
            });
            quote!(let #tag = #of_all::tag(&mut #all); #fill)
        });
        let entries = self.entries.iter().map(|entry| {
            let any = at(&quote!(#private::AnyEntry), entry.span());
            let entry = quote_spanned! {entry.span()=>
                #any::recached_doomed(#entry)
            };
            quote!(#of_all::entry(&mut #all, #entry);)
        });
        let (compute, returns) = (function.compute(), function.returns());
        let opaque = mentions_impl(&returns);
        let run = match (function.is_async(), opaque) {
            (true, true) => quote!((#compute).await),
            (true, false) => quote!(#private::future_of::<#returns, _>(#compute).await),
            (false, true) => {
                let body = function.body();
                quote!((move || #body)())
            }
            (false, false) => quote!((#compute)()),
        };
        let done = match function.is_async() {
            true => quote!(#of_all::run(#all).await),
            false => quote!(#of_all::run_blocking(#all)),
        };
        let body = quote! {
            let mut #all = #of_all::new();
            #(#cache)*
            #(#of_all::functions(&mut #all, #functions);)*
            #(#tags)*
            #(#entries)*
            let #result = #run;
            {
                use #private::AnyOutcome as _;
                #of_all::judge(&mut #all, #private::Outcome(&#result).recached_is_success());
            }
            #done;
            #result
        };
        let body = match function.is_boxed() {
            true => quote!(::std::boxed::Box::pin(async move { #body })),
            false => body,
        };
        let body = function.braced(body);
        quote! {
            #(#attrs)*
            #vis #sig #body
        }
    }
}

/// Returns generated code with another span, so that errors underline that place.
fn at(tokens: &TokenStream, there: Span) -> TokenStream {
    let tokens = tokens.clone().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(there));
        token
    });
    tokens.collect()
}

/// Checks a pattern of function names, as far as its syntax shows.
fn function_pattern(pattern: LitStr) -> syn::Result<LitStr> {
    let value = pattern.value();
    let plain = |c: char| c.is_alphanumeric() || "_-.*?%".contains(c);
    match !value.is_empty() && value.chars().all(plain) {
        true => Ok(pattern),
        false => Err(Error::new(
            pattern.span(),
            "this is no pattern for functions' names: they are made of letters, digits, `_`, `-` and `.`; `*` is any text, `?` any character. Calls with some argument are found by `tag = …`",
        )),
    }
}

fn names_in(pattern: TokenStream, names: &mut Vec<String>) {
    for token in pattern {
        match token {
            TokenTree::Group(group) => names_in(group.stream(), names),
            TokenTree::Ident(name) if name != "ref" && name != "mut" => {
                names.push(name.to_string())
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(options: &str, function: &str) -> Vec<String> {
        let (args, mut errors) = Args::parse(options.parse().expect("tokens"));
        let function = syn::parse_str::<Function>(function).expect("a function");
        errors.extend(args.check(&function));
        errors.iter().map(ToString::to_string).collect()
    }

    const RENAME: &str =
        "async fn rename(&self, (id, b): (u64, u8), User { name: n, .. }: User) {}";

    #[test]
    fn good_options_are_taken() {
        for options in [
            "\"user*\"",
            "\"user*\", \"app.shop.?\", tag = \"user:{id}\", tag = \"n:{n.x}:{self.y}\",",
            "entry = user_entry(id), entry = self.other_entry(b)",
            "tag = \"all\", cache = CACHE, crate = crate::deep::recached",
        ] {
            assert_eq!(errors(options, RENAME), Vec::<String>::new(), "{options}");
        }
    }

    #[test]
    fn every_mistake_is_reported_with_its_fix() {
        for (options, message) in [
            ("", "what does it invalidate?"),
            ("cache = CACHE", "what does it invalidate?"),
            ("\"user:{id}\"", "no pattern for functions' names"),
            ("\"\"", "no pattern for functions' names"),
            ("tags = \"a\"", "did you mean `tag`?"),
            ("color = 1", "there are tag, entry, cache, crate"),
            ("tag", "write `tag = …`"),
            ("tag = \"\"", "the tag is empty"),
            (
                "tag = \"{uid}\"",
                "there is no argument `uid`: there are `self`, `id`",
            ),
            ("\"a\", cache = A, cache = B", "`cache` is given twice"),
        ] {
            let errors = errors(options, RENAME);
            let told = errors.iter().any(|error| error.contains(message));
            assert!(told, "{options}: {errors:?}");
        }
        assert_eq!(errors("tag = \"\", \"a b\", entri = x", RENAME).len(), 3);
        assert_eq!(errors("\"a\"", "const fn f() {}").len(), 1);
    }
}
