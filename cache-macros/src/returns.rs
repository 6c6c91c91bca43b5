//! The return type, reduced to a type of the same kind.
//!
//! A const generic argument may not mention generic parameters, so they are replaced: only the
//! heads `Result`, `Option` and `Arc` and their aliases matter.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Expr, GenericArgument, PathArguments, Stmt, Type, parse_quote};

/// Names that a const can't mention.
pub(crate) struct Scope {
    /// The function's own type and const parameters.
    pub(crate) parameters: Vec<String>,
    /// The type parameters with bounds that `()` may not satisfy.
    pub(crate) bounded: Vec<String>,
    /// The const parameters, each with a value of its type.
    pub(crate) constants: Vec<(String, Expr)>,
    /// `true` if the function is in an `impl`, whose parameters are not visible here.
    pub(crate) in_impl: bool,
}

/// A type of the same kind as another.
pub(crate) struct Reduced {
    pub(crate) ty: Type,
    /// `true` if the kinds are equal only if the other type is no alias of `Result`, which the
    /// compiler must check.
    pub(crate) assumed: bool,
}

/// Heads; the names of their aliases end in them.
const HEADS: [&str; 3] = ["Result", "Option", "Arc"];

/// Containers, whose kind does not depend on their content.
const CONTAINERS: [&str; 9] = [
    "Vec",
    "Box",
    "VecDeque",
    "LinkedList",
    "HashMap",
    "BTreeMap",
    "HashSet",
    "BTreeSet",
    "IndexMap",
];

impl Scope {
    /// Returns a type of the same kind that mentions nothing of the scope.
    pub(crate) fn reduce(&self, returns: &Type) -> Reduced {
        let known = |ty| Reduced { ty, assumed: false };
        if !self.in_impl && !self.mentions(returns.to_token_stream()) {
            return known(returns.clone());
        }
        if self.may_ask(returns) {
            let (ty, assumed) = (parse_quote!(()), true);
            return Reduced { ty, assumed };
        }
        known(self.reduce_head(returns, true))
    }

    /// Returns `true` if the type may have bounds on its arguments that a replacement does not
    /// satisfy: `struct Page<T: Row>`, `struct Matrix<const SIZE: usize>`.
    fn may_ask(&self, ty: &Type) -> bool {
        let path = match ty {
            Type::Path(path) => path,
            Type::Group(group) => return self.may_ask(&group.elem),
            Type::Paren(paren) => return self.may_ask(&paren.elem),
            _ => return false,
        };
        let Some(last) = path.path.segments.last() else {
            return false;
        };
        let name = last.ident.to_string();
        let foreseen = HEADS.iter().chain(&CONTAINERS);
        !foreseen.into_iter().any(|head| name.ends_with(head))
            && words(last.arguments.to_token_stream()).any(|word| {
                word == "Self"
                    || self.bounded.contains(&word)
                    || self.in_impl && is_parameter_like(&word) && !self.parameters.contains(&word)
            })
    }

