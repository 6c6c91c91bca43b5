//! Values and arguments that a cached function can't have, as far as tokens show them.

use proc_macro2::Ident;
use syn::{Error, Expr, ReturnType, Visibility};

use super::super::types::{is_dynamic, is_written_into, long_array, stored};
use super::Check;
use crate::args::Entry;

impl Check<'_> {
    /// Reports attributes that would have another meaning on the cached function.
    pub(super) fn attributes(&mut self) {
        let function = self.function;
        if let (true, Some(attribute)) = (function.is_tracked(), function.track_caller()) {
            let in_impl = function.is_associated(&self.args.entry)
                && matches!(function.vis, Visibility::Inherited)
                && matches!(self.args.entry, Entry::None);
            if let Some((option, _)) = self.args.goes_on() {
                self.fail(attribute, format!("with `{option}` the body may run beside its caller, whom it could not name: remove it, or take the location as an argument, with `skip(…)`"));
            } else if in_impl {
                self.fail(attribute, "the body would need a function beside this one, which the impl of a trait has no room for: remove it, or take the location as an argument, with `skip(…)`");
            }
        }
        for attribute in &function.attrs {
            let path = attribute.path();
            let named = path.segments.last().map(|last| &last.ident);
            if named.is_some_and(|name| name == "cached") {
                self.fail(
                    attribute,
                    "a function is cached once: put the options of both into one `#[cached(…)]`",
                );
            }
        }
    }

    /// Reports the parts of the value that can't be stored.
    pub(super) fn value(&mut self) {
        let function = self.function;
        if let ReturnType::Default = function.sig.output {
            self.fail(
                &function.sig.ident,
                "a function that returns nothing is called for what it does, and a cached one does nothing when it is called again: remove the attribute, or write `-> ()` if that is what you want",
            );
        }
        if let Some(there) = self.args.place("detached")
            && self.args.detached
            && !function.is_async()
        {
            let message = "a plain function can't be cancelled, so it needs nothing to go on: remove `detached`";
            self.errors.push(Error::new(there, message));
        }
        if self.args.local {
            // A local value is never encoded.
            return;
        }
        let returns = function.returns();
        for value in stored(&returns, self.args.err_ttl.is_some()) {
            if is_dynamic(value) {
                self.fail(
                    value,
                    "a `dyn` value can't be read again, as nobody knows its type: return the type itself, or an `enum` of those it may be",
                );
            }
            if let Some(array) = long_array(value) {
                self.fail(
                    array,
                    "serde knows arrays of up to 32 elements: return a `Vec`, or a type whose `Serialize` and `Deserialize` are your own",
                );
            }
        }
    }

    /// Reports arguments that the key would not distinguish.
    pub(super) fn key(&mut self) {
        let args = self.args;
        for argument in self.arguments {
            let named = |(expr, root): (&Expr, &Ident)| {
                matches!(expr, Expr::Path(_)) && argument.is_called(root)
            };
            let is_part = match &args.key {
                Some(key) => key.fields().any(named),
                None => !args.skip.iter().any(|name| argument.is_called(name)),
            };
            if !is_part {
                continue;
            }
            let (ty, label) = (&argument.ty, argument.label());
            if is_written_into(ty) {
                self.fail(
                    ty,
                    format!(
                        "a hit would leave `{label}` as it is: return what the function writes, or say `skip({label})` if nothing is lost by that"
                    ),
                );
            } else if is_dynamic(ty) {
                self.fail(
                    ty,
                    format!(
                        "values of different types behind a `dyn` may be written alike, and would share an entry: say `skip({label})`, and name what tells them apart in `with(…)`"
                    ),
                );
            } else if let Some(array) = long_array(ty) {
                self.fail(
                    array,
                    format!(
                        "serde knows arrays of up to 32 elements: take a slice, or say `skip({label})` and `with({label}.as_slice())`"
                    ),
                );
            }
        }
    }
}
