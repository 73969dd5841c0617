//! IAM policy documents: read, matched, and shown without secrets. Pure.

use serde_json::Value;

/// What stands in place of a value that is a shared secret.
const REDACTED: &str = "[redacted]";
/// The condition key whose values are shared with a third party, lower case.
pub const EXTERNAL_ID: &str = "sts:externalid";

/// Reads a document as IAM sends it: JSON, or JSON with percent signs (RFC 3986).
///
/// # Errors
/// When it is neither.
pub fn read(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let decoded = if text.starts_with('{') { text.to_owned() } else { decode(text)? };
    serde_json::from_str(&decoded).map_err(|e| format!("a policy document that is no JSON: {e}"))
}

fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                let byte = digit(high).zip(digit(low)).and_then(|(h, l)| u8::try_from(h * 16 + l).ok());
                bytes.push(byte.ok_or("a policy document with a broken percent sign")?);
                rest = after;
            }
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|e| format!("a policy document: {e}"))
}

/// The document in one line, without the external ids that its conditions name.
#[must_use]
pub fn shown(document: &Value) -> String {
    let mut document = document.clone();
    let statements = document.get_mut("Statement").map(many_mut).unwrap_or_default();
    for condition in statements.into_iter().filter_map(|s| s.get_mut("Condition")?.as_object_mut()) {
        for keys in condition.values_mut().filter_map(Value::as_object_mut) {
            for (_, value) in keys.iter_mut().filter(|(key, _)| key.eq_ignore_ascii_case(EXTERNAL_ID)) {
                *value = Value::String(REDACTED.to_owned());
            }
        }
    }
    document.to_string()
}

fn many_mut(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Array(list) => list.iter_mut().collect(),
        one => vec![one],
    }
}

/// One or a list of them.
#[must_use]
pub fn many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    }
}

/// The statements of a document.
#[must_use]
pub fn statements(document: &Value) -> Vec<&Value> {
    document.get("Statement").map(many).unwrap_or_default()
}

/// The texts of a field that is one or a list.
#[must_use]
pub fn texts<'v>(value: &'v Value, field: &str) -> Vec<&'v str> {
    value.get(field).map(many).unwrap_or_default().into_iter().filter_map(Value::as_str).collect()
}

/// The statement allows (`true`) or denies.
#[must_use]
pub fn allows(statement: &Value) -> bool {
    statement.get("Effect").and_then(Value::as_str).is_some_and(|effect| effect.eq_ignore_ascii_case("allow"))
}

/// The statement has a condition.
#[must_use]
pub fn is_conditional(statement: &Value) -> bool {
    statement.get("Condition").and_then(Value::as_object).is_some_and(|condition| !condition.is_empty())
}

/// The statement speaks of an action: by `Action`, or by `NotAction` when it leaves it out there.
#[must_use]
pub fn speaks_of(statement: &Value, action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    let any = |field| texts(statement, field).into_iter().any(|p| glob(&p.to_ascii_lowercase(), &action));
    match statement.get("NotAction") {
        Some(_) => !any("NotAction"),
        None => any("Action"),
    }
}

/// The text fits a pattern of `*` (any characters) and `?` (any one).
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where the last `*` stands, and how far it reaches.
    let (mut p, mut t, mut star) = (0, 0, None);
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(w) if *w == '?' || w == c => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, reach)) = star else { return false };
                (p, t, star) = (at + 1, reach + 1, Some((at, reach + 1)));
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_decoded() {
        assert_eq!(read("%7B%22a%22%3A%22%25%20%C3%A9+%22%7D").unwrap(), json!({"a": "% é+"}));
        assert_eq!(read(" {\"a\": \"%41\"}").unwrap(), json!({"a": "%41"}));
        assert!(read("%7").is_err() && read("%zz").is_err() && read("").is_err() && read("%ff").is_err());
    }

    #[test]
    fn external_ids_are_not_shown() {
        let condition = json!({"StringEquals": {"STS:ExternalId": ["secret", "other"], "aws:x": "y"}});
        for statement in [json!({"Condition": condition}), json!([{"Condition": condition}, {}])] {
            let shown = shown(&json!({"Statement": statement}));
            assert!(!shown.contains("secret") && !shown.contains("other") && shown.contains("[redacted]"), "{shown}");
            assert!(shown.contains(r#""aws:x":"y""#), "{shown}");
        }
    }

    #[test]
    fn actions_match_by_wildcards_and_by_exclusion() {
        let speaks = |statement: Value| speaks_of(&statement, "sts:AssumeRole");
        assert!(speaks(json!({"Action": "*"})) && speaks(json!({"Action": ["s3:*", "STS:assume*"]})));
        assert!(speaks(json!({"Action": "sts:AssumeRol?"})) && !speaks(json!({"Action": "sts:TagSession"})));
        assert!(speaks(json!({"NotAction": "iam:*"})) && !speaks(json!({"NotAction": ["iam:*", "sts:*"]})));
        assert!(!speaks(json!({})));
    }

    #[test]
    fn patterns() {
        let fits = [
            ("*", ""),
            ("a*c", "abc"),
            ("a*c", "ac"),
            ("*b*", "abc"),
            ("a?c", "aéc"),
            ("**x", "aax"),
            ("a*b*c", "aXbYbZc"),
        ];
        let fails = [("", "a"), ("a*c", "ab"), ("a?c", "ac"), ("abc", "abcd"), ("a*b", "aXbY")];
        assert!(fits.iter().all(|(p, t)| glob(p, t)));
        assert!(fails.iter().all(|(p, t)| !glob(p, t)));
    }
}
