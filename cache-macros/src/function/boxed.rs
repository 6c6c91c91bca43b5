//! Functions that return a boxed future, as `#[async_trait]` generates them.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::{GenericArgument, Path, PathArguments, ReturnType, Token, Type, TypeParamBound};

/// Returns `T` of `Pin<Box<dyn Future<Output = T> + …>>`, or of its alias `BoxFuture<'_, T>`.
pub(super) fn boxed_output(output: &ReturnType) -> Option<Type> {
    let ReturnType::Type(_, pin) = output else {
        return None;
    };
    let alias = ["BoxFuture", "LocalBoxFuture"].iter();
    if let Some(ty) = alias.filter_map(|name| only_argument(pin, name)).next() {
        return Some(ty.clone());
    }
    let Type::TraitObject(object) = only_argument(only_argument(pin, "Pin")?, "Box")? else {
        return None;
    };
    output_of(&object.bounds).cloned()
}

/// Returns `T` of a `Future<Output = T>` among the bounds.
pub(super) fn output_of(bounds: &Punctuated<TypeParamBound, Token![+]>) -> Option<&Type> {
    bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let last = bound.path.segments.last()?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return None;
        };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(of) if last.ident == "Future" && of.ident == "Output" => {
                Some(&of.ty)
            }
            _ => None,
        })
    })
}

/// Returns `T` of `Head<T>` or `Head<'_, T>`, with any path.
fn only_argument<'a>(ty: &'a Type, head: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if last.ident == head => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Returns the future in a body that only boxes it.
pub(super) fn pinned(body: &Group) -> Option<TokenStream> {
    let mut tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let TokenTree::Group(future) = tokens.pop()? else {
        return None;
    };
    let path: Path = syn::parse2(tokens.into_iter().collect()).ok()?;
    let ends = path.segments.iter().rev().map(|segment| &segment.ident);
    let boxes = ends.take(2).eq(["pin", "Box"]);
    (boxes && future.delimiter() == Delimiter::Parenthesis).then(|| future.stream())
}
