#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]
use super::super::inclusion::{Inclusion, included, samples};
use super::*;
use proptest::prelude::*;

fn rule(text: &str) -> Rule {
    Rule::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

fn outside(new: &str, old: &str) -> String {
    match included(&rule(new), &rule(old), false) {
        Inclusion::Outside(words) => words.into_iter().next().unwrap(),
        other => panic!("{new} in {old}: {other:?}"),
    }
}

#[test]
fn the_shortest_and_most_readable_value_is_found() {
    for (new, old, value) in [
        ("^[a-z.]+$", "^[a-z]+$", "."),
        ("^[a-z]{1,4}$", "^[a-z]{1,3}$", "aaaa"),
        ("^(all|admin|owner)$", "^(all|admin)$", "owner"),
        ("int<=1000", "int<=100", "101"),
        ("int<=100", "int<=99", "100"),
        ("int<=18446744073709551615", "int<=18446744073709551614", "18446744073709551615"),
        ("^[0-9]+$", "int<=99", "00"),
        ("text<=5", "text<=4", "aaaaa"),
        ("text<=4", "^[a-z]{1,4}$", "0"),
        ("^.*$", "text<=4096", ""),
        ("^.+$", "^[ -~]+$", "\u{a0}"),
        ("^a|b$", "=a", "b"),
        ("=x", "=y", "x"),
        ("bool", "=true", "false"),
        ("^(?i)acme$", "=acme", "acmE"),
        ("^[^a]$", "^[ -~]$", "\u{a0}"),
    ] {
        assert_eq!(outside(new, old), value, "{new} in {old}");
    }
}

#[test]
fn what_is_inside_is_proved() {
    for (new, old) in [
        ("^[a-z]{3}$", "^[a-z]{1,10}$"),
        ("^(?:b|a)$", "^[ab]$"),
        ("^(a*)*$", "^a*$"),
        ("^.+$", "text<=4096"),
        ("^[a-z0-9-]{1,255}$", "text<=255"),
        ("int<=100", "^[0-9]{1,3}$"),
        ("int<=99", "int<=100"),
        ("bool", "^(true|false)$"),
        ("=acme", "^[a-z]+$"),
        ("text<=1", "^[ -~]$"),
        (r"^\w$", "text<=4"),
        // No value has a control character, whatever a pattern says.
        (r"^[a-z\n]+$", "^[a-z]+$"),
        (r"^a\x00?$", "=a"),
    ] {
        assert_eq!(included(&rule(new), &rule(old), false), Inclusion::Inside, "{new} in {old}");
    }
}

#[test]
fn a_path_takes_slashes_of_patterns_only() {
    let (text, pattern) = (rule("text<=255"), rule("^[ -~]{1,255}$"));
    assert_eq!(included(&pattern, &text, false), Inclusion::Inside);
    match included(&pattern, &text, true) {
        Inclusion::Outside(words) => assert_eq!(words.first().map(String::as_str), Some("a/a")),
        other => panic!("{other:?}"),
    }
    match included(&rule("^[a-z.]+$"), &rule("^[a-z]+$"), true) {
        Inclusion::Outside(words) => assert_eq!(words.first().map(String::as_str), Some("a.")),
        other => panic!("{other:?}"),
    }
    assert_eq!(included(&rule("^[a-z]+$"), &rule("text<=4096"), true), Inclusion::Inside);
}

#[test]
fn what_cannot_be_decided_says_so() {
    // A Unicode word boundary, and a machine with a state for each of the last eighteen letters.
    for (new, old) in [(r"^\bacme\b$", "^[a-z]+$"), ("^[ab]*a[ab]{18}$", "^[ab]*$")] {
        let found = included(&rule(new), &rule(old), false);
        assert!(matches!(found, Inclusion::Undecided(_)), "{new} in {old}: {found:?}");
    }
}

#[test]
fn samples_keep_the_rule_and_the_other_if_they_can() {
    assert_eq!(samples(&rule("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"), None).first().unwrap(), "acme");
    assert_eq!(samples(&rule("^(member|maintainer)$"), None).first().unwrap(), "member");
    assert_eq!(samples(&rule("text<=9"), Some(&rule("^q+$"))).first().unwrap(), "q");
    for text in ["^x{300}$", "int<=3", "bool", "text<=1", "=fixed"] {
        let rule = rule(text);
        assert!(samples(&rule, None).iter().all(|v| rule.allows(v)), "{text}");
        assert!(!samples(&rule, None).is_empty(), "{text}");
    }
}

/// Small patterns over `a`, `b`, `é` and `/`.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("é".to_owned()),
        Just(".".to_owned()),
        Just("[ab]".to_owned()),
        Just("[^a]".to_owned()),
        Just("(?i:A)".to_owned()),
        Just(r"\b".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
        Just(String::new()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}{b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
            inner.clone().prop_map(|a| format!("(?:{a})*")),
            inner.clone().prop_map(|a| format!("(?:{a})+")),
            inner.clone().prop_map(|a| format!("(?:{a})?")),
            (inner, 0..3u32, 0..3u32).prop_map(|(a, low, more)| format!("(?:{a}){{{low},{}}}", low + more)),
        ]
    })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let text = prop_oneof![
        8 => pattern().prop_map(|p| format!("^{p}$")),
        1 => (1..5usize).prop_map(|n| format!("text<={n}")),
        1 => (0..130u64).prop_map(|n| format!("int<={n}")),
        1 => Just("bool".to_owned()),
        1 => "[abé/]{0,3}".prop_map(|v| format!("={v}")),
    ];
    text.prop_filter_map("no rule", |text| Rule::parse(&text).ok())
}

/// Every text over a small alphabet up to a length, the shortest first.
fn all_texts(most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..most {
        last = last.iter().flat_map(|t| ["a", "b", "A", "é", "/", "1", "0"].map(|c| format!("{t}{c}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a search says, trying out every short text never says otherwise; and what it shows is shortest in bytes.
    #[test]
    fn trying_everything_agrees(new in any_rule(), old in any_rule()) {
        let witness = |in_path: bool| all_texts(4).into_iter().find(|t| {
            let slash = in_path && t.contains('/');
            let by_kind = |r: &Rule| !slash || matches!(r, Rule::Pattern(_) | Rule::Fixed(_));
            new.allows(t) && by_kind(&new) && !(old.allows(t) && by_kind(&old))
        });
        match included(&new, &old, false) {
            Inclusion::Inside => prop_assert_eq!(witness(false), None),
            Inclusion::Outside(words) => {
                prop_assert!(!words.is_empty());
                for word in &words {
                    prop_assert!(new.allows(word) && !old.allows(word), "{:?} of {} in {}", word, new, old);
                }
            }
            // Unicode word boundaries only.
            Inclusion::Undecided(why) => {
                prop_assert!(format!("{new}{old}").contains(r"\b"), "{}: {} in {}", why, new, old);
            }
        }
        if included(&new, &old, true) == Inclusion::Inside {
            prop_assert_eq!(witness(true), None);
        }
    }

    /// A machine accepts what its rule allows.
    #[test]
    fn machines_read_as_rules_do(rule in any_rule(), text in "[abAé/0-9 \u{7f}\u{85}]{0,5}") {
        let Ok(language) = Language::of(&rule) else { return Ok(()) };
        let word = Language::words([text.as_str()]);
        let found = search(&[&language, &word], &[]);
        prop_assert_eq!(found != Search::None, rule.allows(&text), "{} {:?}", rule, text);
    }
}
