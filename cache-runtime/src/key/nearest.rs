/// Returns the known name that is most similar to `name`, if any is similar.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(name, other);
    let nearest = known.into_iter().min_by_key(|other| distance(other))?;
    (distance(nearest) <= 1 + name.len() / 4).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["user", "report_all", "RECACHED_TTL"];
        assert_eq!(nearest("usre", known), Some("user"));
        assert_eq!(nearest("RECACHED_TTLS", known), Some("RECACHED_TTL"));
        assert_eq!(nearest("order", known), None);
        assert_eq!(nearest("order", []), None);
    }
}
