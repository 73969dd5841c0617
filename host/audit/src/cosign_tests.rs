#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use super::*;
use crate::key::LogKey;
use crate::test_support::{TestLog, key, name, trust};
use crate::tree::consistency_proof;
use proptest::prelude::*;

const LOG: &str = "example.com/log";

fn request(log: &TestLog, old: u64, size: u64, key: &LogKey) -> WitnessRequest {
    let proof = consistency_proof(old, size, &log.nodes).unwrap();
    WitnessRequest { old_size: old, proof, checkpoint: log.signed(LOG, size, key) }
}

fn decide(seen: Option<&Checkpoint>, request: &WitnessRequest) -> Result<Approved, Refusal> {
    review(seen, request, &trust(&key(1), LOG))
}

#[test]
fn a_witness_follows_a_log_as_it_grows() {
    let log = TestLog::numbered(300);
    let mut seen: Option<Checkpoint> = None;
    for size in [0, 1, 2, 2, 7, 255, 256, 300] {
        let old = seen.as_ref().map_or(0, |seen| seen.size);
        let approved = decide(seen.as_ref(), &request(&log, old, size, &key(1))).unwrap();
        seen = Some(approved.checkpoint().clone());
        let witness = key(9);
        let cosigner = witness.cosigner(name("witness.example/w1"));
        let note = approved.cosign(&cosigner, "2026-05-01T00:00:00Z".parse().unwrap());
        let verified = note.verify(std::slice::from_ref(cosigner.verifier_key())).unwrap();
        assert_eq!(verified.first().unwrap().at, Some(1_777_593_600));
        // Signed once more, later: the line is replaced.
        let again = approved.cosign(&cosigner, "2026-05-02T00:00:00Z".parse().unwrap());
        assert_eq!(again.signatures().len(), 2);
    }
}

#[test]
fn a_fork_is_refused_and_named() {
    let log = TestLog::numbered(20);
    let mut fork = TestLog::numbered(9);
    (9..20).for_each(|n| fork.push(format!("another leaf {n}").as_bytes()));
    let seen = log.checkpoint(LOG, 12);
    // The same size.
    let refusal = decide(Some(&seen), &request(&fork, 12, 12, &key(1))).unwrap_err();
    assert!(matches!(refusal, Refusal::Fork { size: 12, .. }), "{refusal}");
    assert!(refusal.to_string().starts_with("FORK"), "{refusal}");
    // Grown from the other history, with a proof that holds there.
    let refusal = decide(Some(&seen), &request(&fork, 12, 20, &key(1))).unwrap_err();
    assert!(matches!(refusal, Refusal::BadProof { from: 12, to: 20, .. }), "{refusal}");
    // Grown from before the fork, as if nothing had been seen since.
    let refusal = decide(Some(&seen), &request(&fork, 9, 20, &key(1))).unwrap_err();
    assert!(matches!(refusal, Refusal::OtherStart { seen: 12, offered: 9 }), "{refusal}");
}

#[test]
fn what_is_older_foreign_or_unproved_is_refused() {
    let log = TestLog::numbered(20);
    let seen = log.checkpoint(LOG, 12);
    let refusal = decide(Some(&seen), &request(&log, 5, 8, &key(1))).unwrap_err();
    assert!(matches!(refusal, Refusal::OlderThanSeen { seen: 12, offered: 8 }), "{refusal}");
    let refusal = decide(Some(&seen), &request(&log, 12, 20, &key(2))).unwrap_err();
    assert!(matches!(refusal, Refusal::NotSigned(_)), "{refusal}");
    let refusal = decide(Some(&log.checkpoint("example.com/other", 12)), &request(&log, 12, 20, &key(1))).unwrap_err();
    assert!(matches!(refusal, Refusal::OtherLog { .. }), "{refusal}");
    let mut unproved = request(&log, 12, 20, &key(1));
    unproved.proof.clear();
    assert!(matches!(decide(Some(&seen), &unproved), Err(Refusal::BadProof { .. })));
    // A first sight needs no proof, and none is accepted.
    let mut first = request(&log, 0, 20, &key(1));
    assert!(decide(None, &first).is_ok());
    first.proof.push(Hash([0; 32]));
    assert!(matches!(decide(None, &first), Err(Refusal::BadProof { .. })));
    // The same again.
    assert!(decide(Some(&seen), &request(&log, 12, 12, &key(1))).is_ok());
}

#[test]
fn a_request_is_read_and_written_back() {
    let log = TestLog::numbered(20);
    for old in [0, 1, 7, 20] {
        let made = request(&log, old, 20, &key(1));
        let text = made.to_string();
        let read = WitnessRequest::parse(text.as_bytes()).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.to_string(), text);
    }
    let good = request(&log, 7, 20, &key(1)).to_string();
    let too_many = format!("old 7\n{}", format!("{}\n", Hash([0; 32])).repeat(64));
    let cases = [
        (good.replacen("old ", "new ", 1), "line 1: it should be `old`"),
        (good.replacen("old 7", "old 07", 1), "line 1: it should be `old`"),
        (good.replacen("old 7\n", "old 7\n\n", 1), "no checkpoint: line"),
        (good.replacen("=\n", "\n", 1), "line 2: it is not the base64"),
        (good.replacen("old 7\n", &too_many, 1), "line 65: there are more"),
        (good.replacen("\n\n", "\n", 2), "no empty line"),
    ];
    for (text, expected) in cases {
        let error = WitnessRequest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = WitnessRequest::parse(&bytes);
    }

    #[test]
    fn one_changed_byte_gets_no_signature(at: prop::sample::Index, bit in 0_u8..8) {
        let log = TestLog::numbered(20);
        let seen = log.checkpoint(LOG, 7);
        let mut bytes = request(&log, 7, 20, &key(1)).to_string().into_bytes();
        let at = at.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        let signed = WitnessRequest::parse(&bytes).is_ok_and(|request| decide(Some(&seen), &request).is_ok());
        prop_assert!(!signed);
    }
}
