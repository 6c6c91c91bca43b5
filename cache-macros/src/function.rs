use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{
    AttrStyle, Attribute, Error, Expr, FnArg, GenericArgument, GenericParam, Pat, Path,
    PathArguments, ReturnType, Signature, Type, TypeParamBound, Visibility, parse_quote,
};

use crate::args::{Args, Entry};
use crate::template::Template;

/// The annotated function: its signature parsed, its body carried as it is.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    body: Group,
}

/// A parameter as the key and the companion know it.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// The pattern that stood there, where the name is ours.
    pattern: Option<Pat>,
    pub(crate) ty: Type,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let Ok(sig) = input.parse::<Signature>() else {
            return Err(input.error("this attribute goes on a function"));
        };
        match input.parse()? {
            TokenTree::Group(body) if input.is_empty() => {
                let (inner, body) = without_attributes(block(body))?;
                attrs.extend(inner);
                Ok(Self {
                    attrs,
                    vis,
                    sig,
                    body,
                })
            }
            _ => Err(Error::new(
                sig.span(),
                "there is no body: put the attribute on the function that has one",
            )),
        }
    }
}

impl Function {
    /// Gives each parameter a name of its own; patterns move into the body.
    pub(crate) fn name_parameters(&mut self) -> Vec<Argument> {
        let mut arguments = Vec::new();
        let mut lets = TokenStream::new();
        for (place, input) in self.sig.inputs.iter_mut().enumerate() {
            let FnArg::Typed(typed) = input else { continue };
            let (name, pattern) = match &*typed.pat {
                Pat::Ident(ident) if ident.by_ref.is_none() && ident.subpat.is_none() => {
                    (ident.ident.clone(), None)
                }
                pattern => {
                    let name = format_ident!("__recached_argument_{place}", span = pattern.span());
                    lets.extend(quote!(let #pattern = #name;));
                    let pattern = pattern.clone();
                    *typed.pat = parse_quote!(#name);
                    (name, Some(pattern))
                }
            };
            let ty = (*typed.ty).clone();
            arguments.push(Argument { name, pattern, ty });
        }
        if !lets.is_empty() {
            let body = &self.body;
            let mut with_lets = Group::new(Delimiter::Brace, quote!(#lets #body));
            with_lets.set_span(self.body.span());
            self.body = with_lets;
        }
        arguments
    }

    /// Whether its value comes from a future, its own or a boxed one.
    pub(crate) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some() || self.is_boxed()
    }

    /// Whether it is a plain function that gives a boxed future, as `#[async_trait]` makes them.
    pub(crate) fn is_boxed(&self) -> bool {
        self.sig.asyncness.is_none() && boxed_output(&self.sig.output).is_some()
    }

    /// What it returns, or what its boxed future gives; `()` where it says nothing.
    pub(crate) fn returns(&self) -> Type {
        match &self.sig.output {
            ReturnType::Default => parse_quote!(()),
            output if self.is_boxed() => boxed_output(output).unwrap_or_else(|| parse_quote!(())),
            ReturnType::Type(_, ty) => (**ty).clone(),
        }
    }

    /// The body as what computes: a future or a closure.
    pub(crate) fn compute(&self) -> TokenStream {
        let (body, output) = (&self.body, &self.sig.output);
        if self.sig.asyncness.is_some() {
            let (type_of_return, body) = (self.type_of_return(), body.stream());
            return quote!(async move { #type_of_return #body });
        }
        if !self.is_boxed() {
            let returns = self.returns();
            return quote!(move || -> #returns #body);
        }
        match pinned(body) {
            Some(future) => future,
            None => quote!(async move { (move || #output #body)().await }),
        }
    }

    /// Never returns, and says of what type a return is: the block of a future can't be annotated,
    /// and what is returned may need to be made into that type, as a `Box<dyn Error>` does.
    fn type_of_return(&self) -> TokenStream {
        let ReturnType::Type(_, ty) = &self.sig.output else {
            return TokenStream::new();
        };
        if mentions_impl(ty) || matches!(**ty, Type::Never(_)) {
            return TokenStream::new();
        }
        let there = Span::mixed_site().located_at(ty.span());
        quote_spanned! {there=>
            if let ::core::option::Option::Some(returned) = ::core::option::Option::None::<#ty> {
                return returned;
            }
        }
    }

    /// The body as it is.
    pub(crate) fn body(&self) -> &Group {
        &self.body
    }

    pub(crate) fn has_receiver(&self) -> bool {
        self.sig.receiver().is_some()
    }

    /// As far as can be seen from here.
    pub(crate) fn is_associated(&self, entry: &Entry) -> bool {
        self.has_receiver()
            || matches!(
                entry,
                Entry::Named {
                    associated: true,
                    ..
                }
            )
            || mentions(self.sig.to_token_stream(), "Self")
            || mentions(self.body.stream(), "Self")
    }

    /// The names of its type and const parameters.
    pub(crate) fn parameters(&self) -> Vec<Ident> {
        let name = |parameter: &GenericParam| match parameter {
            GenericParam::Type(ty) => Some(ty.ident.clone()),
            GenericParam::Const(value) => Some(value.ident.clone()),
            GenericParam::Lifetime(_) => None,
        };
        self.sig.generics.params.iter().filter_map(name).collect()
    }

    /// Values of the types of its const parameters, by their names.
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

    /// What is wrong with the function, or with its options in the light of it.
    pub(crate) fn check(&self, args: &Args, arguments: &[Argument]) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut fail = |at: &dyn ToTokens, message: String| {
            errors.push(Error::new_spanned(at, message));
        };
        if args.ttl.is_none() {
            fail(
                &self.sig.ident,
                "how long may a value live? give `#[cached(ttl = 60)]` in seconds, or `ttl = \"1h 30m\"`".into(),
            );
        }
        if let Some(constness) = &self.sig.constness {
            fail(
                &constness,
                "a `const fn` can't use a cache: remove `const`".into(),
            );
        }
        if mentions_impl(&self.returns()) {
            fail(
                &self.returns(),
                "an `impl Trait` can't be stored: name the type that is returned".into(),
            );
        }
        if let Some(borrowed) = borrowed_value(&self.returns(), args.err_ttl.is_some()) {
            fail(
                borrowed,
                "what is stored outlives the call, so it can't borrow: return a `String` in place of `&str`, a `Vec<T>` in place of `&[T]`, a `T` in place of `&T`".into(),
            );
        }
        if let Some(variadic) = &self.sig.variadic {
            fail(
                &variadic,
                "variadic arguments can't be part of a key".into(),
            );
        }
        let conditional = self.sig.inputs.iter().flat_map(|input| match input {
            FnArg::Receiver(receiver) => &receiver.attrs,
            FnArg::Typed(typed) => &typed.attrs,
        });
        for attribute in conditional.filter(|attribute| attribute.path().is_ident("cfg")) {
            fail(
                &attribute,
                "whether an argument is there can't be part of a key: put the `cfg` on two functions".into(),
            );
        }
        let known = |name: &Ident| {
            let mut named = arguments
                .iter()
                .filter(|argument| argument.pattern.is_none());
            named.any(|argument| argument.name == *name) || name == "self" && self.has_receiver()
        };
        // What there is in place of an unknown name.
        let names = |unknown: &Ident| {
            let patterns = || {
                arguments
                    .iter()
                    .filter_map(|argument| argument.pattern.as_ref())
            };
            let unknown = unknown.to_string();
            if let Some(whole) = patterns().find(|of| mentions(of.to_token_stream(), &unknown)) {
                let whole = shown(whole);
                return format!(
                    "`{unknown}` is a part of `{whole}`: give the whole a name, and take it apart in the body"
                );
            }
            let named = arguments.iter().map(|argument| match &argument.pattern {
                None => format!("`{}`", argument.name),
                Some(pattern) => format!("`{}`", shown(pattern)),
            });
            let receiver = self.has_receiver().then(|| "`self`".to_owned());
            let names: Vec<String> = receiver.into_iter().chain(named).collect();
            match names.len() {
                0 => "the function has no arguments".into(),
                _ => format!("there are {}", names.join(", ")),
            }
        };
        if let Some((option, _)) = args.goes_on() {
            let borrowed = self.sig.inputs.iter().filter(|input| match input {
                FnArg::Receiver(receiver) => is_borrowed(receiver.to_token_stream()),
                FnArg::Typed(typed) => is_borrowed(typed.ty.to_token_stream()),
            });
            for input in borrowed {
                fail(
                    &input,
                    format!(
                        "with `{option}` the computation may go on after its caller has returned, so it must own its arguments: take a `String` in place of `&str`, an `Arc<Self>` in place of `&self`"
                    ),
                );
            }
        }
        for skipped in args.skip.iter().filter(|name| !known(name)) {
            fail(
                &skipped,
                format!(
                    "there is no argument `{skipped}` to skip: {}",
                    names(skipped)
                ),
            );
        }
        for secret in args.secret.iter().filter(|name| !known(name)) {
            fail(
                &secret,
                format!(
                    "there is no argument `{secret}` to keep secret: {}",
                    names(secret)
                ),
            );
        }
        for secret in args.secret.iter().filter(|name| args.skip.contains(name)) {
            fail(
                &secret,
                format!("`{secret}` is skipped, so nothing of it enters the key: remove `secret`"),
            );
        }
        if let Some(key) = &args.key {
            let left_out = |name: &&Ident| !key.fields().any(|(_, root)| root == *name);
            for secret in args
                .secret
                .iter()
                .filter(|name| known(name))
                .filter(left_out)
            {
                fail(
                    &secret,
                    format!(
                        "`{secret}` is not in `key`, so nothing of it enters the key: write `{{{secret}}}` into it, or remove `secret`"
                    ),
                );
            }
        } else if let Some(this) = args.secret.iter().find(|name| *name == "self") {
            fail(
                &this,
                "of `self` only what `key` names enters the key: write it there, as in `key = \"{self.token}\"`".into(),
            );
        }
        let in_key = args.key.iter().flat_map(Template::fields);
        for (_, root) in in_key.filter(|(_, root)| !known(root)) {
            fail(
                &root,
                format!("there is no argument `{root}`: {}", names(root)),
            );
        }
        for (expr, root) in args.tags.iter().flat_map(Template::fields) {
            if !known(root) {
                fail(
                    &root,
                    format!("there is no argument `{root}`: {}", names(root)),
                );
            } else if args.secret.contains(root) {
                fail(
                    &root,
                    format!(
                        "a tag is stored as it is, and `{root}` is secret: leave it out of the tag"
                    ),
                );
            } else if !args.is_keyed(expr, root) {
                let text = expr.to_token_stream().to_string().replace(' ', "");
                fail(
                    &root,
                    format!(
                        "`{text}` is not part of the key, so calls with different tags would share an entry: make it part of the key, or take it out of the tag"
                    ),
                );
            }
        }
        if let Some(receiver) = self.sig.receiver() {
            let decided = args.key.is_some()
                || args.skip.iter().any(|name| name == "self")
                || args
                    .with
                    .iter()
                    .any(|expr| mentions(expr.to_token_stream(), "self"));
            if !decided {
                fail(
                    &receiver,
                    "is `self` part of the key? say `skip(self)` if calls on different values may share entries, else name what tells them apart, as in `with(self.tenant)` or `key = \"{self.tenant}:{id}\"`".into(),
                );
            }
        }
        errors
    }
}

/// The block that a `macro_rules` fragment stands for.
fn block(body: Group) -> Group {
    if body.delimiter() == Delimiter::None
        && let Some(TokenTree::Group(inner)) = body.stream().into_iter().next()
    {
        return block(inner);
    }
    body
}

/// A body, and the attributes that stood first in it, to stand before the function.
fn without_attributes(body: Group) -> syn::Result<(Vec<Attribute>, Group)> {
    let first: Vec<TokenTree> = body.stream().into_iter().take(2).collect();
    let is = |token: &TokenTree, char| matches!(token, TokenTree::Punct(punct) if punct.as_char() == char);
    if !matches!(first.as_slice(), [hash, bang] if is(hash, '#') && is(bang, '!')) {
        return Ok((Vec::new(), body));
    }
    let parse = |input: ParseStream<'_>| {
        let attrs = input.call(Attribute::parse_inner)?;
        Ok((attrs, input.parse::<TokenStream>()?))
    };
    let (mut attrs, rest) = parse.parse2(body.stream())?;
    for attribute in &mut attrs {
        attribute.style = AttrStyle::Outer;
    }
    let mut without = Group::new(Delimiter::Brace, rest);
    without.set_span(body.span());
    Ok((attrs, without))
}

/// `T` of `Pin<Box<dyn Future<Output = T> + …>>`, or of the `BoxFuture<'_, T>` that stands for it.
fn boxed_output(output: &ReturnType) -> Option<Type> {
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
    object.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let last = bound.path.segments.last()?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return None;
        };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(of) if last.ident == "Future" && of.ident == "Output" => {
                Some(of.ty.clone())
            }
            _ => None,
        })
    })
}

/// `T` of `Head<T>` or `Head<'_, T>`, by whatever path.
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

/// What borrows in the value that would be stored, as far as can be seen.
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

/// The future in a body that does nothing but box it.
fn pinned(body: &Group) -> Option<TokenStream> {
    let mut tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let TokenTree::Group(future) = tokens.pop()? else {
        return None;
    };
    let path: Path = syn::parse2(tokens.into_iter().collect()).ok()?;
    let ends = path.segments.iter().rev().map(|segment| &segment.ident);
    let boxes = ends.take(2).eq(["pin", "Box"]);
    (boxes && future.delimiter() == Delimiter::Parenthesis).then(|| future.stream())
}

pub(crate) fn mentions_impl(ty: &Type) -> bool {
    mentions(ty.to_token_stream(), "impl")
}

/// As far as can be seen: a reference, or a lifetime other than `'static`.
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

/// A pattern as one would write it.
fn shown(pattern: &Pat) -> String {
    let text = pattern.to_token_stream().to_string();
    let text = text.replace("( ", "(").replace(" (", "(");
    text.replace(" )", ")").replace(" ,", ",")
}

fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}
