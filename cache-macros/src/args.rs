mod check;
mod known;
mod value;

use proc_macro2::{Ident, Span as Place, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, LitBool, LitStr, Path, Token, parenthesized};

use crate::duration::{Span, ungroup};
use crate::options;
use crate::template::{Template, raw_if_keyword};
use crate::tokens::mentions;

use known::unknown;
pub(crate) use value::{Codec, Eagerness, Entry};
use value::{parse_name, parse_version};

/// Declares the options, one per line: the type of the value, an example, and `policy` if the
/// runtime's `Policy` has a setter of this name.
macro_rules! options {
    ($($name:literal $field:ident: $kind:ty, $example:literal $($policy:ident)?;)+) => {
        /// The options of one attribute.
        #[derive(Default)]
        pub(crate) struct Args {
            $(pub(crate) $field: $kind,)+
            /// Names of the options that are present, with their spans.
            given: Vec<Ident>,
        }

        /// Names of the options, each with an example.
        const OPTIONS: [(&str, &str); [$($name),+].len()] = [$(($name, $example)),+];

        impl Args {
            fn option_value(&mut self, name: &str) -> Option<&mut dyn OptionValue> {
                match name {
                    $($name => Some(&mut self.$field),)+
                    _ => None,
                }
            }

            fn all_tokens(&self) -> impl Iterator<Item = TokenStream> {
                [$(self.$field.tokens()),+].into_iter().flatten()
            }

            /// Returns the setters of the policy, each with its value.
            pub(crate) fn policy(&self) -> impl Iterator<Item = (&'static str, TokenStream)> {
                let all = [$(($name, is_policy!($($policy)?), self.$field.tokens())),+];
                let set = all.into_iter().filter(|(_, is_policy, _)| *is_policy);
                set.filter_map(|(name, _, tokens)| Some((name, tokens?)))
            }
        }
    };
}

macro_rules! is_policy {
    (policy) => {
        true
    };
    () => {
        false
    };
}

options! {
    "ttl" ttl: Option<Span>, "ttl = 60";
    "ttl_with" ttl_with: Option<Expr>, "ttl_with = |value| value.lifetime";
    "jitter" jitter: Option<Expr>, "jitter = 0.1" policy;
    "none_ttl" none_ttl: Option<Span>, "none_ttl = \"5s\"" policy;
    "err_ttl" err_ttl: Option<Span>, "err_ttl = \"1s\"" policy;
    "stale_while_revalidate" stale_while_revalidate: Option<Span>, "stale_while_revalidate = \"1m\"" policy;
    "stale_if_error" stale_if_error: Option<Span>, "stale_if_error = \"1h\"" policy;
    "refresh_ahead" refresh_ahead: Option<Eagerness>, "refresh_ahead = true" policy;
    "retry_after" retry_after: Option<Span>, "retry_after = \"1s\"" policy;
    "soft_timeout" soft_timeout: Option<Span>, "soft_timeout = \"200ms\"" policy;
    "name" name: Option<LitStr>, "name = \"shop.user\"";
    "key" key: Option<Template>, "key = \"item:{id}\"";
    "version" version: Option<String>, "version = 2";
    "skip" skip: Vec<Ident>, "skip(db)";
    "with" with: Vec<Expr>, "with(self.tenant)";
    "secret" secret: Vec<Ident>, "secret(token)";
    "tags" tags: Vec<Template>, "tags(\"user:{id}\")";
    "bypass_if" bypass_if: Option<Expr>, "bypass_if = fresh";
    "refresh_if" refresh_if: Option<Expr>, "refresh_if = fresh";
    "store_if" store_if: Option<Expr>, "store_if = |value| !value.is_empty()";
    "lease" lease: Option<Span>, "lease = \"5s\"" policy;
    "lease_wait" lease_wait: Option<Span>, "lease_wait = \"10s\"" policy;
    "near" near: Option<Expr>, "near = false" policy;
    "near_ttl" near_ttl: Option<Span>, "near_ttl = \"1s\"" policy;
    "local" local: bool, "local";
    "detached" detached: bool, "detached";
    "codec" codec: Option<Codec>, "codec = \"json\"";
    "compress" compress: bool, "compress";
    "cache" cache: Option<Expr>, "cache = SESSIONS";
    "entry" entry: Entry, "entry = cached_user";
    "crate" facade: Option<Path>, "crate = crate::platform::recached";
}

