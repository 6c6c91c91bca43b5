//! Questions about tokens.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Pat, Type};

pub(crate) fn mentions_impl(ty: &Type) -> bool {
    mentions(ty.to_token_stream(), "impl")
}

/// Returns `true` if the tokens contain a reference, or a lifetime other than `'static`.
pub(crate) fn is_borrowed(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let found = match &token {
            TokenTree::Group(group) => is_borrowed(group.stream()),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                !matches!(tokens.peek(), Some(TokenTree::Ident(name)) if name == "static")
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                !matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'')
            }
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

pub(crate) fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}

/// Returns a pattern with usual spacing.
pub(crate) fn shown(pattern: &Pat) -> String {
    let text = pattern.to_token_stream().to_string();
    let text = text.replace("( ", "(").replace(" (", "(");
    text.replace(" )", ")").replace(" ,", ",")
}
