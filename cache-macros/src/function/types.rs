//! Types that can't be stored or can't distinguish calls, as far as tokens show.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, LitInt, PathArguments, Type};

use crate::tokens::mentions;

/// Maximum length of an array that serde supports.
const LONGEST_ARRAY: u64 = 32;

/// Returns the types in a return type whose values would be stored.
pub(super) fn stored(returns: &Type, with_errors: bool) -> Vec<&Type> {
    match returns {
        Type::Group(group) => stored(&group.elem, with_errors),
        Type::Paren(paren) => stored(&paren.elem, with_errors),
        Type::Path(path) if !with_errors => {
            let last = path.path.segments.last();
            match last.map(|last| (last.ident.to_string(), &last.arguments)) {
                Some((name, PathArguments::AngleBracketed(arguments)))
                    if name.ends_with("Result") =>
                {
                    let mut types = arguments.args.iter().filter_map(|argument| match argument {
                        GenericArgument::Type(ty) => Some(ty),
                        _ => None,
                    });
                    types.next().into_iter().collect()
                }
                _ => vec![returns],
            }
        }
        _ => vec![returns],
    }
}

/// Returns `true` if the type contains a `dyn`, so that the concrete type is unknown.
pub(super) fn is_dynamic(ty: &Type) -> bool {
    mentions(ty.to_token_stream(), "dyn")
}

/// Returns an array in the type that is too long for serde.
pub(super) fn long_array(ty: &Type) -> Option<TokenStream> {
    long_array_in(ty.to_token_stream())
}

fn long_array_in(tokens: TokenStream) -> Option<TokenStream> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) if is_long(&group) => Some(group.into_token_stream()),
        TokenTree::Group(group) => long_array_in(group.stream()),
        _ => None,
    })
}

fn is_long(group: &Group) -> bool {
    if group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let [.., TokenTree::Punct(semicolon), TokenTree::Literal(length)] = tokens.as_slice() else {
        return false;
    };
    let length = syn::parse2::<LitInt>(length.to_token_stream());
    let length = length.and_then(|length| length.base10_parse::<u64>());
    semicolon.as_char() == ';' && length.is_ok_and(|length| length > LONGEST_ARRAY)
}

/// Returns `true` if a function may write through the type: it contains a `&mut T`.
pub(super) fn is_written_into(ty: &Type) -> bool {
    writes(ty.to_token_stream())
}

fn writes(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    let mut after_reference = false;
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Group(group) if writes(group.stream()) => return true,
            TokenTree::Ident(word) if after_reference && word == "mut" => return true,
            _ => {}
        }
        after_reference = match &token {
            TokenTree::Punct(punct) => {
                // `&mut` or `&'a mut`.
                punct.as_char() == '&' || after_reference && punct.as_char() == '\''
            }
            TokenTree::Ident(_) => after_reference && is_lifetime_before_mut(tokens.peek()),
            _ => false,
        };
    }
    false
}

fn is_lifetime_before_mut(next: Option<&TokenTree>) -> bool {
    matches!(next, Some(TokenTree::Ident(word)) if word == "mut")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(text: &str) -> Type {
        syn::parse_str(text).expect(text)
    }

    #[test]
    fn what_is_stored_of_a_result_is_its_value() {
        let shown = |text: &str, with_errors| {
            let returns = ty(text);
            let shown = |ty: &&Type| ty.to_token_stream().to_string();
            stored(&returns, with_errors)
                .iter()
                .map(shown)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown("Result<User, Box<dyn Error>>", false), ["User"]);
        assert_eq!(shown("io::Result<User>", false), ["User"]);
        assert_eq!(shown("Option<User>", false), ["Option < User >"]);
        assert_eq!(shown("Result<A, B>", true), ["Result < A , B >"]);
    }

    #[test]
    fn arrays_that_are_too_long_are_found_wherever_they_stand() {
        for text in [
            "[u8; 64]",
            "Vec<[u8; 33]>",
            "&[[u8; 0x40]]",
            "(u8, [u64; 40])",
        ] {
            assert!(long_array(&ty(text)).is_some(), "{text}");
        }
        for text in ["[u8; 32]", "[u8; N]", "[u8]", "Vec<u8>", "[u8; 1]"] {
            assert!(long_array(&ty(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_written_into_is_seen() {
        for text in [
            "&mut u8",
            "&'a mut Vec<u8>",
            "Pin<&mut T>",
            "Option<&'static mut u8>",
        ] {
            assert!(is_written_into(&ty(text)), "{text}");
        }
        for text in ["&u8", "&'a Vec<u8>", "Vec<u8>", "*mut u8"] {
            assert!(!is_written_into(&ty(text)), "{text}");
        }
    }
}
