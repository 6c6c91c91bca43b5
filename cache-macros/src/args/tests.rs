use super::*;

fn errors(options: &str) -> Vec<String> {
    let (_, errors) = Args::parse(options.parse().expect("tokens"));
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn good_options_are_taken() {
    for options in [
        "ttl = 60",
        "ttl = \"1h 30m\", jitter = 0.1, none_ttl = \"5s\",",
        "ttl = TTL, key = \"item:{id}\", version = 2, name = \"app.item\"",
        "ttl = Duration::from_secs(1), skip(db, self), with(self.tenant, 1 + 1)",
        "ttl = 1, bypass_if = a > b, refresh_if = !a, store_if = |value| value.len::<A, B>() > 0, lease = \"5s\", lease_wait = 10",
        "ttl = 1, cache = &self.cache, entry = other, crate = crate::deep::recached",
        "ttl = 1, ttl_with = |value| value.life(), err_ttl = \"1s\"",
        "ttl = 1, stale_while_revalidate = 5, stale_if_error = 60, soft_timeout = \"1s\"",
        "ttl = 1, refresh_ahead = true",
        "ttl = 1, refresh_ahead = 2",
        "ttl = 1, entry = false",
        "ttl = 1, tags(\"user:{id}\", \"all\"), secret(token, other)",
        "ttl = 1, codec = \"msgpack\", compress",
        "ttl = 1, codec = \"json\", compress = false",
        "ttl = 1, local, detached",
        "ttl = 1, local = true, detached = false, lease_wait = 5",
        "ttl = 1, entry = Self::other, version = \"v2\"",
    ] {
        assert_eq!(errors(options), Vec::<String>::new(), "{options}");
    }
}

#[test]
fn every_mistake_is_reported_with_its_fix() {
    for (options, message) in [
        ("ttl = 0", "a `ttl` of zero"),
        ("none_ttl = \"0s\"", "a `none_ttl` of zero"),
        ("ttl = \"soon\"", "this is no duration"),
        ("ttl = 1.5", "this is no duration"),
        ("ttl = -1", "can't be negative"),
        ("lease = \"10ms\"", "a lease below 100 ms"),
        ("jitter = 1.5", "between 0.0 and 1.0"),
        ("jitter = -0.1", "between 0.0 and 1.0"),
        ("name = \"a b\"", "letters, digits"),
        ("name = \"\"", "letters, digits"),
        ("name = \"user*\"", "letters, digits"),
        ("name = \"a:b\"", "letters, digits"),
        ("name = \"..\"", "a name has a word"),
        ("name = \"shop.\"", "a name has a word"),
        ("name = \".user\"", "a name has a word"),
        ("name = \"shop..user\"", "a name has a word"),
        ("name = \"gen\"", "a name of the cache's own"),
        ("version = 1.5", "a version is a number"),
        ("tll = 60", "did you mean `ttl`"),
        ("color = 1", "there are ttl, ttl_with"),
        ("time = 60", "write `ttl = 60`"),
        ("size = 100", "`Cache::builder().max_entries(…)`"),
        ("result = true", "remove it"),
        ("convert = r#\"{ id }\"#", "write `key ="),
        ("codec = \"xml\"", "there is no codec `xml`"),
        ("local, near = false", "`near` is of no effect"),
        ("local, codec = \"json\"", "`codec` is of no effect"),
        ("local, lease = 5, compress", "`lease` is of no effect"),
        ("tags = \"a\"", "write `tags(\"user:{id}\")`"),
        ("tags(\"\")", "the tag is empty"),
        ("secret", "write `secret(token)`"),
        ("soft_timeout = 1", "add `stale_if_error"),
        ("refresh_ahead = false", "write `true`, or a factor"),
        ("refresh_ahead = 0", "write `true`, or a factor"),
        ("refresh_ahead = -1.5", "write `true`, or a factor"),
        ("stale_if_error = 0", "a `stale_if_error` of zero"),
        ("ttl = 1, ttl = 2", "`ttl` is given twice"),
        ("ttl", "write `ttl = 60`"),
        ("60", "an option is expected"),
        ("codec = json", "write `codec = \"json\"`"),
        ("name =", "write `name = \"shop.user\"`"),
        ("skip(\"id\")", "write `skip(db)`"),
        ("skip()", "write `skip(db)`"),
        ("secret(a, b, a)", "`a` is given twice"),
        ("tags(\"a\", \"a\")", "`a` is given twice"),
        ("skip = a", "write `skip(db)`"),
        ("with", "write `with(self.tenant)`"),
        ("entry = true", "give a name or `false`"),
        ("key = \"a\", skip(b)", "remove `skip`"),
        ("key = \"a\", with(b)", "put this into the template"),
    ] {
        let errors = errors(options);
        assert!(
            errors.iter().any(|error| error.contains(message)),
            "{options}: {errors:?}"
        );
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let errors = errors("tll = 60, jitter = 2.0, ttl = 0, lease = \"1ms\", key = \"{a}{b}\"");
    assert_eq!(errors.len(), 5, "{errors:?}");
}