    fn reduce_head(&self, ty: &Type, outermost: bool) -> Type {
        let unit = || parse_quote!(());
        let path = match ty {
            Type::Path(path) => path,
            // Unsized, as only the content of an `Arc` is.
            Type::Slice(_) => return parse_quote!([()]),
            // A `macro_rules` fragment.
            Type::Group(group) => return self.reduce_head(&group.elem, outermost),
            Type::Paren(paren) => return self.reduce_head(&paren.elem, outermost),
            _ => return unit(),
        };
        let mut path = path.clone();
        let Some(last) = path.path.segments.last_mut() else {
            return unit();
        };
        let name = last.ident.to_string();
        if let PathArguments::AngleBracketed(arguments) = &mut last.arguments {
            let ends = |heads: &[&str]| heads.iter().any(|head| name.ends_with(head));
            // Aliases count only for the outermost type, where the compiler resolves them.
            let is_head = match outermost {
                true => ends(&HEADS),
                false => HEADS.contains(&name.as_str()),
            };
            if !is_head && (!outermost || ends(&CONTAINERS)) {
                return unit();
            }
            // `DateTime<Utc>` does not accept `()` in the place of `Utc`.
            if !is_head && !self.mentions(ty.to_token_stream()) {
                return ty.clone();
            }
            for argument in &mut arguments.args {
                if let Some(value) = self.constant(argument) {
                    *argument = GenericArgument::Const(value);
                    continue;
                }
                match argument {
                    GenericArgument::Type(ty) => *ty = self.reduce_head(ty, false),
                    GenericArgument::Lifetime(lifetime) => *lifetime = parse_quote!('static),
                    GenericArgument::Const(value) => *value = parse_quote!(0),
                    _ => {}
                }
            }
            return Type::Path(path);
        }
        if matches!(name.as_str(), "str" | "Path") {
            return Type::Path(path);
        }
        if !outermost || self.mentions(path.to_token_stream()) {
            return unit();
        }
        Type::Path(path)
    }

    /// Returns a value that can replace a const parameter.
    fn constant(&self, argument: &GenericArgument) -> Option<Expr> {
        let name = match argument {
            GenericArgument::Type(Type::Path(path)) => path.path.get_ident()?.to_string(),
            GenericArgument::Const(Expr::Block(block)) => match block.block.stmts.as_slice() {
                [Stmt::Expr(Expr::Path(path), None)] => path.path.get_ident()?.to_string(),
                _ => return None,
            },
            _ => return None,
        };
        let mut constants = self.constants.iter();
        constants.find_map(|(of, value)| (*of == name).then(|| value.clone()))
    }

    fn mentions(&self, tokens: TokenStream) -> bool {
        let mut quote = false;
        tokens.into_iter().any(|token| match token {
            TokenTree::Group(group) => self.mentions(group.stream()),
            TokenTree::Ident(ident) => {
                let ident = ident.to_string();
                let lifetime = std::mem::take(&mut quote);
                if lifetime {
                    return ident != "static";
                }
                ident == "Self"
                    || self.parameters.contains(&ident)
                    || self.in_impl && is_parameter_like(&ident)
            }
            TokenTree::Punct(punct) => {
                quote = punct.as_char() == '\'';
                punct.as_char() == '&'
            }
            TokenTree::Literal(_) => false,
        })
    }
}

/// Returns `true` if a name looks like a parameter of an `impl`: `T`, `K1`, `SIZE`.
fn is_parameter_like(ident: &str) -> bool {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    ident.starts_with(|first: char| first.is_ascii_uppercase()) && ident.chars().all(plain)
}

/// Returns the identifiers in the tokens.
fn words(tokens: TokenStream) -> impl Iterator<Item = String> {
    let mut left: Vec<TokenTree> = tokens.into_iter().collect();
    std::iter::from_fn(move || {
        loop {
            match left.pop()? {
                TokenTree::Ident(ident) => return Some(ident.to_string()),
                TokenTree::Group(group) => left.extend(group.stream()),
                _ => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduce(ty: &str, parameters: &[&str], in_impl: bool) -> String {
        let scope = Scope {
            parameters: parameters.iter().map(ToString::to_string).collect(),
            bounded: vec!["B".into()],
            constants: vec![
                ("N".into(), parse_quote!(0)),
                ("ON".into(), parse_quote!(false)),
            ],
            in_impl,
        };
        let ty: Type = syn::parse_str(ty).expect("a type");
        let Reduced { ty, assumed } = scope.reduce(&ty);
        let text = ty.to_token_stream().to_string().replace(' ', "");
        match assumed {
            true => format!("assumed {text}"),
            false => text,
        }
    }

    #[test]
    fn a_type_without_parameters_stays_as_it_is() {
        assert_eq!(
            reduce("Result<User, Error>", &[], false),
            "Result<User,Error>"
        );
        assert_eq!(
            reduce("io::Result<Shared<User>>", &["T"], false),
            "io::Result<Shared<User>>"
        );
    }

    #[test]
    fn parameters_are_replaced_and_heads_are_kept() {
        let t = ["T"];
        assert_eq!(reduce("Result<Vec<T>, E>", &t, false), "Result<(),()>");
        assert_eq!(
            reduce("Result<Option<T>, E<'a>>", &t, false),
            "Result<Option<()>,()>"
        );
        assert_eq!(
            reduce("Option<std::sync::Arc<T>>", &t, false),
            "Option<std::sync::Arc<()>>"
        );
        assert_eq!(reduce("T", &t, false), "()");
        assert_eq!(reduce("T::Out", &t, false), "()");
        assert_eq!(reduce("Cow<'a, str>", &[], false), "Cow<'static,str>");
        assert_eq!(reduce("[T; 3]", &t, false), "()");
        assert_eq!(reduce("Arc<[T]>", &t, false), "Arc<[()]>");
        let n = ["N", "ON"];
        assert_eq!(reduce("Grid<N, ON>", &n, false), "Grid<0,false>");
        assert_eq!(reduce("Grid<{ N }, 3>", &n, false), "Grid<0,0>");
    }

    #[test]
    fn in_an_impl_what_may_be_a_parameter_is_replaced() {
        assert_eq!(reduce("Result<Item, E>", &[], true), "Result<(),()>");
        assert_eq!(reduce("Self", &[], true), "()");
        assert_eq!(reduce("T", &[], true), "()");
        assert_eq!(reduce("Outcome", &[], true), "Outcome");
        assert_eq!(reduce("Arc<Self>", &[], true), "Arc<()>");
        assert_eq!(reduce("Arc<str>", &[], true), "Arc<str>");
        assert_eq!(reduce("Arc<[Item]>", &[], true), "Arc<[()]>");
        assert_eq!(reduce("Vec<Item>", &[], true), "()");
        assert_eq!(reduce("io::Result<Item>", &[], true), "io::Result<()>");
        assert_eq!(reduce("Page<Item>", &[], true), "Page<Item>");
    }

    #[test]
    fn a_type_that_may_ask_something_of_a_parameter_is_taken_for_no_result() {
        assert_eq!(reduce("Page<T>", &["T"], false), "Page<()>");
        assert_eq!(reduce("Page<T, B>", &["T", "B"], false), "assumed ()");
        assert_eq!(reduce("a::Page<Vec<B>>", &["B"], false), "assumed ()");
        assert_eq!(reduce("AnyResult<B>", &["B"], false), "AnyResult<()>");
        assert_eq!(reduce("Page<T>", &[], true), "assumed ()");
        assert_eq!(reduce("Page<Self>", &[], true), "assumed ()");
        assert_eq!(reduce("Matrix<SIZE>", &[], true), "assumed ()");
        assert_eq!(reduce("heapless::Vec<u8, SIZE>", &[], true), "()");
        assert_eq!(reduce("Page<T>", &["T"], true), "Page<()>");
        assert_eq!(reduce("Result<Page<T>, E>", &[], true), "Result<(),()>");
    }

    #[test]
    fn a_type_that_may_ask_something_of_its_arguments_keeps_them() {
        assert_eq!(reduce("DateTime<Utc>", &[], true), "DateTime<Utc>");
        assert_eq!(reduce("NonZero<u32>", &[], true), "NonZero<u32>");
        assert_eq!(reduce("Option<NonZero<u32>>", &[], true), "Option<()>");
    }
}
