use proc_macro2::{Ident, Span, TokenTree};
use syn::parse::{Parse, Parser};
use syn::{Error, Expr, ExprField, LitStr};

/// The template of a key or a tag: literal text and placeholders.
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) span: Span,
}

/// A piece of a template.
pub(crate) enum Piece {
    Text(String),
    /// `{id}`, `{user.id}`, `{self.tenant}`.
    Field {
        name: String,
        expr: Box<Expr>,
        root: Ident,
    },
}

impl Template {
    /// Parses the template of a key.
    pub(crate) fn parse(text: LitStr) -> syn::Result<Self> {
        let template = Self::of(
            text,
            "the key is empty: write a text as in `key = \"item:{id}\"`",
        )?;
        match template.blurred() {
            Some((between, name)) => Err(Error::new(
                template.span,
                format!(
                    "`{between}` may stand in an argument too, and does not separate `{{{name}}}` from the placeholder before it, so that different arguments could share a key: put a `:` between them"
                ),
            )),
            None => Ok(template),
        }
    }

    /// Parses the template of a tag.
    pub(crate) fn parse_tag(text: LitStr) -> syn::Result<Self> {
        Self::of(text, "the tag is empty: write a text as in `user:{id}`")
    }

    fn of(text: LitStr, empty: &str) -> syn::Result<Self> {
        let value = text.value();
        let fail = |message: String| Err(Error::new(text.span(), message));
        if value.is_empty() {
            return fail(empty.into());
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = value.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '{' | '}' if chars.peek() == Some(&char) => {
                    chars.next();
                    literal.push(char);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(char) => name.push(char),
                            None => {
                                return fail("a placeholder is not closed: write `{id}`, or `{{` for a brace".into());
                            }
                        }
                    }
                    let name = name.trim().to_owned();
                    let Some((expr, root)) = placeholder(&name, &text) else {
                        return fail(format!(
                            "`{{{name}}}` is no placeholder: write an argument as in `{{id}}`, or a field as in `{{user.id}}`"
                        ));
                    };
                    if literal.is_empty() && matches!(pieces.last(), Some(Piece::Field { .. })) {
                        return fail(format!(
                            "nothing separates `{{{name}}}` from the placeholder before it, so that different arguments could share a key: put a `:` between them"
                        ));
                    }
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Field {
                        name,
                        expr: Box::new(expr),
                        root,
                    });
                }
                '}' => {
                    return fail("a `}` closes no placeholder: write `}}` for a brace".into());
                }
                char => literal.push(char),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        let span = text.span();
        Ok(Self { pieces, span })
    }

    /// Returns a placeholder whose beginning is ambiguous, with the text before it: only a `:` is
    /// never part of an argument's text.
    fn blurred(&self) -> Option<(&str, &str)> {
        self.pieces.windows(3).find_map(|pieces| match pieces {
            [
                Piece::Field { .. },
                Piece::Text(between),
                Piece::Field { name, .. },
            ] if !between.contains(':') => Some((between.as_str(), name.as_str())),
            _ => None,
        })
    }

    /// Returns the placeholders: the expression, and the argument with which it begins.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Expr, &Ident)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Field { expr, root, .. } => Some((&**expr, root)),
        })
    }
}

/// Parses a placeholder. Returns its expression, with the template's span, and the argument with
/// which it begins.
fn placeholder(name: &str, text: &LitStr) -> Option<(Expr, Ident)> {
    let tokens: proc_macro2::TokenStream = name.parse().ok()?;
    let tokens = tokens.into_iter().map(|mut token| {
        token.set_span(text.span());
        match token {
            TokenTree::Ident(name) => TokenTree::Ident(raw_if_keyword(name)),
            token => token,
        }
    });
    let expr = Expr::parse.parse2(tokens.collect()).ok()?;
    let root = root(&expr)?;
    Some((expr, root))
}

/// Returns an argument's name, made raw if it is a keyword.
pub(crate) fn raw_if_keyword(name: Ident) -> Ident {
    let text = name.to_string();
    let is_word = ["self", "Self", "super", "crate", "_"].contains(&text.as_str());
    match is_word || syn::parse_str::<Ident>(&text).is_ok() {
        true => name,
        false => Ident::new_raw(&text, name.span()),
    }
}

fn root(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Path(path) => path.path.get_ident().cloned(),
        Expr::Field(ExprField { base, .. }) => root(base),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        Template::parse(LitStr::new(text, Span::call_site()))
            .map(|template| {
                let show = |piece: &Piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Field { name, root, .. } => format!("<{root}|{name}>"),
                };
                template.pieces.iter().map(show).collect()
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_template_is_text_and_placeholders() {
        let pieces = |all: &[&str]| Ok(all.iter().map(ToString::to_string).collect());
        assert_eq!(parse("products"), pieces(&["products"]));
        assert_eq!(parse("item:{id}"), pieces(&["item:", "<id|id>"]));
        assert_eq!(parse("{a}:{b.c.0}"), pieces(&["<a|a>", ":", "<b|b.c.0>"]));
        assert_eq!(
            parse("{type}:{user.type}"),
            pieces(&["<r#type|type>", ":", "<user|user.type>"])
        );
        assert_eq!(parse("{self.tenant}"), pieces(&["<self|self.tenant>"]));
        assert_eq!(parse("{{{id}}}"), pieces(&["{", "<id|id>", "}"]));
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said() {
        for (text, message) in [
            ("", "the key is empty"),
            ("{a}{b}", "nothing separates `{b}`"),
            ("{a", "not closed"),
            ("a}", "closes no placeholder"),
            ("{}", "`{}` is no placeholder"),
            ("{a + b}", "`{a + b}` is no placeholder"),
            ("{a}-{b}", "`-` may stand in an argument"),
            ("{a}:{b} {c}", "does not separate `{c}`"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_colon_separates_and_a_tag_need_not() {
        for text in ["{a}:{b}", "{a}/b:{b}", "x-{a}-x"] {
            assert!(parse(text).is_ok(), "{text}");
        }
        // Two calls with the same tag are invalidated together, but have separate entries.
        assert!(Template::parse_tag(LitStr::new("{a}-{b}", Span::call_site())).is_ok());
    }
}
