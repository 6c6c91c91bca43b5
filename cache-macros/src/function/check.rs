mod values;

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Error, FnArg, GenericArgument, PathArguments, Type};

use super::boxed::output_of;
use super::{Argument, Function};
use crate::args::Args;
use crate::template::Template;
use crate::tokens::{is_borrowed, mentions, mentions_impl, shown};

impl Function {
    /// Returns the errors in the function, and in the options in the context of the function.
    pub(crate) fn check(&self, args: &Args, arguments: &[Argument]) -> Vec<Error> {
        let mut check = Check {
            function: self,
            args,
            arguments,
            errors: Vec::new(),
        };
        check.signature();
        check.attributes();
        check.value();
        check.key();
        check.ownership();
        check.skipped();
        check.secrets();
        check.templates();
        check.receiver();
        check.errors
    }
}

struct Check<'a> {
    function: &'a Function,
    args: &'a Args,
    arguments: &'a [Argument],
    errors: Vec<Error>,
}

impl Check<'_> {
    fn fail(&mut self, at: impl ToTokens, message: impl Into<String>) {
        let message: String = message.into();
        self.errors.push(Error::new_spanned(at, message));
    }

    fn signature(&mut self) {
        let function = self.function;
        if self.args.ttl.is_none() {
            self.fail(
                &function.sig.ident,
                "how long may a value live? give `#[cached(ttl = 60)]` in seconds, or `ttl = \"1h 30m\"`",
            );
        }
        if let Some(constness) = &function.sig.constness {
            self.fail(constness, "a `const fn` can't use a cache: remove `const`");
        }
        let returns = function.returns();
        if let Some(output) = future_output(&returns) {
            let output = output.to_token_stream().to_string().replace(' ', "");
            self.fail(
                &returns,
                format!(
                    "a future can't be stored, what it gives can: write `async fn {}(…) -> {output}`",
                    function.sig.ident
                ),
            );
        } else if mentions_impl(&returns) {
            self.fail(
                &returns,
                "an `impl Trait` can't be stored: name the type that is returned",
            );
        }
        if let Some(borrowed) = borrowed_value(&returns, self.args.err_ttl.is_some()) {
            self.fail(
                borrowed,
                "what is stored outlives the call, so it can't borrow: return a `String` in place of `&str`, a `Vec<T>` in place of `&[T]`, a `T` in place of `&T`",
            );
        }
        if let Some(variadic) = &function.sig.variadic {
            self.fail(variadic, "variadic arguments can't be part of a key");
        }
        let attributes = function.sig.inputs.iter().flat_map(|input| match input {
            FnArg::Receiver(receiver) => &receiver.attrs,
            FnArg::Typed(typed) => &typed.attrs,
        });
        for attribute in attributes.filter(|attribute| attribute.path().is_ident("cfg")) {
            self.fail(
                attribute,
                "whether an argument is there can't be part of a key: put the `cfg` on two functions",
            );
        }
    }

    /// A background refresh outlives the call, so its arguments must be owned.
    fn ownership(&mut self) {
        let Some((option, _)) = self.args.goes_on() else {
            return;
        };
        let borrowed = self.function.sig.inputs.iter().filter(|input| match input {
            FnArg::Receiver(receiver) => is_borrowed(receiver.to_token_stream()),
            FnArg::Typed(typed) => is_borrowed(typed.ty.to_token_stream()),
        });
        for input in borrowed {
            self.fail(
                input,
                format!(
                    "with `{option}` the computation may go on after its caller has returned, so it must own its arguments: take a `String` in place of `&str`, an `Arc<Self>` in place of `&self`"
                ),
            );
        }
    }

    fn skipped(&mut self) {
        for name in &self.args.skip {
            if !self.knows(name) {
                let there = self.names(name);
                self.fail(
                    name,
                    format!("there is no argument `{name}` to skip: {there}"),
                );
            }
        }
    }

    fn secrets(&mut self) {
        let args = self.args;
        for name in &args.secret {
            if !self.knows(name) {
                let there = self.names(name);
                self.fail(
                    name,
                    format!("there is no argument `{name}` to keep secret: {there}"),
                );
                continue;
            }
            if args.skip.contains(name) {
                self.fail(
                    name,
                    format!(
                        "`{name}` is skipped, so nothing of it enters the key: remove `secret`"
                    ),
                );
            }
            match &args.key {
                Some(key) if !key.fields().any(|(_, root)| root == name) => self.fail(
                    name,
                    format!(
                        "`{name}` is not in `key`, so nothing of it enters the key: write `{{{name}}}` into it, or remove `secret`"
                    ),
                ),
                None if name == "self" => self.fail(
                    name,
                    "of `self` only what `key` names enters the key: write it there, as in `key = \"{self.token}\"`",
                ),
                _ => {}
            }
        }
    }

    fn templates(&mut self) {
        let args = self.args;
        for (_, root) in args.key.iter().flat_map(Template::fields) {
            self.expect(root);
        }
        for (expr, root) in args.tags.iter().flat_map(Template::fields) {
            if !self.expect(root) {
                continue;
            }
            if args.secret.contains(root) {
                self.fail(
                    root,
                    format!(
                        "a tag is stored as it is, and `{root}` is secret: leave it out of the tag"
                    ),
                );
            } else if !args.is_keyed(expr, root) {
                let text = expr.to_token_stream().to_string().replace(' ', "");
                self.fail(
                    root,
                    format!(
                        "`{text}` is not part of the key, so calls with different tags would share an entry: make it part of the key, or take it out of the tag"
                    ),
                );
            }
        }
    }

    /// Requires a decision about `self`, which is never left out of the key silently.
    fn receiver(&mut self) {
        let (function, args) = (self.function, self.args);
        let says = |expr: &dyn ToTokens| mentions(expr.to_token_stream(), "self");
        let decided = args.key.is_some()
            || args.skip.iter().any(|name| name == "self")
            || args.with.iter().any(|expr| says(expr));
        if let (Some(receiver), false) = (function.sig.receiver(), decided) {
            self.fail(
                receiver,
                "is `self` part of the key? say `skip(self)` if calls on different values may share entries, else name what tells them apart, as in `with(self.tenant)` or `key = \"{self.tenant}:{id}\"`",
            );
        }
    }

    /// Returns `true` if there is an argument of this name; reports an error if not.
    fn expect(&mut self, name: &Ident) -> bool {
        let known = self.knows(name);
        if !known {
            let there = self.names(name);
            self.fail(name, format!("there is no argument `{name}`: {there}"));
        }
        known
    }

    fn knows(&self, name: &Ident) -> bool {
        let mut arguments = self.arguments.iter();
        arguments.any(|argument| argument.is_called(name))
            || name == "self" && self.function.has_receiver()
    }

    /// Lists the known names, for the message about an unknown one.
    fn names(&self, unknown: &Ident) -> String {
        let unknown = unknown.to_string();
        if unknown == "_" {
            return "give the argument a name, as in `_db`".into();
        }
        let mut patterns = self.arguments.iter().filter_map(|of| of.pattern.as_ref());
        if let Some(whole) = patterns.find(|of| mentions(of.to_token_stream(), &unknown)) {
            let whole = shown(whole);
            return format!(
                "`{unknown}` is a part of `{whole}`: give the whole a name, and take it apart in the body"
            );
        }
        let named = self.arguments.iter();
        let named = named.map(|argument| format!("`{}`", argument.label()));
        let receiver = self.function.has_receiver().then(|| "`self`".to_owned());
        let names: Vec<String> = receiver.into_iter().chain(named).collect();
        match names.len() {
            0 => "the function has no arguments".into(),
            _ => format!("there are {}", names.join(", ")),
        }
    }
}

