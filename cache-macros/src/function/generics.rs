use proc_macro2::Ident;
use quote::ToTokens;
use syn::{
    Expr, GenericParam, PredicateType, Type, TypeParam, TypeParamBound, WherePredicate, parse_quote,
};

use super::Function;
use crate::tokens::mentions;

impl Function {
    /// Returns the names of the type and const parameters.
    pub(crate) fn parameters(&self) -> Vec<Ident> {
        let name = |parameter: &GenericParam| match parameter {
            GenericParam::Type(ty) => Some(ty.ident.clone()),
            GenericParam::Const(value) => Some(value.ident.clone()),
            GenericParam::Lifetime(_) => None,
        };
        self.sig.generics.params.iter().filter_map(name).collect()
    }

    /// Returns the names of the type parameters with bounds that `()` may not satisfy.
    pub(crate) fn bounded(&self) -> Vec<String> {
        let generics = &self.sig.generics;
        let is_bounded = |parameter: &&TypeParam| {
            let clause = generics.where_clause.iter();
            let of_clause = clause.flat_map(|clause| &clause.predicates);
            let bounds = of_clause.filter_map(|predicate| match predicate {
                WherePredicate::Type(of) => Some(of),
                _ => None,
            });
            let own = |of: &&PredicateType| {
                let name = parameter.ident.to_string();
                mentions(of.bounded_ty.to_token_stream(), &name)
            };
            let bounds = bounds.filter(own).flat_map(|of| &of.bounds);
            !parameter.bounds.iter().chain(bounds).all(is_had_by_unit)
        };
        let bounded = generics.type_params().filter(is_bounded);
        bounded
            .map(|parameter| parameter.ident.to_string())
            .collect()
    }

    /// Returns the names of the const parameters, each with a value of its type.
    pub(crate) fn constants(&self) -> Vec<(String, Expr)> {
        let constants = self.sig.generics.const_params();
        let value = |ty: &Type| match ty.to_token_stream().to_string().as_str() {
            "bool" => parse_quote!(false),
            "char" => parse_quote!(' '),
            _ => parse_quote!(0),
        };
        constants
            .map(|of| (of.ident.to_string(), value(&of.ty)))
            .collect()
    }
}

/// Returns `true` if `()` satisfies the bound, as far as tokens show.
fn is_had_by_unit(bound: &TypeParamBound) -> bool {
    const HAD: [&str; 16] = [
        "Clone",
        "Copy",
        "Debug",
        "Default",
        "Deserialize",
        "DeserializeOwned",
        "Eq",
        "Hash",
        "Ord",
        "PartialEq",
        "PartialOrd",
        "Send",
        "Serialize",
        "Sized",
        "Storable",
        "Sync",
    ];
    match bound {
        TypeParamBound::Lifetime(_) => true,
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| {
            let name = last.ident.to_string();
            HAD.contains(&name.as_str())
        }),
        _ => false,
    }
}
