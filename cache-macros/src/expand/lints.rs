//! Attributes of the function that also apply to generated functions.
//!
//! Generated code never allows a lint, because that is an error if the user forbids the lint. It
//! uses spans in which lints report nothing instead.
//! places of its own in place of that, where lints have nothing to say.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Path, Token};

/// Returns the part of a function's attribute that its entry handle gets as well.
pub(super) fn inherited(attribute: &Attribute) -> Option<TokenStream> {
    let meta = inherited_meta(&attribute.meta)?;
    Some(quote!(#[#meta]))
}

fn inherited_meta(meta: &Meta) -> Option<TokenStream> {
    let is = |names: &[&str]| names.iter().any(|name| meta.path().is_ident(name));
    if is(&["cfg", "warn", "deny", "deprecated"]) {
        return Some(meta.to_token_stream());
    }
    if is(&["doc"]) {
        return is_hidden(meta).then(|| meta.to_token_stream());
    }
    if is(&["allow", "expect"]) {
        return allowed(meta);
    }
    if is(&["cfg_attr"]) {
        return conditional(meta);
    }
    None
}

fn is_hidden(meta: &Meta) -> bool {
    matches!(meta, Meta::List(list) if list.tokens.to_string() == "hidden")
}

/// Returns the lints that the function allows or expects, as `allow` for its entry handle.
/// `dead_code` is left out: an allowed entry handle that is unused would keep what it calls alive.
fn allowed(meta: &Meta) -> Option<TokenStream> {
    let list = meta.require_list().ok()?;
    let lints = Punctuated::<Meta, Token![,]>::parse_terminated;
    let lints = lints.parse2(list.tokens.clone()).ok()?;
    let of_use = |path: &Path| {
        ["dead_code", "unused"]
            .iter()
            .any(|name| path.is_ident(name))
    };
    let lints: Vec<_> = lints
        .into_iter()
        .filter(|lint| matches!(lint, Meta::Path(path) if !of_use(path)))
        .collect();
    (!lints.is_empty()).then(|| quote!(allow(#(#lints),*)))
}

/// Returns `cfg_attr(condition, …)` with the attributes that are inherited.
fn conditional(meta: &Meta) -> Option<TokenStream> {
    let list = meta.require_list().ok()?;
    let all = Punctuated::<Meta, Token![,]>::parse_terminated;
    let mut all = all.parse2(list.tokens.clone()).ok()?.into_iter();
    let condition = all.next()?;
    let inherited: Vec<_> = all.filter_map(|meta| inherited_meta(&meta)).collect();
    (!inherited.is_empty()).then(|| quote!(cfg_attr(#condition, #(#inherited),*)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attributes: &str) -> Vec<String> {
        let parse = Attribute::parse_outer.parse_str(attributes);
        let attributes = parse.expect("attributes");
        let inherited = attributes.iter().filter_map(inherited);
        inherited
            .map(|tokens| tokens.to_string().replace(' ', ""))
            .collect()
    }

    #[test]
    fn what_holds_for_a_function_holds_for_its_companion() {
        for (attributes, inherited) in [
            ("#[cfg(unix)]", "#[cfg(unix)]"),
            ("#[deprecated = \"old\"]", "#[deprecated=\"old\"]"),
            ("#[doc(hidden)]", "#[doc(hidden)]"),
            ("#[deny(clippy::all)]", "#[deny(clippy::all)]"),
            ("#[allow(unused_mut)]", "#[allow(unused_mut)]"),
            (
                "#[expect(unused_mut, reason = \"x\")]",
                "#[allow(unused_mut)]",
            ),
            (
                "#[cfg_attr(unix, inline, doc(hidden))]",
                "#[cfg_attr(unix,doc(hidden))]",
            ),
        ] {
            assert_eq!(of(attributes), [inherited], "{attributes}");
        }
        for attributes in [
            "/// Documented.",
            "#[inline]",
            "#[must_use]",
            "#[expect(dead_code)]",
            "#[allow(dead_code, unused)]",
            "#[forbid(unsafe_code)]",
            "#[cfg_attr(unix, inline)]",
            "#[track_caller]",
        ] {
            assert_eq!(of(attributes), Vec::<String>::new(), "{attributes}");
        }
    }
}