/// Returns `T` of `impl Future<Output = T>`.
fn future_output(ty: &Type) -> Option<&Type> {
    match ty {
        Type::ImplTrait(future) => output_of(&future.bounds),
        Type::Group(group) => future_output(&group.elem),
        Type::Paren(paren) => future_output(&paren.elem),
        _ => None,
    }
}

/// Returns the borrowed part of the stored value, as far as tokens show.
fn borrowed_value(ty: &Type, with_errors: bool) -> Option<&Type> {
    let within = |ty| borrowed_value(ty, with_errors);
    match ty {
        Type::Reference(_) => Some(ty),
        Type::Group(group) => within(&group.elem),
        Type::Paren(paren) => within(&paren.elem),
        Type::Array(array) => within(&array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().find_map(within),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else {
                return None;
            };
            let mut types = arguments.args.iter().filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            });
            let borrows = |argument: &GenericArgument| matches!(argument, GenericArgument::Lifetime(of) if of.ident != "static");
            match last.ident.to_string().as_str() {
                "Cow" => arguments.args.iter().any(borrows).then_some(ty),
                "Result" if !with_errors => within(types.next()?),
                "Result" | "Option" | "Arc" | "Box" | "Vec" => types.find_map(within),
                _ => None,
            }
        }
        _ => None,
    }
}
