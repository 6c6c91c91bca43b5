mod check;
mod known;
mod value;

use proc_macro2::{Ident, Span as Place, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, LitBool, LitStr, Path, Token, parenthesized};

use crate::duration::{Span, ungroup};
use crate::function::mentions;
use crate::options;
use crate::template::{Template, raw_if_keyword};

use known::{OPTIONS, unknown};
pub(crate) use value::{Codec, Eagerness, Entry};
use value::{parse_name, parse_version};

/// The options of one attribute.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) ttl: Option<Span>,
    pub(crate) jitter: Option<Expr>,
    pub(crate) none_ttl: Option<Span>,
    pub(crate) name: Option<LitStr>,
    pub(crate) key: Option<Template>,
    pub(crate) version: Option<String>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) with: Vec<Expr>,
    pub(crate) secret: Vec<Ident>,
    pub(crate) tags: Vec<Template>,
    pub(crate) bypass_if: Option<Expr>,
    pub(crate) store_if: Option<Expr>,
    pub(crate) lease: Option<Span>,
    pub(crate) lease_wait: Option<Span>,
    pub(crate) near: Option<Expr>,
    pub(crate) near_ttl: Option<Span>,
    pub(crate) ttl_with: Option<Expr>,
    pub(crate) err_ttl: Option<Span>,
    pub(crate) stale_while_revalidate: Option<Span>,
    pub(crate) stale_if_error: Option<Span>,
    pub(crate) refresh_ahead: Option<Eagerness>,
    pub(crate) retry_after: Option<Span>,
    pub(crate) soft_timeout: Option<Span>,
    pub(crate) codec: Option<Codec>,
    pub(crate) compress: bool,
    pub(crate) local: bool,
    pub(crate) detached: bool,
    pub(crate) cache: Option<Expr>,
    pub(crate) entry: Entry,
    pub(crate) facade: Option<Path>,
    /// The options that are there, as they stand.
    given: Vec<Ident>,
}

impl Args {
    /// Whether a computation may go on beside its caller.
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

    /// Whether calls that differ in this differ in their keys, as far as can be seen. `root` is the
    /// argument it begins with.
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

    /// Whether an expression among the options may mean an argument of this name.
    pub(crate) fn mention(&self, name: &Ident) -> bool {
        let spans = [
            &self.ttl,
            &self.none_ttl,
            &self.lease,
            &self.lease_wait,
            &self.near_ttl,
            &self.err_ttl,
            &self.stale_while_revalidate,
            &self.stale_if_error,
            &self.retry_after,
            &self.soft_timeout,
        ];
        let exprs = [
            &self.jitter,
            &self.bypass_if,
            &self.store_if,
            &self.near,
            &self.ttl_with,
            &self.cache,
        ];
        let ahead = self.refresh_ahead.iter().map(|Eagerness(of)| of);
        let exprs = exprs.into_iter().flatten().chain(&self.with).chain(ahead);
        let mut all = exprs
            .map(ToTokens::to_token_stream)
            .chain(spans.into_iter().flatten().map(ToTokens::to_token_stream));
        let name = name.to_string();
        all.any(|tokens| mentions(tokens, &name))
    }

    /// The options, and everything that is wrong with them.
    pub(crate) fn parse(tokens: TokenStream) -> (Self, Vec<Error>) {
        let mut args = Self::default();
        let mut errors = options::each(tokens, |input| args.option(input));
        args.check(&mut errors);
        (args, errors)
    }

    /// Where an option stands, if it is there.
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
        if matches!(name.as_str(), "skip" | "with" | "secret" | "tags") {
            if !input.peek(syn::token::Paren) {
                return Err(write());
            }
            let content;
            parenthesized!(content in input);
            if content.is_empty() {
                return Err(write());
            }
            let result = self.list(&name, &content);
            // What is left over would be a mistake of its own.
            content.parse::<TokenStream>()?;
            return result.map_err(|error| with_example(&error, &option, example));
        }
        if let Some(flag) = self.flag(&name)
            && !input.peek(Token![=])
        {
            *flag = true;
            return Ok(());
        }
        if !input.peek(Token![=]) {
            return Err(write());
        }
        input.parse::<Token![=]>()?;
        let result = self.value(&name, input);
        result.map_err(|error| with_example(&error, &option, example))
    }

    /// An option that says all by being there.
    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        match name {
            "compress" => Some(&mut self.compress),
            "local" => Some(&mut self.local),
            "detached" => Some(&mut self.detached),
            _ => None,
        }
    }

    fn list(&mut self, name: &str, content: ParseStream<'_>) -> syn::Result<()> {
        match name {
            "skip" => self.skip = names(content)?,
            "with" => self.with = list_of(content)?,
            "secret" => self.secret = names(content)?,
            _ => {
                let tags: Vec<LitStr> = list_of(content)?;
                once(&tags, LitStr::value)?;
                let tags = tags.into_iter().map(Template::parse_tag);
                self.tags = tags.collect::<syn::Result<_>>()?;
            }
        }
        Ok(())
    }

    fn value(&mut self, name: &str, input: ParseStream<'_>) -> syn::Result<()> {
        match name {
            "ttl" => self.ttl = Some(input.parse()?),
            "none_ttl" => self.none_ttl = Some(input.parse()?),
            "lease" => self.lease = Some(input.parse()?),
            "lease_wait" => self.lease_wait = Some(input.parse()?),
            "near" => self.near = Some(ungroup(input.parse()?)),
            "near_ttl" => self.near_ttl = Some(input.parse()?),
            "ttl_with" => self.ttl_with = Some(input.parse()?),
            "err_ttl" => self.err_ttl = Some(input.parse()?),
            "stale_while_revalidate" => self.stale_while_revalidate = Some(input.parse()?),
            "stale_if_error" => self.stale_if_error = Some(input.parse()?),
            "refresh_ahead" => self.refresh_ahead = Some(input.parse()?),
            "retry_after" => self.retry_after = Some(input.parse()?),
            "soft_timeout" => self.soft_timeout = Some(input.parse()?),
            "jitter" => self.jitter = Some(ungroup(input.parse()?)),
            "bypass_if" => self.bypass_if = Some(input.parse()?),
            "store_if" => self.store_if = Some(input.parse()?),
            "codec" => self.codec = Some(input.parse()?),
            "compress" | "local" | "detached" => {
                let on = input.parse::<LitBool>()?.value;
                if let Some(flag) = self.flag(name) {
                    *flag = on;
                }
            }
            "cache" => self.cache = Some(input.parse()?),
            "name" => self.name = Some(parse_name(input)?),
            "key" => self.key = Some(Template::parse(input.parse()?)?),
            "version" => self.version = Some(parse_version(input)?),
            "entry" => self.entry = input.parse()?,
            _ => self.facade = Some(input.call(Path::parse_mod_style)?),
        }
        Ok(())
    }
}

/// Names of arguments; `self` is one.
fn names(input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(input, Ident::parse_any)?;
    let names: Vec<Ident> = names.into_iter().map(raw_if_keyword).collect();
    once(&names, ToString::to_string)?;
    Ok(names)
}

/// An error for what is in a list a second time.
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

/// The parser's own words say what it wants, and not how to write it.
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
