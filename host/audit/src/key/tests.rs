#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::name::KeyName;
use crate::note::Note;
use crate::test_support::name;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The example of RFC 8410 §10.3: version 1, as `openssl genpkey` makes it, and its public half from §10.1.
const V1: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const V1_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn open(text: &str) -> Result<LogKey, crate::error::AuditError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    write(&path, text, 0o600);
    LogKey::open(&path)
}

#[test]
fn the_published_key_is_read_and_its_public_half_exported() {
    let key = open(V1).unwrap();
    assert_eq!(key.public().to_pem(), V1_PUBLIC);
    assert_eq!(PublicKey::from_pem(V1_PUBLIC.as_bytes()).unwrap(), key.public());
}

#[test]
fn a_key_of_version_2_is_read_and_its_public_half_has_to_fit() {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let text = pem::encode(made.as_ref(), "PRIVATE KEY");
    let key = open(&text).unwrap();
    let signed = Note::sign("text\n", &key.signer(name("log"))).unwrap();
    assert!(signed.verify(std::slice::from_ref(key.signer(name("log")).verifier_key())).is_ok());
    let mut other = made.as_ref().to_vec();
    *other.last_mut().unwrap() ^= 1;
    assert!(open(&pem::encode(&other, "PRIVATE KEY")).is_err());
}

#[test]
fn a_new_file_is_the_owners_alone_and_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let made = LogKey::open_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(LogKey::open_or_create(&path).unwrap().public(), made.public());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.len(), V1.len());
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI"), "version 1");
}

#[test]
fn two_makers_get_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let keys: Vec<PublicKey> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| LogKey::open_or_create(&path).unwrap().public())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(keys.windows(2).all(|pair| pair.first() == pair.last()));
}

#[test]
fn a_file_that_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    LogKey::open_or_create(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = LogKey::open_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(LogKey::open(&path).is_ok());
    }
}

#[test]
fn what_is_no_key_is_refused_and_not_shown() {
    let cases = [
        String::new(),
        "nothing".to_owned(),
        V1_PUBLIC.to_owned(),
        V1.replace("PRIVATE", "RSA PRIVATE"),
        V1.replace("MC4CAQAwBQYDK2VwBCIEI", "MC4CAQAwBQYDK2VwBCIEJ"),
        V1.replace("dVhC", "dVh"),
        V1.replace("MC4C", "MC4D"),
        format!("{V1}{V1}"),
        format!("# mine\n{V1}"),
        V1.replace("K2Vw", "K2Vu"),
        "x".repeat(5000),
    ];
    for text in cases {
        let error = open(&text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("1HJy"), "{shown}");
        assert!(!shown.contains("INTuctv5E1hK"), "{shown}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(LogKey::open(folder.path()).is_err());
    assert!(LogKey::open(&folder.path().join("missing")).unwrap_err().to_string().contains("can't be opened"));
    // Line ends of another system, and none at the end, are as good.
    assert!(open(&V1.replace('\n', "\r\n")).is_ok());
    assert!(open(V1.trim_end()).is_ok());
}

#[test]
fn no_private_half_in_debug_output() {
    let key = open(V1).unwrap();
    let seed = "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842";
    let shown = format!("{key:?} {:?} {:?}", key.signer(name("a")), key.cosigner(name("b")));
    assert!(shown.contains("[redacted]"));
    assert!(!shown.contains(seed), "{shown}");
}

#[test]
fn a_public_key_of_another_kind_is_refused() {
    for text in ["", "x", V1, &V1_PUBLIC.replace("K2Vw", "K2Vu"), &"x".repeat(2000)] {
        assert!(PublicKey::from_pem(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn one_key_has_another_id_for_each_log_and_for_a_witness() {
    let key = LogKey::from_seed(&[7; 32]).unwrap();
    let ids = [
        key.signer(name("a")).verifier_key().id(),
        key.signer(name("b")).verifier_key().id(),
        key.cosigner(name("a")).verifier_key().id(),
    ];
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    assert!(KeyName::new("a").is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = PublicKey::from_pem(&bytes);
        let _ = pem::decode(&bytes, "PRIVATE KEY");
    }

    #[test]
    fn a_block_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = pem::encode(&bytes, "X");
        prop_assert!(text.lines().all(|line| line.len() <= 64));
        prop_assert_eq!(&*pem::decode(text.as_bytes(), "X").unwrap(), &bytes);
    }
}