/// Syntax of an option.
enum Syntax {
    /// `name = value`
    Value,
    /// `name(item, item)`
    List,
    /// `name`, or `name = true`
    Flag,
}

/// The value of an option, of any type.
trait OptionValue {
    fn syntax(&self) -> Syntax {
        Syntax::Value
    }

    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()>;

    /// Sets a flag that is written without a value.
    fn set(&mut self) {}

    /// Returns the expressions in the value.
    fn tokens(&self) -> Option<TokenStream> {
        None
    }
}

macro_rules! values {
    ($($kind:ty, $input:ident => $read:expr $(, $tokens:expr)?;)+) => {$(
        impl OptionValue for Option<$kind> {
            fn read(&mut self, $input: ParseStream<'_>) -> syn::Result<()> {
                *self = Some($read);
                Ok(())
            }

            $(fn tokens(&self) -> Option<TokenStream> {
                self.as_ref().map($tokens)
            })?
        }
    )+};
}

values! {
    Span, input => input.parse()?, ToTokens::to_token_stream;
    Expr, input => ungroup(input.parse()?), ToTokens::to_token_stream;
    Eagerness, input => input.parse()?, |Eagerness(factor)| factor.to_token_stream();
    LitStr, input => parse_name(input)?;
    Template, input => Template::parse(input.parse()?)?;
    String, input => parse_version(input)?;
    Codec, input => input.parse()?;
    Path, input => input.call(Path::parse_mod_style)?;
}

macro_rules! lists {
    ($($kind:ty, $input:ident => $read:expr $(, $tokens:expr)?;)+) => {$(
        impl OptionValue for Vec<$kind> {
            fn syntax(&self) -> Syntax {
                Syntax::List
            }

            fn read(&mut self, $input: ParseStream<'_>) -> syn::Result<()> {
                *self = $read;
                Ok(())
            }

            $(fn tokens(&self) -> Option<TokenStream> {
                Some($tokens(self))
            })?
        }
    )+};
}

lists! {
    Ident, input => names(input)?;
    Expr, input => list_of(input)?, |all: &Vec<Expr>| quote!(#(#all),*);
    Template, input => tags(input)?;
}

impl OptionValue for bool {
    fn syntax(&self) -> Syntax {
        Syntax::Flag
    }

    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        *self = input.parse::<LitBool>()?.value;
        Ok(())
    }

    fn set(&mut self) {
        *self = true;
    }
}

impl OptionValue for Entry {
    fn read(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        *self = input.parse()?;
        Ok(())
    }
}

impl Args {
    /// Returns the option, with its span, that lets a computation outlive its caller.
    pub(crate) fn goes_on(&self) -> Option<(&'static str, Place)> {
        let ahead = self.refresh_ahead.as_ref().map(|Eagerness(of)| of.span());
        let stale = self.stale_while_revalidate.as_ref().map(Span::span);
        let timeout = self.soft_timeout.as_ref().map(Span::span);
        let detached = self.place("detached").filter(|_| self.detached);
        [
            ("detached", detached),
            ("refresh_ahead", ahead),
            ("stale_while_revalidate", stale),
            ("soft_timeout", timeout),
        ]
        .into_iter()
        .find_map(|(name, span)| Some((name, span?)))
    }

    /// Returns `true` if calls that differ in `expr` have different keys, as far as tokens show.
    /// `root` is the argument with which `expr` begins.
    pub(crate) fn is_keyed(&self, expr: &Expr, root: &Ident) -> bool {
        let text = |of: &Expr| match of {
            Expr::Reference(of) => of.expr.to_token_stream().to_string(),
            of => of.to_token_stream().to_string(),
        };
        let (wanted, whole) = (text(expr), root.to_string());
        let says = |of: &Expr| [&wanted, &whole].contains(&&text(of));
        match &self.key {
            Some(key) => key.fields().any(|(of, _)| says(of)),
            None if root == "self" => self.with.iter().any(says),
            None => !self.skip.contains(root),
        }
    }

