use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, ExprUnary, Lit, UnOp};

/// A duration in an option: seconds, a text, or an expression.
pub(crate) enum Span {
    Fixed(Duration, proc_macro2::Span),
    Computed(Box<Expr>),
}

impl Span {
    pub(crate) fn span(&self) -> proc_macro2::Span {
        match self {
            Self::Fixed(_, span) => *span,
            Self::Computed(expr) => expr.span(),
        }
    }

    /// Returns the duration and its span; `None` for an expression.
    pub(crate) fn known(&self) -> Option<(Duration, proc_macro2::Span)> {
        match self {
            Self::Fixed(duration, span) => Some((*duration, *span)),
            Self::Computed(_) => None,
        }
    }
}

impl Parse for Span {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let expr = ungroup(input.parse()?);
        let span = expr.span();
        match &expr {
            Expr::Lit(ExprLit {
                lit: Lit::Int(seconds),
                ..
            }) => Ok(Self::Fixed(
                Duration::from_secs(seconds.base10_parse()?),
                span,
            )),
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => match humantime::parse_duration(&text.value()) {
                Ok(duration) => Ok(Self::Fixed(duration, span)),
                Err(error) => Err(Error::new(
                    span,
                    format!(
                        "this is no duration ({error}): write seconds as in `60`, or a text as in `\"1h 30m\"` or `\"250ms\"`"
                    ),
                )),
            },
            Expr::Lit(_) => Err(Error::new(
                span,
                "this is no duration: write whole seconds as in `60`, a text as in `\"1h 30m\"` or `\"250ms\"`, or a `Duration` expression",
            )),
            Expr::Unary(ExprUnary {
                op: UnOp::Neg(_), ..
            }) => Err(Error::new(span, "a duration can't be negative")),
            _ => Ok(Self::Computed(Box::new(expr))),
        }
    }
}

/// Returns the expression inside a `macro_rules` fragment.
pub(crate) fn ungroup(mut expr: Expr) -> Expr {
    while let Expr::Group(group) = expr {
        expr = *group.expr;
    }
    expr
}

impl ToTokens for Span {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Fixed(duration, span) => {
                let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
                // With the span of this crate's edition: in edition 2015 the path would begin at
                // the user's crate.
                let there = proc_macro2::Span::mixed_site().located_at(*span);
                quote_spanned!(there=> ::core::time::Duration::new(#seconds, #nanos))
            }
            Self::Computed(expr) => quote!(#expr),
        });
    }
}
