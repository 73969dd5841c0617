#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use crate::context::{Actor, OpContext};
use crate::id::{InstanceId, RunId};
use crate::run::SliceKey;
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

const SALT: [u8; SALT_BYTES] = [7; SALT_BYTES];

fn ctx(name: &str) -> OpContext {
    OpContext { actor: Actor::Person(name.to_owned()), request: Uuid::nil() }
}

fn record(entry: Entry) -> Record {
    let at: Timestamp = "2026-03-04T05:06:07.000089Z".parse().unwrap();
    entry.into_record(&ctx("ada"), Uuid::nil(), at, &SALT)
}

fn slice(partition: &str) -> SliceKey {
    SliceKey { step: "repos".parse().unwrap(), partition: partition.parse().unwrap() }
}

#[test]
fn a_record_has_the_canonical_form_and_reads_back() {
    let nil = Uuid::nil();
    let entry = Entry::new(Action::RunFinished, Object::run(RunId(nil)))
        .instance(InstanceId(nil))
        .run(RunId(nil))
        .reason("ends \"well\"\n")
        .count("created", 3)
        .count("created", 4)
        .digest("graph", "blake3:00")
        .fact("outcome", "succeeded");
    let record = record(entry);
    let leaf = record.to_leaf();
    assert_eq!(
        leaf,
        concat!(
            r#"{"action":"run.finished","actor":"person:ada","at":"2026-03-04T05:06:07.000089Z","counts":{"created":7},"#,
            r#""digests":{"graph":"blake3:00"},"facts":{"outcome":"succeeded"},"#,
            r#""id":"00000000-0000-0000-0000-000000000000","instance":"00000000-0000-0000-0000-000000000000","#,
            r#""object":{"id":"00000000-0000-0000-0000-000000000000","kind":"run"},"reason":"ends \"well\"","#,
            r#""request":"00000000-0000-0000-0000-000000000000","run":"00000000-0000-0000-0000-000000000000","v":1}"#
        )
    );
    assert_eq!(crate::json::canonical(leaf.as_bytes()).unwrap(), leaf);
    assert_eq!(Record::parse(leaf.as_bytes()).unwrap(), record);
}

#[test]
fn another_spelling_another_field_and_another_form_are_refused() {
    let leaf = record(Entry::new(Action::TenantCreated, Object::new("tenant", "x")).fact("name", "acme")).to_leaf();
    let spellings = [
        leaf.replace(r#""v":1"#, r#""v": 1"#),
        leaf.replace("acme", r"\u0061cme"),
        leaf.replace(".000089Z", ".000089+00:00"),
        leaf.replace(r#""name":"acme""#, r#""name":"acme","name":"acme""#),
        leaf.replace("00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000"),
    ];
    for other in spellings {
        assert!(matches!(Record::parse(other.as_bytes()), Err(RecordError::NotCanonical)), "{other}");
    }
    let unknown = leaf.replace(r#""v":1"#, r#""v":1,"w":1"#);
    assert!(matches!(Record::parse(unknown.as_bytes()), Err(RecordError::Syntax(_))));
    let newer = leaf.replace(r#""v":1"#, r#""v":2"#);
    assert!(matches!(Record::parse(newer.as_bytes()), Err(RecordError::Version(2))));
    let long = " ".repeat(MAX_LEAF_BYTES + 1);
    assert!(matches!(Record::parse(long.as_bytes()), Err(RecordError::TooLong(_))));
}

#[test]
fn a_committed_value_is_not_in_the_record_and_not_in_its_debug_form() {
    let entry = Entry::new(Action::ConfigChanged, Object::new("config", "porthole.toml")).commit("after", "hunter2");
    assert!(entry.has_commitments());
    assert!(!format!("{entry:?}").contains("hunter2"));
    let record = record(entry);
    assert!(!record.to_leaf().contains("hunter2"));
    assert_eq!(record.digests["after"], commitment(&SALT, b"hunter2"));
    assert_ne!(commitment(&[8; SALT_BYTES], b"hunter2"), commitment(&SALT, b"hunter2"));
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut entry = Entry::new(Action::RunFinished, Object::new("run", "x"));
    for n in 0..1_000 {
        entry = entry.count(&format!("c{n}"), 1).fact(&format!("f{n}"), "x").digest(&format!("d{n}"), "y");
    }
    let record = record(entry);
    assert!(record.counts.len() <= 258 && record.facts.len() == 32 && record.digests.len() == 32);
    assert!(record.counts["left-out"] >= 1_000 - 256);
}

#[test]
fn the_widest_record_fits() {
    // Each character here is written as two.
    let wide = "\"".repeat(5_000);
    let mut entry = Entry::new(Action::RunFinished, Object::new("run", &wide)).reason(&wide).operation(&wide);
    entry = entry.denied(&wide).slice(&slice(&"\"".repeat(256)));
    for n in 0..1_000 {
        let key = format!("{n}{}", "k".repeat(100));
        entry = entry.count(&key, u64::MAX).fact(&key, &wide).digest(&key, &wide).commit(&key, "v");
    }
    let frame = record(entry.clone()).to_leaf().len();
    assert!(frame <= MAX_LEAF_BYTES, "{frame}");
    let calls: Vec<CallMade> =
        (0..2_000).map(|n| CallMade::new(i64::MIN + n, &slice(&"\"".repeat(256)), &wide, Some(&wide))).collect();
    let ends: Vec<CallEnded> =
        (0..2_000).map(|n| CallEnded::new(i64::MIN + n, Some(u16::MAX), Some(&wide), u64::MAX)).collect();
    for part in made_in_batches(calls.clone()) {
        let record = record(Entry::new(Action::CallsDenied, Object::new("run", &wide)).calls(part).count("calls", 1));
        assert!(record.to_leaf().len() <= MAX_LEAF_BYTES);
    }
    for part in ended_in_batches(ends.clone()) {
        let record = record(Entry::new(Action::CallsEnded, Object::new("run", &wide)).ends(part));
        assert!(record.to_leaf().len() <= MAX_LEAF_BYTES);
    }
    assert_eq!(made_in_batches(calls.clone()).concat(), calls);
    assert_eq!(ended_in_batches(ends.clone()).concat(), ends);
}

#[test]
fn a_word_of_a_guest_is_safe_to_show() {
    let call = CallMade::new(1, &slice(""), "list\u{1b}[2J\u{202e}repos\0", Some("granted"));
    assert_eq!(call.operation, "list?[2J?repos?");
}

proptest! {
    #[test]
    fn whatever_texts_come_in_the_record_reads_back(
        name in ".{0,300}", id in ".{0,300}", reason in ".{0,1200}", key in ".{0,80}", value in ".{0,300}", n in any::<u64>()
    ) {
        let entry = Entry::new(Action::InstanceChanged, Object::new("instance", &id))
            .reason(&reason).count(&key, n).fact(&key, &value).digest(&key, &value).operation(&value).denied(&key);
        let record = entry.into_record(&ctx(&name), Uuid::now_v7(), Timestamp::UNIX_EPOCH, &SALT);
        let leaf = record.to_leaf();
        prop_assert!(leaf.len() <= MAX_LEAF_BYTES);
        prop_assert_eq!(crate::json::canonical(leaf.as_bytes()).unwrap(), leaf.clone());
        prop_assert_eq!(Record::parse(leaf.as_bytes()).unwrap(), record);
    }
}
