#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
use super::batch::*;
use super::reader::*;
use super::*;
use crate::manifest::Step;
use crate::object::{End, Far, RowKind};
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
        "relationships": [
            { "from": "acme_account", "verb": "HAS", "to": "acme_user" },
            { "from": "acme_user", "verb": "ALLOWS", "to": "host", "mapped": { "end": "to", "class": ["Network", "Host"] } },
            { "from": "service", "verb": "ALLOWS", "to": "acme_user", "mapped": { "end": "from", "class": ["Service"] } },
        ],
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
/// One whose far end it carries: where it goes to.
const ALLOWS: &str = concat!(
    r#"{"r":"acme_user_allows_host","f":"u:1","v":"ALLOWS","#,
    r#""m":{"k":"ip:203.0.113.7","t":"host","c":["Network","Host"]},"d":"to","p":{"port":22}}"#
);
/// And where it comes from.
const FROM: &str = r#"{"r":"service_allows_acme_user","v":"ALLOWS","t":"u:1","m":{"k":"service:x","t":"service","c":["Service"]},"d":"from"}"#;

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
        far: None,
    };
    assert_eq!(row.kind, kind);
    let with_key = parse(&HAS.replacen("\"f\"", r#""k":"own","p":{},"f""#, 1)).unwrap();
    assert_eq!((with_key.key.as_str(), with_key.content_hash), ("own", row.content_hash));
}

#[test]
fn reads_a_mapped_relationship_with_its_far_end() {
    let row = parse(ALLOWS).unwrap();
    assert_eq!(row.key, "u:1|ALLOWS|ip:203.0.113.7");
    let class = vec!["Host".to_owned(), "Network".to_owned()];
    let kind = RowKind::Relationship {
        verb: "ALLOWS".to_owned(),
        from_key: "u:1".to_owned(),
        from_hash: KeyHash::entity("u:1"),
        to_key: "ip:203.0.113.7".to_owned(),
        to_hash: KeyHash::entity("ip:203.0.113.7"),
        far: Some(Far { end: End::To, object_type: "host".to_owned(), class }),
    };
    assert_eq!(row.kind, kind);
    let other_order = ALLOWS.replace(r#"["Network","Host"]"#, r#"["Host","Network"]"#);
    assert_eq!(parse(&other_order).unwrap(), row);
    let row = parse(FROM).unwrap();
    assert_eq!(row.key, "service:x|ALLOWS|u:1");
    let RowKind::Relationship { from_key, far: Some(far), .. } = row.kind else { unreachable!() };
    assert_eq!((from_key.as_str(), far.end, far.object_type.as_str()), ("service:x", End::From, "service"));
}

#[test]
fn a_far_end_is_the_declared_one_or_the_line_is_set_aside() {
    let cases = [
        (ALLOWS.replace(r#","d":"to""#, ""), "missing-field"),
        (ALLOWS.replace(r#""d":"to""#, r#""d":"from""#), "unknown-field"),
        (ALLOWS.replace(r#""d":"to""#, r#""d":"up""#), "far-end"),
        (ALLOWS.replace(r#""d":"to""#, r#""d":"to","t":"u:2""#), "unknown-field"),
        (ALLOWS.replace(r#""t":"host""#, r#""t":"network""#), "far-end"),
        (ALLOWS.replace(r#"["Network","Host"]"#, r#"["Host"]"#), "class"),
        (ALLOWS.replace(r#""t":"host","#, ""), "missing-field"),
        (ALLOWS.replace(r#","c":["Network","Host"]"#, ""), "missing-field"),
        (ALLOWS.replace(r#""k":"ip:203.0.113.7","#, ""), "missing-field"),
        (ALLOWS.replace(r#""t":"host""#, r#""t":"host","n":"x""#), "unknown-field"),
        (ALLOWS.replace(r#""k":"ip:203.0.113.7""#, r#""k":"ip:203.0.113.7","k":"x""#), "duplicate-key"),
        (ALLOWS.replace("ip:203.0.113.7", ""), "key"),
        // Not carried where it should be, and the other way round.
        (r#"{"r":"acme_user_allows_host","f":"u:1","v":"ALLOWS","t":"h:1"}"#.to_owned(), "far-end"),
        (HAS.replace(r#""t":"u:1""#, r#""m":{"k":"u:1","t":"acme_user","c":["User"]},"d":"to""#), "far-end"),
        (HAS.replace(r#""t":"u:1""#, r#""t":"u:1","d":"to""#), "missing-field"),
        (USER.replace(r#""n":"Ada""#, r#""n":"Ada","d":"to""#), "unknown-field"),
        (USER.replace(r#""n":"Ada""#, r#""n":"Ada","m":{}"#), "unknown-field"),
    ];
    for (line, expected) in cases {
        assert_eq!(code(&line), expected, "{line}");
    }
    let rejection = parse(&ALLOWS.replace("\"host\"", "\"network\"")).unwrap_err();
    assert_eq!(rejection.key.as_deref(), Some("u:1|ALLOWS|ip:203.0.113.7"), "so that the stored one is kept");
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

/// As a reader that knows no short cut reads it.
fn slowly(line: &[u8], types: &StepTypes) -> Result<Row, Rejection> {
    let (mut reader, mut text) = (Reader::new(types), Vec::new());
    let mut draft = Draft::new(&mut reader, line);
    match draft.read().and_then(|()| draft.kind()) {
        Ok(Kind::Entity) => draft.entity(types, &mut text),
        Ok(Kind::Relationship) => draft.relationship(types, &mut text),
        Err(reason) => Err(reason),
    }
    .map(|object| object.hashed(&text).row(&text, types))
    .map_err(|reason| draft.reject(reason))
}

fn is_quick(line: &str) -> bool {
    let types = types();
    Draft::new(&mut Reader::new(&types), line.as_bytes()).read_quickly().is_some()
}

#[test]
fn what_guests_write_is_read_quickly() {
    let value = r#"[{"a":[],"b":{}},"\"\\\b\f\n\r\té😀",true,false,null,0,-7,12.5,15e-9,9007199254740993,-0.1]"#;
    let quick = [
        USER.to_owned(),
        HAS.to_owned(),
        USER.replace("36", value),
        USER.replace(r#""username":"ada","age":36"#, ""),
        HAS.replace("\"f\"", r#""k":"own","p":{"z":1,"a":2},"f""#),
    ];
    for line in quick {
        assert!(is_quick(&line), "{line}");
    }
    let slow = [
        "1.0",
        "-0",
        "01",
        "1E5",
        r#""\/""#,
        r#""\u0041""#,
        "[1, 2]",
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":2}"#,
        "nul",
        "x",
    ];
    for value in slow {
        assert!(!is_quick(&USER.replace("36", value)), "{value}");
    }
}

/// What stands in the documentation of the hash, written down a second time.
#[test]
fn the_content_hash_is_over_the_canonical_form() {
    let field = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let content = [
        b"E1".to_vec(),
        field("acme_user"),
        2_u64.to_le_bytes().to_vec(),
        field("Account"),
        field("User"),
        field("Ada"),
        field(r#"{"age":36,"username":"ada"}"#),
    ];
    let expected = blake3::hash(&content.concat());
    assert_eq!(parse(USER).unwrap().content_hash.0, expected.as_bytes()[..16]);
    let content =
        [b"R1".to_vec(), field("acme_account_has_acme_user"), field("a:1"), field("HAS"), field("u:1"), field("{}")];
    assert_eq!(parse(HAS).unwrap().content_hash.0, blake3::hash(&content.concat()).as_bytes()[..16]);
    let mapped = [
        b"M1".to_vec(),
        field("acme_user_allows_host"),
        field("u:1"),
        field("ALLOWS"),
        field("ip:203.0.113.7"),
        field("to"),
        field("host"),
        2_u64.to_le_bytes().to_vec(),
        field("Host"),
        field("Network"),
        field(r#"{"port":22}"#),
    ];
    assert_eq!(parse(ALLOWS).unwrap().content_hash.0, blake3::hash(&mapped.concat()).as_bytes()[..16]);
}

/// JSON as guests might write it, canonical mostly, and not always right.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        r#""([a-zé😀 ]|\\["\\/bfnrt]|\\u00[0-7][0-9a-f]){0,12}""#,
        r"-?(0|[1-9][0-9]{0,19})",
        r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        "(true|false|null|nul|01|-|\"|\"\n\")",
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = r#""[a-c_\u{e000}\u{10000}]{0,3}""#;
        let members = prop::collection::vec((name, " ?", inner.clone()), 0..4);
        let object = members.prop_map(|all| {
            let members: Vec<_> =
                all.into_iter().map(|(name, space, value)| format!("{name}:{space}{value}")).collect();
            format!("{{{}}}", members.join(","))
        });
        let list = prop::collection::vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(",")));
        prop_oneof![object, list]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_short_cut_comes_to_what_the_long_way_comes_to(
        properties in prop::collection::vec((r#"[a-dA-D_é\u{e000}\u{10000}]{1,10}"#, value()), 0..12),
        username in prop::bool::weighted(0.9),
        cut in prop::option::weighted(0.1, 0..400_usize),
        relationship in any::<bool>(),
    ) {
        let mut members: Vec<_> = properties.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        if username {
            members.push("\"username\":\"ada\"".to_owned());
        }
        let properties = format!("{{{}}}", members.join(","));
        let line = if relationship {
            HAS.replace("\"f\"", &format!("\"p\":{properties},\"f\""))
        } else {
            USER.replace(r#"{"username":"ada","age":36}"#, &properties)
        };
        let mut bytes = line.into_bytes();
        if let Some(cut) = cut {
            bytes.truncate(cut);
        }
        let types = types();
        // After a line with another order of properties, and before one: what a reader remembers changes nothing.
        let (mut reader, mut text) = (Reader::new(&types), Vec::new());
        for line in [USER.as_bytes(), &bytes, ALLOWS.as_bytes(), HAS.as_bytes(), &bytes, USER.as_bytes()] {
            let read = reader.line(line, &mut text).map(|object| object.hashed(&text).row(&text, &types));
            prop_assert_eq!(read, slowly(line, &types));
        }
    }
}

#[test]
fn a_batch_is_its_lines() {
    let lines = [USER, HAS, "{}", "", &USER.replace("Ada", &"x".repeat(900)), &USER.replace("36", "37"), USER];
    let types = types();
    let batch = Batch::check(lines.join("\n").as_bytes(), &types);
    let read: Vec<_> =
        batch.lines().map(|line| line.map(|object| batch.row(object, &types)).map_err(Clone::clone)).collect();
    let expected: Vec<_> = lines.iter().filter(|line| !line.is_empty()).map(|line| parse(line)).collect();
    assert_eq!(read, expected);
    assert_eq!(batch.objects().count(), 5);
    assert_eq!(Batch::check(b"\n\n", &types).lines().count(), 0);
}
