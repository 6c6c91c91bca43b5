use proc_macro2::{Ident, Span as Place, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, Lit, LitBool, LitStr, Path, Token, parenthesized};

use crate::duration::{Span, ungroup};
use crate::template::Template;

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
    pub(crate) when: Option<Expr>,
    pub(crate) cache_if: Option<Expr>,
    pub(crate) lease: Option<Span>,
    pub(crate) wait: Option<Span>,
    pub(crate) near: Option<Expr>,
    pub(crate) near_ttl: Option<Span>,
    pub(crate) ttl_with: Option<Expr>,
    pub(crate) err_ttl: Option<Span>,
    pub(crate) stale_while_revalidate: Option<Span>,
    pub(crate) stale_if_error: Option<Span>,
    pub(crate) refresh_ahead: Option<Eagerness>,
    pub(crate) timeout: Option<Span>,
    pub(crate) codec: Option<Codec>,
    pub(crate) compress: bool,
    pub(crate) cache: Option<Expr>,
    pub(crate) entry: Entry,
    pub(crate) facade: Option<Path>,
}

/// The companion.
#[derive(Default)]
pub(crate) enum Entry {
    #[default]
    Default,
    None,
    Named {
        name: Ident,
        associated: bool,
    },
}

/// The options, each as one writes it.
const OPTIONS: [(&str, &str); 27] = [
    ("ttl", "ttl = 60"),
    ("ttl_with", "ttl_with = |value| value.lifetime"),
    ("jitter", "jitter = 0.1"),
    ("none_ttl", "none_ttl = \"5s\""),
    ("err_ttl", "err_ttl = \"1s\""),
    ("stale_while_revalidate", "stale_while_revalidate = \"1m\""),
    ("stale_if_error", "stale_if_error = \"1h\""),
    ("refresh_ahead", "refresh_ahead = true"),
    ("timeout", "timeout = \"200ms\""),
    ("name", "name = \"shop.user\""),
    ("key", "key = \"item:{id}\""),
    ("version", "version = 2"),
    ("skip", "skip(db)"),
    ("with", "with(self.tenant)"),
    ("secret", "secret(token)"),
    ("tags", "tags(\"user:{id}\")"),
    ("when", "when = !fresh"),
    ("cache_if", "cache_if = |value| !value.is_empty()"),
    ("lease", "lease = \"5s\""),
    ("wait", "wait = \"10s\""),
    ("near", "near = false"),
    ("near_ttl", "near_ttl = \"1s\""),
    ("codec", "codec = \"json\""),
    ("compress", "compress"),
    ("cache", "cache = SESSIONS"),
    ("entry", "entry = cached_user"),
    ("crate", "crate = crate::platform::recached"),
];

/// The tags of one function at most: each is a generation to be read.
const MOST_TAGS: usize = 16;

