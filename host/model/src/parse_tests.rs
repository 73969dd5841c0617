#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn types() -> StepTypes {
    let step: Step = serde_json::from_value(json!({
        "id": "users",
        "uses": [],
        "entities": [
            { "type": "acme_user", "class": ["User", "Account"] },
            { "type": "acme_thing", "class": ["Thing"] },
        ],
        "relationships": [{ "from": "acme_account", "verb": "HAS", "to": "acme_user" }],
    }))
    .unwrap();
    let required = |class: &str| match class {
        "User" => vec!["username".to_owned(), "_key".to_owned(), "displayName".to_owned()],
        _ => Vec::new(),
    };
    StepTypes::new(&step, &required)
}

const USER: &str = r#"{"e":"acme_user","k":"u:1","c":["User","Account"],"n":"Ada","p":{"username":"ada","age":36}}"#;
const HAS: &str = r#"{"r":"acme_account_has_acme_user","f":"a:1","v":"HAS","t":"u:1"}"#;

fn parse(line: &str) -> Result<Row, Rejection> {
    parse_line(line.as_bytes(), &types())
}

fn code(line: &str) -> &'static str {
    parse(line).unwrap_err().reason.code()
}

#[test]
fn reads_an_entity() {
    let row = parse(USER).unwrap();
    assert_eq!((row.object_type.as_str(), row.key.as_str()), ("acme_user", "u:1"));
    assert_eq!(row.key_hash, KeyHash::entity("u:1"));
    assert_eq!(row.properties, r#"{"age":36,"username":"ada"}"#);
    let class = vec!["Account".to_owned(), "User".to_owned()];
    assert_eq!(row.kind, RowKind::Entity { class, display_name: "Ada".to_owned() });
}

#[test]
fn reads_a_relationship_and_makes_its_key() {
    let row = parse(HAS).unwrap();
    assert_eq!(row.key, "a:1|HAS|u:1");
    assert_eq!(row.key_hash, KeyHash::relationship("a:1|HAS|u:1"));
    assert_eq!(row.properties, "{}");
    let kind = RowKind::Relationship {
        verb: "HAS".to_owned(),
        from_key: "a:1".to_owned(),
        from_hash: KeyHash::entity("a:1"),
        to_key: "u:1".to_owned(),
        to_hash: KeyHash::entity("u:1"),
    };
    assert_eq!(row.kind, kind);
    let with_key = parse(&HAS.replacen("\"f\"", r#""k":"own","p":{},"f""#, 1)).unwrap();
    assert_eq!((with_key.key.as_str(), with_key.content_hash), ("own", row.content_hash));
}

#[test]
fn the_hash_depends_on_meaning_alone() {
    let hash = |line: &str| parse(line).unwrap().content_hash;
    let same = [
        r#"{"p":{"age":36,"username":"ada"},"n":"Ada","c":["Account","User"],"k":"u:1","e":"acme_user"}"#,
        r#" { "e":"acme_user", "k":"u:1", "c":["User","Account"], "n":"\u0041da", "p":{"username":"ada","age":36.0}} "#,
        r#"{"e":"acme_user","k":"u:1","c":["User","Account"],"n":"Ada","p":{"username":"ada","age":3.6e1}}"#,
    ];
    for line in same {
        assert_eq!(hash(line), hash(USER), "{line}");
    }
    let others = [
        USER.replace("Ada", "Bob"),
        USER.replace("36", "37"),
        USER.replace("36", "\"36\""),
        USER.replace("\"age\"", "\"years\""),
        USER.replace(r#","age":36"#, ""),
    ];
    for line in others {
        assert_ne!(hash(&line), hash(USER), "{line}");
    }
    assert_ne!(hash(HAS), hash(&HAS.replace("a:1", "a:2")));
    assert_ne!(hash(HAS), hash(&HAS.replace("u:1", "u:2")));
    assert_eq!(hash(USER), hash(&USER.replace("u:1", "u:2")), "the key is identity, not content");
}

#[test]
fn lengths_keep_neighbouring_fields_apart() {
    let hash = |from: &str, to: &str| parse(&HAS.replace("a:1", from).replace("u:1", to)).unwrap().content_hash;
    assert_ne!(hash("ab", "c"), hash("a", "bc"));
}

#[test]
fn sets_bad_lines_aside_with_a_reason() {
    let long = "x".repeat(1025);
    let many: Vec<_> = (0..257).map(|i| format!("\"p{i}\":0")).collect();
    let cases = [
        ("", "syntax"),
        ("[]", "syntax"),
        ("null", "syntax"),
        ("{}", "missing-field"),
        (r#"{"k":"x"}"#, "missing-field"),
        (&USER[..USER.len() - 1], "syntax"),
        (&format!("{USER}{USER}"), "syntax"),
        (&USER.replace("\"k\":\"u:1\",", ""), "missing-field"),
        (&USER.replace("\"n\":\"Ada\",", ""), "missing-field"),
        (&USER.replace(r#""c":["User","Account"],"#, ""), "missing-field"),
        (r#"{"e":"acme_user","k":"u","c":["User","Account"],"n":"x"}"#, "missing-field"),
        (&USER.replace("\"u:1\"", "1"), "syntax"),
        (&USER.replace("\"u:1\"", "null"), "syntax"),
        (&USER.replace("u:1", ""), "key"),
        (&USER.replace("u:1", "a\\nb"), "key"),
        (&USER.replace("u:1", "a\\u0085b"), "key"),
        (&USER.replace("u:1", &long), "key"),
        (&USER.replace("u:1", "a\\u0000"), "nul"),
        (&USER.replace("Ada", &long), "display-name"),
        (&USER.replace("\"n\"", "\"x\""), "unknown-field"),
        (&USER.replace("\"n\"", r#""f":"a","n""#), "unknown-field"),
        (&USER.replace("\"n\"", r#""r":"a","n""#), "unknown-field"),
        (&USER.replace("\"n\"", r#""k":"u:1","n""#), "duplicate-key"),
        (&USER.replace("\"age\"", "\"username\""), "duplicate-key"),
        (&USER.replace("acme_user", "acme_other"), "undeclared-type"),
        (&USER.replace("acme_user", "acme_account_has_acme_user"), "undeclared-type"),
        (&USER.replace("\"User\",", ""), "class"),
        (&USER.replace("\"User\"", "\"User\",\"User\""), "class"),
        (&USER.replace("\"User\"", "\"User\",\"Device\""), "class"),
        (&USER.replace("\"ada\"", "null"), "missing-property"),
        (&USER.replace("\"username\"", "\"name\""), "missing-property"),
        (&USER.replace("\"age\"", "\"_age\""), "reserved-property"),
        (&USER.replace("\"age\"", "\"\""), "property-name"),
        (&USER.replace("36", "1e131071"), "number"),
        (&USER.replace("\"age\":36", &many.join(",")), "too-many-properties"),
        (&USER.replace("36", &("[".repeat(15) + &"]".repeat(15))), "depth"),
        (&HAS.replace("HAS", "OWNS"), "verb"),
        (&HAS.replace("acme_user", "acme_group"), "undeclared-type"),
        (&HAS.replace("acme_account_has_acme_user", "acme_user"), "undeclared-type"),
        (&HAS.replace("\"f\":\"a:1\",", ""), "missing-field"),
        (&HAS.replace("a:1", ""), "key"),
        (&HAS.replace("a:1", &"x".repeat(1024)), "default-key"),
        (&HAS.replace("\"f\"", r#""k":"","f""#), "key"),
        (&HAS.replace("\"f\"", r#""n":"x","f""#), "unknown-field"),
        (&HAS.replace("\"f\"", r#""p":{"_x":1},"f""#), "reserved-property"),
        (&USER.replace("Ada", &"x".repeat(MAX_LINE_BYTES)), "line-too-long"),
    ];
    for (line, expected) in cases {
        let shown: String = line.chars().take(120).collect();
        assert_eq!(code(line), expected, "{shown}");
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let many: Vec<_> = (0..255).map(|i| format!("\"p{i}\":0")).collect();
    let good = [
        USER.replace("u:1", &"x".repeat(1024)),
        USER.replace("Ada", &"x".repeat(1024)),
        USER.replace("\"age\":36", &many.join(",")),
        USER.replace("36", &("[".repeat(14) + &"]".repeat(14))),
        USER.replace("36", r#"{"_inner":{"":1}}"#),
        USER.replace("Ada", ""),
    ];
    for line in good {
        parse(&line).unwrap();
    }
}

#[test]
fn columns_are_no_required_properties() {
    assert_eq!(parse(USER).map(|_| ()), Ok(()), "`_key` and `displayName` are required by the class and not in `p`");
}

#[test]
fn a_rejection_says_which_object_and_shows_nothing_that_bites() {
    let rejection = parse(&USER.replace("36", "1e999")).unwrap_err();
    assert_eq!(rejection.object_type.as_deref(), Some("acme_user"));
    assert_eq!(rejection.key.as_deref(), Some("u:1"));
    assert_eq!(rejection.key_hash, Some(KeyHash::entity("u:1")), "so that what is stored under it can be kept");
    let rejection = parse(&HAS.replace("HAS", "OWNS")).unwrap_err();
    assert_eq!(rejection.key.as_deref(), Some("a:1|OWNS|u:1"));
}

#[test]
fn a_rejection_is_cut_and_printable() {
    let evil = "\\u001b[2J\\u202e\\n".to_owned() + &"é".repeat(400);
    let line = USER.replace("u:1", &evil).replace("acme_user", &evil);
    let rejection = parse(&line).unwrap_err();
    for text in [rejection.object_type.clone().unwrap(), rejection.key.clone().unwrap(), rejection.to_string()] {
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.len() <= 4 * MAX_SHOWN_BYTES, "{}", text.len());
    }
    assert_eq!(rejection.key_hash, None, "a key that breaks the rules can't be stored, so nothing has it");
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), tail in r#"[\[\]{}",:a-z0-9_\\]{0,80}"#) {
        let _ = parse_line(&bytes, &types());
        let _ = parse_line(format!("{{\"e\":\"acme_user\"{tail}").as_bytes(), &types());
    }

    #[test]
    fn damage_is_refused_or_is_still_an_object(at in 0..USER.len(), byte in any::<u8>()) {
        let mut line = USER.as_bytes().to_vec();
        line.splice(at..=at, [byte]);
        if let Ok(row) = parse_line(&line, &types()) {
            serde_json::from_slice::<serde_json::Value>(&line).unwrap();
            serde_json::from_str::<serde_json::Value>(&row.properties).unwrap();
        }
    }
}
