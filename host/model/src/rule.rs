//! What a text value may look like. One notation serves arguments, configuration and grants:
//!
//! | written | means |
//! |---|---|
//! | `=value` | exactly this value; the host sends it, a guest can't change it |
//! | `={config.x}` | exactly the value of the instance's configuration field `x` (arguments only) |
//! | `^…$` | a regular expression over the whole value (linear time, no look-around) |
//! | `text<=N` | at most N bytes of UTF-8, at least one, no control characters |
//! | `int<=N` | a decimal integer from 0 to N |
//! | `bool` | `true` or `false` |

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The longest pattern, in bytes: enough for every provider's identifiers, short enough to be read by a reviewer.
pub const MAX_PATTERN_BYTES: usize = 512;
/// The longest value a `text` rule may allow, in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;
/// The compiled size a pattern may have, in bytes: refuses `(a{999}){999}`.
const MAX_COMPILED_BYTES: usize = 256 * 1024;

/// A rule for one text value.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rule {
    /// Exactly this value.
    Fixed(String),
    /// A regular expression over the whole value.
    Pattern(Pattern),
    /// At most so many bytes.
    Text(usize),
    /// From 0 to this.
    Int(u64),
    /// `true` or `false`.
    Bool,
}

/// A regular expression that matches whole values only.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    regex: Arc<regex::Regex>,
}

impl Pattern {
    /// The pattern as it was written, with `^` and `$`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The regular expression that decides, anchored on both sides: what another engine has to read to mean the same.
    #[must_use]
    pub fn anchored(&self) -> &str {
        self.regex.as_str()
    }
}

/// Why a rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// None of the forms.
    #[error("`{0}` is no rule; write `=value`, `^pattern$`, `text<=N`, `int<=N` or `bool`")]
    Form(String),
    /// The number is missing or too large.
    #[error("`{0}`: the limit must be a number from 1 to {1}")]
    Number(String, u64),
    /// The pattern is too long.
    #[error("a pattern has at most {MAX_PATTERN_BYTES} bytes, this one has {0}")]
    Long(usize),
    /// The pattern doesn't compile.
    #[error("pattern `{0}`: {1}")]
    Pattern(String, String),
}

impl Rule {
    /// Reads the notation.
    ///
    /// # Errors
    /// When the text is none of the forms, or a pattern that is too long, too large or malformed.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if let Some(value) = text.strip_prefix('=') {
            return Ok(Self::Fixed(value.to_owned()));
        }
        if let Some(n) = text.strip_prefix("text<=") {
            let max = MAX_TEXT_BYTES as u64;
            let n: u64 = n.parse().map_err(|_| RuleError::Number(text.to_owned(), max))?;
            return match usize::try_from(n) {
                Ok(n) if (1..=MAX_TEXT_BYTES).contains(&n) => Ok(Self::Text(n)),
                _ => Err(RuleError::Number(text.to_owned(), max)),
            };
        }
        if let Some(n) = text.strip_prefix("int<=") {
            let n = n.parse().map_err(|_| RuleError::Number(text.to_owned(), u64::MAX))?;
            return Ok(Self::Int(n));
        }
        if text == "bool" {
            return Ok(Self::Bool);
        }
        if text.starts_with('^') && text.ends_with('$') && text.len() > 1 {
            return Self::pattern(text);
        }
        Err(RuleError::Form(text.chars().take(120).collect()))
    }

    fn pattern(text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(RuleError::Long(text.len()));
        }
        // `^a|b$` would be "starts with a, or ends with b". The group makes the anchors hold for every branch, and \A, \z
        // hold where a multi-line flag inside the pattern would bend ^ and $.
        let inner = text.strip_prefix('^').and_then(|t| t.strip_suffix('$')).unwrap_or(text);
        let refuse = |e: regex::Error| RuleError::Pattern(text.to_owned(), e.to_string());
        // The inner part must be a pattern of its own: `a)|(b` would close the group.
        let build = |p: &str| regex::RegexBuilder::new(p).size_limit(MAX_COMPILED_BYTES).build().map_err(refuse);
        build(inner)?;
        let regex = build(&format!(r"\A(?:{inner})\z"))?;
        Ok(Self::Pattern(Pattern { source: text.to_owned(), regex: Arc::new(regex) }))
    }

    /// Does the value keep the rule? A value with a control character never does.
    #[must_use]
    pub fn allows(&self, value: &str) -> bool {
        if value.len() > MAX_TEXT_BYTES || value.chars().any(char::is_control) {
            return false;
        }
        match self {
            Self::Fixed(fixed) => fixed == value,
            Self::Pattern(pattern) => pattern.regex.is_match(value),
            Self::Text(max) => !value.is_empty() && value.len() <= *max,
            Self::Int(max) => {
                let plain = value == "0" || (!value.starts_with('0') && value.bytes().all(|b| b.is_ascii_digit()));
                plain && value.parse::<u64>().is_ok_and(|n| n <= *max)
            }
            Self::Bool => matches!(value, "true" | "false"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(value) => write!(f, "={value}"),
            Self::Pattern(pattern) => f.write_str(&pattern.source),
            Self::Text(max) => write!(f, "text<={max}"),
            Self::Int(max) => write!(f, "int<={max}"),
            Self::Bool => f.write_str("bool"),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({self})")
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
impl Eq for Rule {}

impl TryFrom<String> for Rule {
    type Error = RuleError;
    fn try_from(text: String) -> Result<Self, RuleError> {
        Self::parse(&text)
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> String {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn anchors_hold_for_every_branch() {
        let rule = Rule::parse("^a|b$").unwrap();
        assert!(rule.allows("a") && rule.allows("b"));
        assert!(!rule.allows("ax") && !rule.allows("xb"));
    }

    #[test]
    fn a_pattern_cannot_leave_its_group() {
        assert!(Rule::parse("^a)|(?:.*$").is_err());
    }

    #[test]
    fn a_flag_inside_does_not_unanchor() {
        let rule = Rule::parse("^(?m)a$").unwrap();
        assert!(rule.allows("a") && !rule.allows("a\nb"));
    }

    #[test]
    fn huge_patterns_are_refused() {
        assert!(Rule::parse("^(a{999}){999}$").is_err());
        assert!(matches!(Rule::parse(&format!("^{}$", "a".repeat(600))), Err(RuleError::Long(_))));
    }

    #[test]
    fn each_form_allows_and_refuses() {
        let cases = [
            ("=all", "all", "al"),
            ("text<=3", "abc", "abcd"),
            ("text<=3", "é", ""),
            ("int<=100", "100", "101"),
            ("int<=100", "0", "007"),
            ("int<=100", "7", "+7"),
            ("bool", "true", "True"),
            (r"^[a-z]{2}$", "ab", "abc"),
            ("text<=9", "a b", "a\0b"),
        ];
        for (rule, good, bad) in cases {
            let rule = Rule::parse(rule).unwrap();
            assert!(rule.allows(good), "{rule} should allow {good:?}");
            assert!(!rule.allows(bad), "{rule} should refuse {bad:?}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for text in ["=x", "^a$", "text<=9", "int<=9", "bool"] {
            assert_eq!(Rule::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "abc", "^abc", "text<=0", "text<=9999999", "int<=x", "^$x"] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
    }
}
