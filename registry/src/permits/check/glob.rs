//! Wildcards of policies: `*` for any characters, `?` for one.

/// Does a pattern match a text? Both in the same case. Takes at most the product of their lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // After the last `*`: where the pattern goes on, and the text that the star has taken so far ends.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(same) if same == byte => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    /// The definition, without the loop.
    fn defined(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| defined(rest, &text[taken..])),
            Some((byte, rest)) => {
                text.split_first().is_some_and(|(t, more)| (*byte == b'?' || byte == t) && defined(rest, more))
            }
        }
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("iam:list*", "iam:listusers", true),
            ("iam:list*", "iam:getuser", false),
            ("s3:get*configuration", "s3:getlifecycleconfiguration", true),
            ("*", "", true),
            ("?", "", false),
            ("ec2:describe???s", "ec2:describevpcs", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), defined(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
