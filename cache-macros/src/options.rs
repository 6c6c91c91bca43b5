//! Options separated by commas, of either attribute.

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Error, Token};

/// Parses options with `option`, one after the other. Returns all errors.
pub(crate) fn each(
    tokens: TokenStream,
    mut option: impl FnMut(ParseStream<'_>) -> syn::Result<()>,
) -> Vec<Error> {
    let mut errors = Vec::new();
    let parse = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(error) = option(input) {
                errors.push(error);
                // Continues with the next option, so that all mistakes are reported at once.
                while !input.is_empty() && !input.peek(Token![,]) {
                    input.parse::<TokenTree>()?;
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
    errors
}

/// Returns the message for an unknown option.
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

/// Returns the Levenshtein distance of two short words.
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
