#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn text(json: &str) -> String {
    canonical(json.as_bytes()).unwrap()
}

#[test]
fn writes_one_form_for_what_means_the_same() {
    let cases = [
        (r#" { "b" : 1 , "a" : [ 1.0 , 2e0 ] } "#, r#"{"a":[1,2],"b":1}"#),
        (r#"{"b":{"z":1,"a":{"y":2,"x":3}},"a":null}"#, r#"{"a":null,"b":{"a":{"x":3,"y":2},"z":1}}"#),
        (r#""\u0041\/\u00e9\ud83d\ude00""#, "\"A/é😀\""),
        (r#""\b\t\n\f\r\"\\\u001f\u007f""#, "\"\\b\\t\\n\\f\\r\\\"\\\\\\u001f\u{7f}\""),
        ("[]", "[]"),
        ("{}", "{}"),
        (r#"{"":{"":0}}"#, r#"{"":{"":0}}"#),
        ("-0.0", "0"),
        ("true", "true"),
        ("\t\r\n null \n", "null"),
    ];
    for (json, canonical) in cases {
        assert_eq!(text(json), canonical, "{json}");
    }
}

#[test]
fn keys_stand_in_the_order_of_utf_16() {
    // The example of RFC 8785, 3.2.3, without its control character.
    let json = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
    let order: Vec<_> = text(json).matches(|c: char| c.is_ascii_digit()).map(str::to_owned).collect();
    assert_eq!(order, ["2", "1", "4", "6", "7", "1", "5", "3"]);
}

#[test]
fn refuses_what_is_no_json_or_breaks_a_limit() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    let long = |n: usize| format!("\"{}\"", "x".repeat(n));
    let list = |n: usize| format!("[{}]", vec!["0"; n].join(","));
    let cases = [
        ("", "syntax"),
        ("{", "syntax"),
        ("[1,]", "syntax"),
        ("[,1]", "syntax"),
        (r#"{"a":1,}"#, "syntax"),
        (r#"{"a" 1}"#, "syntax"),
        (r#"{a:1}"#, "syntax"),
        (r#"{'a':1}"#, "syntax"),
        ("[1 2]", "syntax"),
        ("1 2", "syntax"),
        ("[1]]", "syntax"),
        ("01", "syntax"),
        ("-", "syntax"),
        ("+1", "syntax"),
        (".5", "syntax"),
        ("1.", "syntax"),
        ("1e", "syntax"),
        ("1e+", "syntax"),
        ("0x10", "syntax"),
        ("NaN", "syntax"),
        ("Infinity", "syntax"),
        ("nul", "syntax"),
        ("True", "syntax"),
        ("/* */1", "syntax"),
        ("\u{feff}1", "syntax"),
        ("\u{a0}1", "syntax"),
        ("\u{b}1", "syntax"),
        ("\"a\nb\"", "syntax"),
        ("\"a", "syntax"),
        (r#""\x""#, "syntax"),
        (r#""\u12""#, "syntax"),
        (r#""\u12g4""#, "syntax"),
        (r#""\u+123""#, "syntax"),
        ("\"a\0b\"", "nul"),
        ("\0", "nul"),
        (r#""a\u0000b""#, "nul"),
        (r#"{"\u0000":1}"#, "nul"),
        (r#""\ud800""#, "surrogate"),
        (r#""\udc00""#, "surrogate"),
        (r#""\udc00\ud800""#, "surrogate"),
        (r#""\ud800\ud800""#, "surrogate"),
        (r#""\ud800x""#, "surrogate"),
        (r#""\ud800\n""#, "surrogate"),
        (r#"{"a":1,"a":1}"#, "duplicate-key"),
        (r#"{"b":1,"a":2,"b":3}"#, "duplicate-key"),
        (r#"{"a":1,"\u0061":1}"#, "duplicate-key"),
        (r#"[{"x":{"a":1,"a":2}}]"#, "duplicate-key"),
        ("1e131071", "number"),
        ("[18446744073709551616]", "number"),
        (&deep(17), "depth"),
        (&deep(100_000), "depth"),
        (&long(64 * 1024 + 1), "string-too-long"),
        (&list(10_001), "list-too-long"),
        (&format!("{{{}:1}}", long(257)), "property-name"),
    ];
    for (json, code) in cases {
        let shown: String = json.chars().take(60).collect();
        assert_eq!(canonical(json.as_bytes()).unwrap_err().code(), code, "{shown:?}");
    }
    let good =
        [deep(16), long(64 * 1024), list(10_000), format!("{{{}:1}}", long(256)), "18446744073709551615".to_owned()];
    for json in good {
        assert!(canonical(json.as_bytes()).is_ok(), "the limit itself is allowed");
    }
}

#[test]
fn refuses_bytes_that_are_no_utf_8() {
    for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\"\xc3"] {
        assert_eq!(canonical(bytes).unwrap_err().code(), "utf-8");
    }
}

/// JSON as a guest may write it: small enough that no limit is hit.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        (-1.0..1.0).prop_map(Value::from),
        "[^\0]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[^\0]{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same value with the members of every object in reverse, as text.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members: Vec<_> =
                map.iter().rev().map(|(k, v)| format!("{} : {}", Value::from(k.clone()), reversed(v))).collect();
            format!("{{ {} }}", members.join(" ,\n"))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(reversed).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn means_the_same_and_is_its_own_canonical_form(value in any_json()) {
        let once = text(&value.to_string());
        prop_assert_eq!(&text(&once), &once);
        prop_assert_eq!(&text(&reversed(&value)), &once);
        prop_assert_eq!(&text(&serde_json::to_string_pretty(&value).unwrap()), &once);
        let back: Value = serde_json::from_str(&once).unwrap();
        prop_assert_eq!(numbers_rounded(&back), numbers_rounded(&value));
    }

    #[test]
    fn agrees_with_serde_json_about_what_is_json(json in r#"[\[\]{}",:0-9eE+.\-tfnrualse\\/ud8c]{0,24}"#) {
        agree(json.as_bytes())?;
    }

    #[test]
    fn agrees_with_serde_json_about_damaged_json(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = value.to_string().into_bytes();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes.splice(at..=at, [byte]);
        }
        agree(&bytes)?;
    }

    #[test]
    fn never_panics_on_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        agree(&bytes)?;
    }

    #[test]
    fn key_order_is_that_of_utf_16(a in any::<String>(), b in any::<String>()) {
        prop_assert_eq!(compare_keys(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
    }

    #[test]
    fn key_order_is_that_of_utf_16_at_the_edges(a in "[\u{7f}\u{80}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,4}", b in "[\u{7f}\u{80}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,4}") {
        prop_assert_eq!(compare_keys(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
    }
}

/// What we take, serde_json takes; what serde_json takes, we refuse over a limit only.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_slice::<Value>(bytes);
    match canonical(bytes) {
        Ok(ours) => {
            let same = serde_json::from_str::<Value>(&ours).unwrap();
            prop_assert_eq!(numbers_rounded(&same), numbers_rounded(&theirs.unwrap()));
        }
        Err(reason) if reason.is_syntax() => prop_assert!(theirs.is_err(), "{} but serde_json reads it", reason),
        Err(_) => {}
    }
    Ok(())
}

/// serde_json reads doubles to the last bit only with a feature that nobody here needs; our numbers are exact, so they
/// are compared as far as both can be.
fn numbers_rounded(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.as_f64().map_or_else(|| value.clone(), |f| format!("{:.12e}", f + 0.0).into()),
        Value::Array(list) => list.iter().map(numbers_rounded).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), numbers_rounded(v))).collect(),
        other => other.clone(),
    }
}
