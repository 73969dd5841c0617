//! Words that are shown to people, and guesses at what they meant.

/// How many names a hint lists at most; a longer list helps nobody.
const LISTED_NAMES: usize = 12;

/// The known word that an unknown one was probably meant to be.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&word, &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= word.len().max(k.len()) / 2)
        .min()
        .map(|(_, k)| k)
}

/// `did you mean `x`?`, or the choice when nothing is close.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    // What an attacker can make long isn't compared letter by letter.
    if let Some(close) = (word.len() <= 128).then(|| closest(word, known.clone())).flatten() {
        return format!("did you mean `{close}`?");
    }
    let mut names: Vec<_> = known.into_iter().map(|k| format!("`{k}`")).collect();
    if names.is_empty() {
        return "there are none".to_owned();
    }
    let more = if names.len() > LISTED_NAMES { ", …" } else { "" };
    names.truncate(LISTED_NAMES);
    format!("known: {}{more}", names.join(", "))
}

/// A character that makes a text show something else than it says: control characters, and the invisible and direction
/// changing ones behind "Trojan Source" (CVE-2021-42574). Reviewers read what manifests say.
pub(crate) fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e007f}')
}

/// A token of RFC 9110: what a header may be called.
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A JSON pointer (RFC 6901).
pub(crate) fn is_json_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/'))
        && !text.split('~').skip(1).any(|after| !after.starts_with(['0', '1']))
        && !text.chars().any(char::is_control)
}

/// A value as the file that holds it: JSON as a person reads it, and a line break at the end. A struct's fields have one
/// order, so one value has one text.
pub(crate) fn json_file(value: &impl serde::Serialize) -> String {
    // Structs of strings and numbers have no way to fail; an empty text would be refused by whoever reads it.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_only_what_is_close() {
        let known = ["request", "query", "headers", "pages"];
        assert_eq!(did_you_mean("querry", known), "did you mean `query`?");
        assert_eq!(did_you_mean("Headers", known), "did you mean `headers`?");
        assert_eq!(did_you_mean("zzz", known), "known: `request`, `query`, `headers`, `pages`");
    }

    #[test]
    fn knows_json_pointers() {
        for good in ["", "/", "/a/b", "/a~1b", "/a~0"] {
            assert!(is_json_pointer(good), "{good}");
        }
        for bad in ["a", "/a~", "/a~2", "a/b"] {
            assert!(!is_json_pointer(bad), "{bad}");
        }
    }
}
