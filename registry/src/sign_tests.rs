#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::key::SigningKey;

fn signed() -> (SigningKey, ModuleSignature) {
    let key = SigningKey::generate().unwrap().1;
    let signature = ModuleSignature::new(&key, &"acme".parse().unwrap(), ModuleDigest([7; 32]));
    (key, signature)
}

#[test]
fn a_signature_comes_back_from_its_file() {
    let (key, signature) = signed();
    let read = ModuleSignature::from_file(signature.to_file().as_bytes()).unwrap();
    assert_eq!(read, signature);
    assert!(read.is_by(&key.public()));
    assert!(!read.is_by(&signed().0.public()));
}

#[test]
fn it_is_of_one_publisher_one_module_and_one_key() {
    let (key, signature) = signed();
    let public = key.public();
    let of_another = ModuleSignature { publisher: "evil".parse().unwrap(), ..signature.clone() };
    assert!(!of_another.is_by(&public));
    let of_other_bytes = ModuleSignature { module: ModuleDigest([8; 32]), ..signature.clone() };
    assert!(!of_other_bytes.is_by(&public));
    let (other, _) = signed();
    let with_another_key = ModuleSignature { key: other.public().id(), ..signature };
    assert!(!with_another_key.is_by(&public) && !with_another_key.is_by(&other.public()));
}

#[test]
fn the_file_has_one_spelling() {
    let text = signed().1.to_file();
    for other in [
        text.trim_end().to_owned(),
        format!("{text}\n"),
        text.replace("  ", " "),
        text.replace("\"version\": 1", "\"version\": 2"),
        text.replace("\"version\": 1", "\"version\": 1.0"),
        text.replace("{\n", "{\n  \"more\": 1,\n"),
        text.replace("acme", "Acme"),
        text.replace("sha256:0707", "sha256:070"),
        text.replace("sha256:", "SHA256:"),
        text.replace("porthole module signature", "porthole module approval"),
        "x".repeat(MAX_SIGNATURE_BYTES + 1),
    ] {
        assert!(other != text && ModuleSignature::from_file(other.as_bytes()).is_err(), "{other}");
    }
}
