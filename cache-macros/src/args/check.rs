use proc_macro2::Span as Place;
use syn::spanned::Spanned;
use syn::{Error, Expr, Lit};

use super::Args;
use super::value::number;
use crate::duration::Span;

/// Maximum number of tags of one function: each is a generation that calls must read.
const MOST_TAGS: usize = 16;

impl Args {
    /// Adds the errors in the options alone, without the function.
    pub(super) fn check(&self, errors: &mut Vec<Error>) {
        let mut fail = |span: Place, message: &str| errors.push(Error::new(span, message));
        let nothing = "nothing would ever be stored: give at least 1 ms, or bypass the cache with `bypass_if = …`";
        let no_copy = "no copy would ever be kept: give at least 1 ms, or say `near = false`";
        let no_window = "nothing would ever be served from it: give at least 1 ms, or remove it";
        let no_time = "every computation would be too late: give at least 1 ms, or remove it";
        for (name, duration, fix) in [
            ("ttl", &self.ttl, nothing),
            ("none_ttl", &self.none_ttl, nothing),
            ("err_ttl", &self.err_ttl, nothing),
            ("near_ttl", &self.near_ttl, no_copy),
            (
                "stale_while_revalidate",
                &self.stale_while_revalidate,
                no_window,
            ),
            ("stale_if_error", &self.stale_if_error, no_window),
            ("soft_timeout", &self.soft_timeout, no_time),
        ] {
            if let Some((duration, span)) = duration.as_ref().and_then(Span::known)
                && duration.as_millis() == 0
            {
                fail(span, &format!("a `{name}` of zero: {fix}"));
            }
        }
        if let (Some(timeout), None) = (&self.soft_timeout, &self.stale_if_error) {
            fail(
                timeout.span(),
                "with no stale value to stand in, nothing can end at a `soft_timeout`: add `stale_if_error = …`",
            );
        }
        let goes_stale = self.stale_while_revalidate.is_some()
            || self.stale_if_error.is_some()
            || self.refresh_ahead.is_some();
        if let Some(pause) = &self.retry_after
            && !goes_stale
        {
            fail(
                pause.span(),
                "with no stale value to serve, nothing can wait for `retry_after`: add `stale_while_revalidate = …`, `stale_if_error = …` or `refresh_ahead`",
            );
        }
        if let (Some(Expr::Lit(near)), Some(_)) = (&self.near, &self.near_ttl)
            && matches!(&near.lit, Lit::Bool(near) if !near.value)
        {
            fail(
                near.span(),
                "`near = false` keeps no copy that could have a `near_ttl`: remove one of them",
            );
        }
        if self.local {
            for option in ["near", "near_ttl", "codec", "compress", "lease"] {
                if let Some(there) = self.place(option) {
                    fail(
                        there,
                        &format!(
                            "a `local` value is kept in this process only, and never written: `{option}` is of no effect, remove it"
                        ),
                    );
                }
            }
        }
        if let Some((lease, span)) = self.lease.as_ref().and_then(Span::known)
            && lease.as_millis() < 100
        {
            fail(
                span,
                "a lease below 100 ms ends before it can be renewed: give at least `\"100ms\"`",
            );
        }
        if let Some(jitter) = &self.jitter
            && number(jitter).is_some_and(|share| !(0.0..=1.0).contains(&share))
        {
            fail(
                jitter.span(),
                "jitter is a share of the lifetime: between 0.0 and 1.0",
            );
        }
        if let Some(tag) = self.tags.get(MOST_TAGS) {
            fail(
                tag.span,
                "a function has 16 tags at most: each costs its calls a look",
            );
        }
        if self.key.is_some() {
            if let Some(skipped) = self.skip.first() {
                fail(
                    skipped.span(),
                    "`key` says already what is part of the key: remove `skip`",
                );
            }
            if let Some(with) = self.with.first() {
                fail(
                    with.span(),
                    "`key` says already what is part of the key: put this into the template",
                );
            }
        }
    }
}
