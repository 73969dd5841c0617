//! The `Link` header (RFC 8288), as far as paging needs it: the targets of `rel="next"`.

/// The longest header value that is read, in bytes: what common servers let through for all headers together.
pub(crate) const MAX_LINK_BYTES: usize = 16 * 1024;

/// The targets of all links with the relation `next`, as they are written. Links with an `anchor` speak of another
/// resource and are left out. None when the header is malformed or too long: then nobody knows whether there is a next
/// page.
pub(crate) fn next_targets(header: &str) -> Option<Vec<&str>> {
    if header.len() > MAX_LINK_BYTES || header.chars().any(|c| c.is_control() && c != '\t') {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(found);
        }
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        if target.contains([' ', '\t', '<', '"']) {
            return None;
        }
        let (params, after) = params(after)?;
        let first = |wanted: &str| params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        // RFC 8288, 3.3: only the first `rel` counts, and it may be a list.
        let next = first("rel")
            .is_some_and(|(_, rel)| rel.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next")));
        if next && first("anchor").is_none() {
            found.push(target);
        }
        rest = after;
    }
}

type Params<'h> = Vec<(&'h str, String)>;

/// The parameters of one link, and what follows it: nothing, or a comma.
fn params(text: &str) -> Option<(Params<'_>, &str)> {
    let mut params = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t']);
    while let Some(after) = rest.strip_prefix(';') {
        let after = after.trim_start_matches([' ', '\t']);
        let (name, after) = split_where(after, |c| matches!(c, ' ' | '\t' | '=' | ';' | ','));
        let after = after.trim_start_matches([' ', '\t']);
        let (value, after) = match after.strip_prefix('=') {
            Some(after) => value(after.trim_start_matches([' ', '\t']))?,
            None => (String::new(), after),
        };
        if !name.is_empty() {
            params.push((name, value));
        }
        rest = after.trim_start_matches([' ', '\t']);
    }
    (rest.is_empty() || rest.starts_with(',')).then_some((params, rest))
}

fn value(text: &str) -> Option<(String, &str)> {
    match text.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted),
        None => {
            let (token, rest) = split_where(text, |c| matches!(c, ' ' | '\t' | ';' | ','));
            Some((token.to_owned(), rest))
        }
    }
}

/// After the opening quote. None when it isn't closed.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn reads_what_rfc_8288_allows() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ,", &[]),
            (r#"<https://h/a?page=2>; rel="next", <https://h/a?page=9>; rel="last""#, &["https://h/a?page=2"]),
            (r#"<https://h/a?page=1>; rel="prev", <https://h/a?page=3>; rel="next""#, &["https://h/a?page=3"]),
            (r#"<https://h/a?page=1>; rel="first""#, &[]),
            ("<b?c=1,2;3>;rel=next", &["b?c=1,2;3"]),
            ("<b> ; REL = \"Next\"", &["b"]),
            (r#"<b>; title="a, \"<x>; rel=next"; rel="last""#, &[]),
            (r#"<b>; title="a, \"<x>; rel=last"; rel="prefetch  NEXT""#, &["b"]),
            ("<b>; rel=last; rel=next", &[]),
            (r##"<b>; rel=next; anchor="#foo""##, &[]),
            ("<b>; rel=nextish", &[]),
            ("<b>; next", &[]),
            ("<b>;;rel=next;", &["b"]),
            ("<b>; rel=next\t,\t<c>; rel=next", &["b", "c"]),
            ("<>; rel=next", &[""]),
        ];
        for (header, targets) in cases {
            assert_eq!(next_targets(header).as_deref(), Some(*targets), "{header}");
        }
    }

    #[test]
    fn what_is_malformed_is_doubt_and_not_the_last_page() {
        let long = format!("<b>; rel=next; title=\"{}\"", "x".repeat(MAX_LINK_BYTES));
        let bad = [
            "b; rel=next",
            "<b; rel=next",
            "<b>; rel=\"next",
            "<b> rel=next",
            "<b>; rel=next <c>",
            "<a b>; rel=next",
            &long,
        ];
        for header in bad {
            assert_eq!(next_targets(header), None, "{header}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(header in "\\PC*", tricky in "[<>;,=\" \\\\a-f]{0,40}") {
            let _ = next_targets(&header);
            let _ = next_targets(&tricky);
        }
    }
}