impl Args {
    /// Whether a computation may go on beside its caller.
    pub(crate) fn goes_on(&self) -> Option<(&'static str, Place)> {
        let ahead = self.refresh_ahead.as_ref().map(|Eagerness(of)| of.span());
        let stale = self.stale_while_revalidate.as_ref().map(Span::span);
        let timeout = self.timeout.as_ref().map(Span::span);
        [
            ("refresh_ahead", ahead),
            ("stale_while_revalidate", stale),
            ("timeout", timeout),
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

    /// The options, and everything that is wrong with them.
    pub(crate) fn parse(tokens: TokenStream) -> (Self, Vec<Error>) {
        let mut args = Self::default();
        let mut errors = Vec::new();
        let parse = |input: ParseStream<'_>| {
            let mut seen: Vec<String> = Vec::new();
            while !input.is_empty() {
                if let Err(error) = args.option(input, &mut seen) {
                    errors.push(error);
                    // On to the next option, so that all mistakes are told at once.
                    while !input.is_empty() && !input.peek(Token![,]) {
                        input.parse::<proc_macro2::TokenTree>()?;
                    }
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = parse.parse2(tokens) {
            errors.push(error);
        }
        args.check(&mut errors);
        (args, errors)
    }

    fn option(&mut self, input: ParseStream<'_>, seen: &mut Vec<String>) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error("an option is expected, as in `ttl = 60`"));
        }
        let option = input.call(Ident::parse_any)?;
        let name = option.to_string();
        let Some((_, example)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
            let options = OPTIONS.map(|(option, _)| option);
            return Err(Error::new(option.span(), nearest(&name, &options)));
        };
        if seen.contains(&name) {
            return Err(Error::new(
                option.span(),
                format!("`{name}` is given twice"),
            ));
        }
        seen.push(name.clone());
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
        if name == "compress" && !input.peek(Token![=]) {
            self.compress = true;
            return Ok(());
        }
        if !input.peek(Token![=]) {
            return Err(write());
        }
        input.parse::<Token![=]>()?;
        let result = self.value(&name, input);
        result.map_err(|error| with_example(&error, &option, example))
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
            "wait" => self.wait = Some(input.parse()?),
            "near" => self.near = Some(ungroup(input.parse()?)),
            "near_ttl" => self.near_ttl = Some(input.parse()?),
            "ttl_with" => self.ttl_with = Some(input.parse()?),
            "err_ttl" => self.err_ttl = Some(input.parse()?),
            "stale_while_revalidate" => self.stale_while_revalidate = Some(input.parse()?),
            "stale_if_error" => self.stale_if_error = Some(input.parse()?),
            "refresh_ahead" => self.refresh_ahead = Some(input.parse()?),
            "timeout" => self.timeout = Some(input.parse()?),
            "jitter" => self.jitter = Some(ungroup(input.parse()?)),
            "when" => self.when = Some(input.parse()?),
            "cache_if" => self.cache_if = Some(input.parse()?),
            "codec" => self.codec = Some(input.parse()?),
            "compress" => self.compress = input.parse::<LitBool>()?.value,
            "cache" => self.cache = Some(input.parse()?),
            "name" => self.name = Some(parse_name(input)?),
            "key" => self.key = Some(Template::parse(input.parse()?)?),
            "version" => self.version = Some(parse_version(input)?),
            "entry" => self.entry = input.parse()?,
            _ => self.facade = Some(input.call(Path::parse_mod_style)?),
        }
        Ok(())
    }

    fn check(&self, errors: &mut Vec<Error>) {
        let mut fail = |span: Place, message: &str| errors.push(Error::new(span, message));
        let nothing =
            "nothing would ever be stored: give at least 1 ms, or bypass the cache with `when = …`";
        let no_copy = "no copy would ever be kept: give at least 1 ms, or say `near = false`";
        let no_window = "nothing would ever be served from it: give at least 1 ms, or remove it";
        let no_time = "every computation would be too late: give at least 1 ms, or remove it";
        for (name, duration, fix) in [
            ("ttl", &self.ttl, nothing),
            ("none_ttl", &self.none_ttl, nothing),
            ("err_ttl", &self.err_ttl, nothing),
            ("near_ttl", &self.near_ttl, no_copy),
            (
                "stale_while_revalidate",
                &self.stale_while_revalidate,
                no_window,
            ),
            ("stale_if_error", &self.stale_if_error, no_window),
            ("timeout", &self.timeout, no_time),
        ] {
            if let Some((duration, span)) = duration.as_ref().and_then(Span::known)
                && duration.as_millis() == 0
            {
                fail(span, &format!("a `{name}` of zero: {fix}"));
            }
        }
        if let (Some(timeout), None) = (&self.timeout, &self.stale_if_error) {
            fail(
                timeout.span(),
                "with no stale value to stand in, nothing can end at a `timeout`: add `stale_if_error = …`",
            );
        }
        if let (Some(Expr::Lit(near)), Some(_)) = (&self.near, &self.near_ttl)
            && matches!(&near.lit, Lit::Bool(near) if !near.value)
        {
            fail(
                near.span(),
                "`near = false` keeps no copy that could have a `near_ttl`: remove one of them",
            );
        }
        if let Some((lease, span)) = self.lease.as_ref().and_then(Span::known)
            && lease.as_millis() < 100
        {
            fail(
                span,
                "a lease below 100 ms ends before it can be renewed: give at least `\"100ms\"`",
            );
        }
        if let Some(jitter) = &self.jitter
            && number(jitter).is_some_and(|share| !(0.0..=1.0).contains(&share))
        {
            fail(
                jitter.span(),
                "jitter is a share of the lifetime: between 0.0 and 1.0",
            );
        }
        if let Some(tag) = self.tags.get(MOST_TAGS) {
            fail(
                tag.span,
                "a function has 16 tags at most: each costs its calls a look",
            );
        }
        if self.key.is_some() {
            if let Some(skipped) = self.skip.first() {
                fail(
                    skipped.span(),
                    "`key` says already what is part of the key: remove `skip`",
                );
            }
            if let Some(with) = self.with.first() {
                fail(
                    with.span(),
                    "`key` says already what is part of the key: put this into the template",
                );
            }
        }
    }
}

/// How early a value is computed anew: `true`, or a factor.
pub(crate) struct Eagerness(pub(crate) Expr);

impl Parse for Eagerness {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let expr = ungroup(input.parse()?);
        let wrong = |span| {
            let text = "write `true`, or a factor above 0.0: 1.0 is the published algorithm, more is earlier";
            Err(Error::new(span, text))
        };
        if let Expr::Lit(lit) = &expr {
            match &lit.lit {
                Lit::Bool(on) if on.value => return Ok(Self(syn::parse_quote!(1.0))),
                Lit::Bool(_) | Lit::Str(_) => return wrong(expr.span()),
                Lit::Int(number) => {
                    let factor = format!("{}.0", number.base10_digits());
                    let factor = syn::LitFloat::new(&factor, number.span());
                    return match factor.base10_parse::<f64>()? > 0.0 {
                        true => Ok(Self(syn::parse_quote!(#factor))),
                        false => wrong(expr.span()),
                    };
                }
                _ => {}
            }
        }
        match number(&expr) {
            Some(factor) if factor <= 0.0 => wrong(expr.span()),
            _ => Ok(Self(expr)),
        }
    }
}

/// How values are written.
#[derive(Clone, Copy)]
pub(crate) enum Codec {
    Json,
    MsgPack,
}

impl Parse for Codec {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let codec: LitStr = input.parse()?;
        match codec.value().as_str() {
            "json" => Ok(Self::Json),
            "msgpack" => Ok(Self::MsgPack),
            other => Err(Error::new(
                codec.span(),
                format!("there is no codec `{other}`: there are `\"json\"` and `\"msgpack\"`"),
            )),
        }
    }
}

/// Names of arguments; `self` is one.
fn names(input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(input, Ident::parse_any)?;
    let names: Vec<Ident> = names.into_iter().collect();
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

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitBool) {
            let value: LitBool = input.parse()?;
            return match value.value {
                false => Ok(Self::None),
                true => Err(Error::new(
                    value.span,
                    "the companion is there by default: give a name or `false`",
                )),
            };
        }
        let associated = input.peek(Token![Self]);
        if associated {
            input.parse::<Token![Self]>()?;
            input.parse::<Token![::]>()?;
        }
        let name = input.parse()?;
        Ok(Self::Named { name, associated })
    }
}

fn parse_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let name: LitStr = input.parse()?;
    let value = name.value();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if value.is_empty() || !value.chars().all(plain) {
        return Err(Error::new(
            name.span(),
            "a name is made of letters, digits, `_`, `-` and `.`",
        ));
    }
    if ["gen", "functions", "settings"].contains(&value.as_str()) {
        return Err(Error::new(
            name.span(),
            format!("`{value}` is a name of the cache's own: take another"),
        ));
    }
    Ok(name)
}

