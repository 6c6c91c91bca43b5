//! Values of options.

use proc_macro2::Ident;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, Lit, LitBool, LitStr, Token};

use crate::duration::ungroup;

/// The entry handle.
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

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitBool) {
            let value: LitBool = input.parse()?;
            return match value.value {
                false => Ok(Self::None),
                true => Err(Error::new(
                    value.span,
                    "the entry handle is there by default: give a name or `false`",
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

/// Eagerness of refreshing ahead: `true`, or a factor.
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

/// Codec of stored values.
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

pub(super) fn parse_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let name: LitStr = input.parse()?;
    let value = name.value();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if value.is_empty() || !value.chars().all(plain) {
        return Err(Error::new(
            name.span(),
            "a name is made of letters, digits, `_`, `-` and `.`",
        ));
    }
    if value.split('.').any(str::is_empty) {
        return Err(Error::new(
            name.span(),
            "between dots, and on either side of them, a name has a word, as in `shop.user`",
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

pub(super) fn parse_version(input: ParseStream<'_>) -> syn::Result<String> {
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

/// Returns the value of a literal number with its sign.
pub(super) fn number(expr: &Expr) -> Option<f64> {
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