    /// Returns `true` if an expression in the options may refer to an argument of this name.
    pub(crate) fn mention(&self, name: &Ident) -> bool {
        let name = name.to_string();
        self.all_tokens().any(|tokens| mentions(tokens, &name))
    }

    /// Parses the options. Returns them with all errors.
    pub(crate) fn parse(tokens: TokenStream) -> (Self, Vec<Error>) {
        let mut args = Self::default();
        let mut errors = options::each(tokens, |input| args.option(input));
        args.check(&mut errors);
        (args, errors)
    }

    /// Returns the span of an option if it is present.
    pub(crate) fn place(&self, option: &str) -> Option<Place> {
        let mut given = self.given.iter();
        given.find(|given| *given == option).map(Ident::span)
    }

    fn option(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error("an option is expected, as in `ttl = 60`"));
        }
        let option = input.call(Ident::parse_any)?;
        let name = option.to_string();
        let Some((_, example)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
            let message = unknown(&name);
            return Err(Error::new(option.span(), message));
        };
        if self.given.contains(&option) {
            return Err(Error::new(
                option.span(),
                format!("`{name}` is given twice"),
            ));
        }
        self.given.push(option.clone());
        let write = || Error::new(option.span(), format!("write `{example}`"));
        let Some(value) = self.option_value(&name) else {
            return Err(write());
        };
        match value.syntax() {
            Syntax::List => {
                if !input.peek(syn::token::Paren) {
                    return Err(write());
                }
                let content;
                parenthesized!(content in input);
                if content.is_empty() {
                    return Err(write());
                }
                let result = value.read(&content);
                // Consumed, because remaining tokens would be reported as a second error.
                content.parse::<TokenStream>()?;
                return result.map_err(|error| with_example(&error, &option, example));
            }
            Syntax::Flag if !input.peek(Token![=]) => {
                value.set();
                return Ok(());
            }
            Syntax::Flag | Syntax::Value => {}
        }
        if !input.peek(Token![=]) {
            return Err(write());
        }
        input.parse::<Token![=]>()?;
        let result = value.read(input);
        result.map_err(|error| with_example(&error, &option, example))
    }
}

/// Parses templates of tags; a duplicate is an error.
fn tags(input: ParseStream<'_>) -> syn::Result<Vec<Template>> {
    let tags: Vec<LitStr> = list_of(input)?;
    once(&tags, LitStr::value)?;
    tags.into_iter().map(Template::parse_tag).collect()
}

/// Parses names of arguments, which may be `self`.
fn names(input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(input, Ident::parse_any)?;
    let names: Vec<Ident> = names.into_iter().map(raw_if_keyword).collect();
    once(&names, ToString::to_string)?;
    Ok(names)
}

/// Returns an error for an item that is in a list twice.
fn once<T: Spanned>(list: &[T], text: impl Fn(&T) -> String) -> syn::Result<()> {
    let again = list.iter().enumerate().find(|(place, item)| {
        let before = list.iter().take(*place);
        before.map(&text).any(|before| before == text(item))
    });
    match again {
        None => Ok(()),
        Some((_, item)) => {
            let message = format!("`{}` is given twice", text(item));
            Err(Error::new(item.span(), message))
        }
    }
}

/// Adds an example to the parser's message, which says what is expected but not how to write it.
fn with_example(error: &Error, option: &Ident, example: &str) -> Error {
    let text = error.to_string();
    if text.starts_with("unexpected end of input") {
        return Error::new(option.span(), format!("write `{example}`"));
    }
    match text.starts_with("expected") {
        true => Error::new(error.span(), format!("{text}: write `{example}`")),
        false => error.clone(),
    }
}

fn list_of<T: Parse>(input: ParseStream<'_>) -> syn::Result<Vec<T>> {
    let all = Punctuated::<T, Token![,]>::parse_terminated(input)?;
    Ok(all.into_iter().collect())
}

#[cfg(test)]
mod tests;