fn parse_version(input: ParseStream<'_>) -> syn::Result<String> {
    let version: Lit = input.parse()?;
    let text = match &version {
        Lit::Int(number) => number.base10_digits().to_owned(),
        Lit::Str(text) => text.value(),
        _ => String::new(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || !text.chars().all(plain) {
        return Err(Error::new(
            version.span(),
            "a version is a number, or a text of letters, digits, `_`, `-` and `.`",
        ));
    }
    Ok(text)
}

/// What to say of an unknown option.
pub(crate) fn nearest(name: &str, options: &[&str]) -> String {
    let nearest = options.iter().min_by_key(|option| distance(name, option));
    match nearest {
        Some(option) if distance(name, option) <= 2 => {
            format!("there is no option `{name}`: did you mean `{option}`?")
        }
        _ => format!(
            "there is no option `{name}`: there are {}",
            options.join(", ")
        ),
    }
}

/// Levenshtein's distance, for short words.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y))
                .min(above + 1)
                .min(row[j] + 1);
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The value of a literal number, signed.
fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Int(int) => int.base10_parse().ok(),
            Lit::Float(float) => float.base10_parse().ok(),
            _ => None,
        },
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Neg(_)) => {
            number(&unary.expr).map(|value| -value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(options: &str) -> Vec<String> {
        let (_, errors) = Args::parse(options.parse().expect("tokens"));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_options_are_taken() {
        for options in [
            "ttl = 60",
            "ttl = \"1h 30m\", jitter = 0.1, none_ttl = \"5s\",",
            "ttl = TTL, key = \"item:{id}\", version = 2, name = \"app.item\"",
            "ttl = Duration::from_secs(1), skip(db, self), with(self.tenant, 1 + 1)",
            "ttl = 1, when = a > b, cache_if = |value| value.len::<A, B>() > 0, lease = \"5s\", wait = 10",
            "ttl = 1, cache = &self.cache, entry = other, crate = crate::deep::recached",
            "ttl = 1, ttl_with = |value| value.life(), err_ttl = \"1s\"",
            "ttl = 1, stale_while_revalidate = 5, stale_if_error = 60, timeout = \"1s\"",
            "ttl = 1, refresh_ahead = true",
            "ttl = 1, refresh_ahead = 2",
            "ttl = 1, entry = false",
            "ttl = 1, tags(\"user:{id}\", \"all\"), secret(token, other)",
            "ttl = 1, codec = \"msgpack\", compress",
            "ttl = 1, codec = \"json\", compress = false",
            "ttl = 1, entry = Self::other, version = \"v2\"",
        ] {
            assert_eq!(errors(options), Vec::<String>::new(), "{options}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_fix() {
        for (options, message) in [
            ("ttl = 0", "a `ttl` of zero"),
            ("none_ttl = \"0s\"", "a `none_ttl` of zero"),
            ("ttl = \"soon\"", "this is no duration"),
            ("ttl = 1.5", "this is no duration"),
            ("ttl = -1", "can't be negative"),
            ("lease = \"10ms\"", "a lease below 100 ms"),
            ("jitter = 1.5", "between 0.0 and 1.0"),
            ("jitter = -0.1", "between 0.0 and 1.0"),
            ("name = \"a b\"", "letters, digits"),
            ("name = \"gen\"", "a name of the cache's own"),
            ("version = 1.5", "a version is a number"),
            ("tll = 60", "did you mean `ttl`"),
            ("color = 1", "there are ttl, ttl_with"),
            ("codec = \"xml\"", "there is no codec `xml`"),
            ("tags = \"a\"", "write `tags(\"user:{id}\")`"),
            ("tags(\"\")", "the tag is empty"),
            ("secret", "write `secret(token)`"),
            ("timeout = 1", "add `stale_if_error"),
            ("refresh_ahead = false", "write `true`, or a factor"),
            ("refresh_ahead = 0", "write `true`, or a factor"),
            ("refresh_ahead = -1.5", "write `true`, or a factor"),
            ("stale_if_error = 0", "a `stale_if_error` of zero"),
            ("ttl = 1, ttl = 2", "`ttl` is given twice"),
            ("ttl", "write `ttl = 60`"),
            ("60", "an option is expected"),
            ("codec = json", "write `codec = \"json\"`"),
            ("name =", "write `name = \"shop.user\"`"),
            ("skip(\"id\")", "write `skip(db)`"),
            ("skip()", "write `skip(db)`"),
            ("secret(a, b, a)", "`a` is given twice"),
            ("tags(\"a\", \"a\")", "`a` is given twice"),
            ("skip = a", "write `skip(db)`"),
            ("with", "write `with(self.tenant)`"),
            ("entry = true", "give a name or `false`"),
            ("key = \"a\", skip(b)", "remove `skip`"),
            ("key = \"a\", with(b)", "put this into the template"),
        ] {
            let errors = errors(options);
            assert!(
                errors.iter().any(|error| error.contains(message)),
                "{options}: {errors:?}"
            );
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let errors = errors("tll = 60, jitter = 2.0, ttl = 0, lease = \"1ms\", key = \"{a}{b}\"");
        assert_eq!(errors.len(), 5, "{errors:?}");
    }
}
