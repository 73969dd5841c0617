//! Taking an input with several fields apart: a JSON object, or `name=value` lines.

use super::error::SecretError;
use super::json;
use super::text::SecretText;
use zeroize::Zeroizing;

/// Names and values of an input, in order. Names are checked by the caller against the ones it expects.
pub(super) type Pairs = Vec<(String, Zeroizing<String>)>;

/// Takes an input apart. `fields` is what messages name.
pub(super) fn pairs(input: &SecretText, fields: &str) -> Result<Pairs, SecretError> {
    let form = |reason| SecretError::Form { reason, fields: fields.to_owned() };
    let text = input.as_str();
    if text.trim_start().starts_with('{') {
        let members = json::members(text).ok_or_else(|| form("the JSON object is malformed"))?;
        let value = |raw: &str| match raw.as_bytes().first() {
            // People write the number of an app as a number.
            Some(b'0'..=b'9') if raw.bytes().all(|b| b.is_ascii_digit()) => Some(Zeroizing::new(raw.to_owned())),
            _ => json::string(raw),
        };
        return members
            .into_iter()
            .map(|(name, raw)| Ok((name.into_owned(), value(raw.get()).ok_or_else(|| form("a value is no text"))?)))
            .collect();
    }
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, value) = line.split_once('=').ok_or_else(|| form("a line has no `=`"))?;
            Ok((name.trim().to_owned(), Zeroizing::new(value.to_owned())))
        })
        .collect()
}
