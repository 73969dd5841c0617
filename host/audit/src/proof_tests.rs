#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::test_support::{TestLog, key, name, trust};
use crate::tree::inclusion_proof;
use proptest::prelude::*;

const LOG: &str = "example.com/log";

fn proof(index: u64, size: u64) -> LeafProof {
    let log = TestLog::numbered(size);
    LeafProof {
        leaf: Some(format!("leaf {index}").into_bytes()),
        index,
        hashes: inclusion_proof(index, size, &log.nodes).unwrap(),
        checkpoint: log.signed(LOG, size, &key(1)),
    }
}

#[test]
fn a_proof_is_read_written_back_and_holds() {
    for (index, size) in [(0, 1), (3, 8), (299, 300)] {
        let made = proof(index, size);
        let text = made.to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra "));
        let read = LeafProof::parse(text.as_bytes()).unwrap();
        assert_eq!((&read, read.to_string()), (&made, text));
        let proven = read.verify(None, &trust(&key(1), LOG)).unwrap();
        assert_eq!(proven.leaf, format!("leaf {index}").as_bytes());
        assert_eq!((proven.index, proven.checkpoint.checkpoint.size), (index, size));
    }
}

#[test]
fn the_leaf_may_come_beside_the_file_but_not_twice_differently() {
    let mut apart = proof(3, 8);
    let trust = trust(&key(1), LOG);
    assert!(apart.verify(Some(b"leaf 3"), &trust).is_ok());
    assert!(apart.verify(Some(b"leaf 4"), &trust).unwrap_err().to_string().contains("beside"));
    apart.leaf = None;
    let read = LeafProof::parse(apart.to_string().as_bytes()).unwrap();
    assert_eq!(read, apart);
    assert!(read.verify(None, &trust).is_err());
    assert!(read.verify(Some(b"leaf 3"), &trust).is_ok());
    assert!(read.verify(Some(b"leaf 4"), &trust).is_err());
}

#[test]
fn a_proof_of_another_leaf_key_or_place_does_not_hold() {
    let good = proof(3, 8);
    assert!(good.verify(None, &trust(&key(2), LOG)).is_err());
    assert!(good.verify(None, &trust(&key(1), "example.com/other")).is_err());
    let other = LeafProof { leaf: Some(b"leaf 4".to_vec()), ..good.clone() };
    assert!(other.verify(None, &trust(&key(1), LOG)).is_err());
    let moved = LeafProof { index: 2, ..good.clone() };
    assert!(moved.verify(None, &trust(&key(1), LOG)).is_err());
    let lonely =
        trust(&key(1), LOG).with_witnesses(vec![key(2).cosigner(name("w")).verifier_key().clone()], 1).unwrap();
    assert!(matches!(good.verify(None, &lonely), Err(AuditError::Quorum { found: 0, wanted: 1 })));
}

#[test]
fn what_is_no_proof_file_is_refused_with_its_line() {
    let good = proof(3, 8).to_string();
    let first_hash = good.lines().nth(3).unwrap();
    let cases = [
        (String::new(), 1),
        (good.replacen("@v1", "@v2", 1), 1),
        (good.replacen("extra ", "extra !", 1), 2),
        (good.replacen("extra ", "extras ", 1), 2),
        (good.replacen("index 3", "index 03", 1), 3),
        (good.replacen("index 3", "index  3", 1), 3),
        (good.replacen("index 3", "index -3", 1), 3),
        (good.replacen(first_hash, "AAAA", 1), 4),
        (good.replacen(first_hash, &format!("{first_hash}\n").repeat(70), 1), 69),
    ];
    for (text, line) in cases {
        let error = LeafProof::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, AuditError::Format { line: l, .. } if l == line) || line == 69, "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = LeafProof::parse(&bytes);
    }

    #[test]
    fn one_changed_byte_is_noticed(at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = proof(5, 11).to_string().into_bytes();
        let at = at.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        let holds = LeafProof::parse(&bytes).is_ok_and(|proof| proof.verify(None, &trust(&key(1), LOG)).is_ok());
        prop_assert!(!holds);
    }
}
