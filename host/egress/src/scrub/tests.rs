#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn rules(rules: &[(&str, &str)]) -> ScrubRules {
    let rules: Vec<_> = rules
        .iter()
        .map(|(operation, path)| ScrubRule {
            operations: vec![OperationId::new(*operation).unwrap()],
            path: (*path).to_owned(),
        })
        .collect();
    ScrubRules::new(&rules)
}

fn apply(rules: &ScrubRules, body: &str) -> (String, u32) {
    let (body, count) = rules.apply(&OperationId::new("list").unwrap(), body.as_bytes().to_vec());
    (String::from_utf8(body).unwrap(), count)
}

#[test]
fn every_name_of_the_table_has_a_reason_and_is_blanked_in_every_spelling() {
    let none = rules(&[]);
    for key in keys::KEYS {
        assert!(key.reason.len() > 10 && key.name == key.name.to_ascii_lowercase(), "{}", key.name);
        let camel = key.name.split('_').enumerate().map(|(at, word)| match word.split_at_checked(1) {
            Some((first, rest)) if at > 0 => first.to_ascii_uppercase() + rest,
            _ => word.to_owned(),
        });
        let upper = key.name.to_ascii_uppercase();
        for name in [key.name.to_owned(), camel.collect(), key.name.replace('_', "-"), upper] {
            let (body, count) = apply(&none, &format!(r#"[{{"{name}": "hunter2", "n": 1.50}}]"#));
            assert_eq!((body, count), (format!(r#"[{{"{name}": "[scrubbed]", "n": 1.50}}]"#), 1));
        }
    }
}

#[test]
fn what_is_no_secret_stays() {
    let none = rules(&[]);
    for body in [
        r#"{"credentials":{"password":{},"recovery_question":{}}}"#,
        r#"{"access_token":{"lifetime":60}}"#,
        r#"{"temp_clone_token":"","password":null,"private_key":""}"#,
        r#"{"grant_types":["refresh_token","password"]}"#,
        r#"{"password_changed_at":"2024","has_password":"yes","passwords":"x","pass word":"y"}"#,
        r#"{"note":"\"password\":\"x\""}"#,
        r#"{"x\"password":"y","x\\\"password":"y"}"#,
        r#"{"note":"password","x":"\\"}"#,
        r#"{"password":7,"access_token":true,"client_secret":["a"]}"#,
        r#""password""#,
        r"password=hunter2",
        r#"{"password":"hunter2""#,
        "",
    ] {
        assert_eq!(apply(&none, body), (body.to_owned(), 0));
    }
}

#[test]
fn nested_names_are_found_whatever_the_spaces() {
    let body = "{\"a\":[1,{\"b\":{\"password\" :\n\"x\\\"y\\\\\", \"z\":[{}]}}], \"PASSWORD\":\"q\"}";
    let (clean, count) = apply(&rules(&[]), body);
    let expected = "{\"a\":[1,{\"b\":{\"password\" :\n\"[scrubbed]\", \"z\":[{}]}}], \"PASSWORD\":\"[scrubbed]\"}";
    assert_eq!((clean.as_str(), count), (expected, 2));
}

#[test]
fn paths_of_the_manifest_blank_their_places() {
    let cases = [
        (
            "/*/config/secret",
            r#"[{"config":{"secret":"a","url":"b"}},{"config":{}}]"#,
            r#"[{"config":{"secret":"[scrubbed]","url":"b"}},{"config":{}}]"#,
        ),
        ("/a/0/k", r#"{"a":[{"k":1},{"k":2}]}"#, r#"{"a":[{"k":"[scrubbed]"},{"k":2}]}"#),
        ("/a/*", r#"{"a":{"x":[1,{}],"y":null,"z":""}}"#, r#"{"a":{"x":"[scrubbed]","y":null,"z":""}}"#),
        ("/a~1b/m~0n", r#"{"a/b":{"m~n":true}}"#, r#"{"a/b":{"m~n":"[scrubbed]"}}"#),
        ("a/k", r#"{"a":{"k":1}}"#, r#"{"a":{"k":"[scrubbed]"}}"#),
        ("/é", "{\"\\u00e9\":1}", "{\"\\u00e9\":\"[scrubbed]\"}"),
        ("/*", r#" [ 1 , "x" ] "#, r#" [ "[scrubbed]" , "[scrubbed]" ] "#),
        ("", r#" {"a":1} "#, r#" "[scrubbed]" "#),
        ("/k", r#"{"k":1,"k":2}"#, r#"{"k":"[scrubbed]","k":"[scrubbed]"}"#),
    ];
    for (path, body, expected) in cases {
        assert_eq!(apply(&rules(&[("list", path)]), body).0, expected, "{path}");
        assert_eq!(apply(&rules(&[("other", path)]), body).0, body, "{path} of another operation");
    }
    for (path, body) in [("/k", r#"[{"k":1}]"#), ("/a/k", r#"{"k":1}"#), ("/a", r#"{"b":{"a":1}}"#), ("/2", "[1,2]")] {
        assert_eq!(apply(&rules(&[("list", path)]), body), (body.to_owned(), 0), "{path}");
    }
}

#[test]
fn a_key_after_an_escaped_backslash_is_a_key() {
    let (clean, count) = apply(&rules(&[]), r#"{"a":"\\","password":"x"}"#);
    assert_eq!((clean.as_str(), count), (r#"{"a":"\\","password":"[scrubbed]"}"#, 1));
}

#[test]
fn a_value_inside_a_blanked_one_is_blanked_once() {
    let (clean, count) =
        apply(&rules(&[("list", "/a"), ("list", "/a/password"), ("list", "/b")]), r#"{"a":{"password":"x"},"b":"y"}"#);
    assert_eq!((clean.as_str(), count), (r#"{"a":"[scrubbed]","b":"[scrubbed]"}"#, 2));
}

#[test]
fn depth_is_no_hiding_place_and_no_burden() {
    let body = format!("{}{{\"password\":\"hunter2\"}}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (clean, count) = apply(&rules(&[("list", "/*/*/password")]), &body);
    assert!(count == 1 && !clean.contains("hunter2"));
}

/// The same rules, the slow way.
fn slow(value: &mut Value, count: &mut u32) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if matches!(key.as_str(), "password" | "clientSecret") && !text.is_empty() => {
                        *text = "[scrubbed]".to_owned();
                        *count += 1;
                    }
                    _ => slow(value, count),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| slow(item, count)),
        _ => {}
    }
}

fn json() -> impl Strategy<Value = Value> {
    let key = prop_oneof!["[a-c\"\\\\/é]{0,3}", Just("password".to_owned()), Just("clientSecret".to_owned())];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\\\[\\]{},: é]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn blanks_what_the_slow_way_blanks(value in json(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let (clean, count) = apply(&rules(&[]), &body);
        let (mut expected, mut expected_count) = (value, 0);
        slow(&mut expected, &mut expected_count);
        prop_assert_eq!(count, expected_count);
        prop_assert_eq!(serde_json::from_str::<Value>(&clean).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let body = [b"{\"password\":\"", bytes.as_slice()].concat();
        let _ = rules(&[("list", "/*/*")]).apply(&OperationId::new("list").unwrap(), body);
    }
}

#[test]
fn elements_are_blanked_by_name_and_by_path() {
    let operation = OperationId::new("list").unwrap();
    let rule = |path: &str| ScrubRule { operations: vec![operation.clone()], path: path.to_owned() };
    let rules = ScrubRules::new(&[rule("/R/*/Env"), rule("/R/Plain")]);
    let body = "<?xml version=\"1.0\"?><R xmlns=\"x\"><item><Env><A>geheim</A></Env><Password>p&amp;q</Password>\
                <SecretAccessKey>geheim</SecretAccessKey></item><Env>stays</Env><Plain>geheim</Plain>\
                <userData/><passWord><Policy>stays</Policy></passWord></R>";
    let (clean, count) = rules.apply(&operation, body.into());
    let clean = String::from_utf8(clean).unwrap();
    let expected = "<?xml version=\"1.0\"?><R xmlns=\"x\"><item><Env>[scrubbed]</Env><Password>[scrubbed]</Password>\
                <SecretAccessKey>[scrubbed]</SecretAccessKey></item><Env>stays</Env><Plain>[scrubbed]</Plain>\
                <userData/><passWord><Policy>stays</Policy></passWord></R>";
    assert_eq!((clean.as_str(), count), (expected, 4));
    let other = OperationId::new("other").unwrap();
    let (untouched, count) = rules.apply(&other, b"<R><Plain>x</Plain></R>".to_vec());
    assert_eq!((untouched.as_slice(), count), (&b"<R><Plain>x</Plain></R>"[..], 0));
}
