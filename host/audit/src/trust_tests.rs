#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::test_support::{TestLog, key, name, trust, vkey};
use jiff::Timestamp;

const LOG: &str = "example.com/log";

fn witness_key(number: u8, called: &str) -> VerifierKey {
    key(number).cosigner(name(called)).verifier_key().clone()
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let log = || Trust::log(vec![vkey(&key(1), LOG)]).unwrap();
    assert!(Trust::log(Vec::new()).is_err());
    assert!(Trust::log(vec![vkey(&key(1), "a"), vkey(&key(2), "b")]).is_err());
    assert!(Trust::log(vec![witness_key(1, LOG)]).is_err());
    assert!(Trust::deployment(Vec::new()).is_err());
    assert!(log().with_witnesses(vec![vkey(&key(2), "w")], 1).is_err());
    assert!(log().with_witnesses(vec![witness_key(2, "w")], 2).is_err());
    let twice = log().with_witnesses(vec![witness_key(2, "w"), witness_key(2, "v")], 2);
    assert!(twice.unwrap_err().to_string().contains("twice"));
    let own = log().with_witnesses(vec![witness_key(1, "w")], 1);
    assert!(own.unwrap_err().to_string().contains("own"));
    assert!(log().with_witnesses(vec![witness_key(2, "w"), witness_key(3, "v")], 2).is_ok());
}

#[test]
fn a_checkpoint_opens_with_the_logs_key_and_no_other() {
    let log = TestLog::numbered(5);
    let note = log.signed(LOG, 5, &key(1)).to_string();
    let opened = trust(&key(1), LOG).open(note.as_bytes()).unwrap();
    assert_eq!(opened.checkpoint, log.checkpoint(LOG, 5));
    assert_eq!(opened.signed_by, vec![vkey(&key(1), LOG)]);
    assert!(matches!(trust(&key(2), LOG).open(note.as_bytes()), Err(AuditError::Unsigned { .. })));
    let error = trust(&key(1), "example.com/other").open(note.as_bytes()).unwrap_err();
    assert!(matches!(error, AuditError::Origin { .. }), "{error}");
    // The deployment's key opens each of its logs, under the log's own name.
    let deployment = Trust::deployment(vec![key(1).public()]).unwrap();
    assert!(deployment.open(note.as_bytes()).is_ok());
    assert!(deployment.open(note.replacen(LOG, "example.com/tenant", 1).as_bytes()).is_err());
}

#[test]
fn a_signature_under_another_logs_name_does_not_count() {
    // The same key, the same text, and the name of another log on the signature.
    let log = TestLog::numbered(5);
    let text = log.checkpoint(LOG, 5).to_string();
    let note = Note::sign(text, &key(1).signer(name("example.com/other"))).unwrap();
    let deployment = Trust::deployment(vec![key(1).public()]).unwrap();
    assert!(matches!(deployment.open(note.to_string().as_bytes()), Err(AuditError::Unsigned { .. })));
}

#[test]
fn after_a_change_of_key_both_are_believed() {
    let log = TestLog::numbered(5);
    let both = Trust::log(vec![vkey(&key(2), LOG), vkey(&key(1), LOG)]).unwrap();
    for number in [1, 2] {
        assert!(both.open(log.signed(LOG, 5, &key(number)).to_string().as_bytes()).is_ok());
    }
}

#[test]
fn witnesses_are_counted_once_each_and_never_in_the_logs_place() {
    let log = TestLog::numbered(5);
    let trust = trust(&key(1), LOG).with_witnesses(vec![witness_key(2, "w"), witness_key(3, "v")], 2).unwrap();
    let mut note = log.signed(LOG, 5, &key(1));
    let text = note.text().to_owned();
    note.add(key(2).cosigner(name("w")).cosign(&text, 1));
    // A second time by the same witness takes the place of the first.
    note.add(key(2).cosigner(name("w")).cosign(&text, 2));
    let opened = trust.open_note(note.clone()).unwrap();
    assert_eq!(opened.cosigned, vec![Cosigned { witness: name("w"), at: 2 }]);
    assert!(matches!(trust.demand_quorum(&opened), Err(AuditError::Quorum { found: 1, wanted: 2 })));
    note.add(key(3).cosigner(name("v")).cosign(&text, Timestamp::UNIX_EPOCH.as_second() as u64));
    assert!(trust.demand_quorum(&trust.open_note(note.clone()).unwrap()).is_ok());
    // Witnesses alone don't make a checkpoint.
    let witnessed = note.to_string();
    let (head, tail) = witnessed.split_once("— example.com/log ").unwrap();
    let without = format!("{head}{}", tail.split_once('\n').unwrap().1);
    assert!(matches!(trust.open(without.as_bytes()), Err(AuditError::Unsigned { .. })));
}
