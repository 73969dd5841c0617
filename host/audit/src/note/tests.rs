#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::key::LogKey;
use crate::test_support::{key, name, vkey};
use proptest::prelude::*;

/// The example of Go's `sumdb/note`: a text, its two signers, and the signing key of the first.
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SIGNED: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const PETER_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const ENOCH_SIGNED: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

/// The example of C2SP signed-note.
const FOO: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const FOO_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// A checkpoint of a public log, co-signed by public witnesses in May 2026.
const PUBLIC: &str = "\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";
const REMORA: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
const LITTLE_GARDEN: &str =
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM";
const SMARTIT: &str = "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO";
const STAGEMOLE: &str = "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv";
/// When they co-signed.
const PUBLIC_TIME: u64 = 0x6a12_2120;

fn keys(texts: &[&str]) -> Vec<VerifierKey> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_published_notes_verify_and_keep_their_bytes() {
    let note = Note::parse(FOO_NOTE.as_bytes()).unwrap();
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.verify(&keys(&[FOO])).unwrap().len(), 1);
    assert_eq!(note.to_string(), FOO_NOTE);

    let two = format!("{TEXT}\n{PETER_SIGNED}{ENOCH_SIGNED}");
    let note = Note::parse(two.as_bytes()).unwrap();
    assert_eq!(note.verify(&keys(&[PETER])).unwrap().len(), 1);
    assert_eq!(note.verify(&keys(&[PETER, ENOCH])).unwrap().len(), 2);
    assert_eq!(note.to_string(), two);
    for text in [FOO, PETER, ENOCH, REMORA] {
        assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
    }
}

#[test]
fn a_signature_is_the_published_one_byte_for_byte() {
    let seed = STANDARD.decode(PETER_SEED).unwrap();
    let key = LogKey::from_seed(seed.get(1..).unwrap().try_into().unwrap()).unwrap();
    let signer = key.signer(name("PeterNeumann"));
    assert_eq!(signer.verifier_key().to_string(), PETER);
    assert_eq!(Note::sign(TEXT, &signer).unwrap().to_string(), format!("{TEXT}\n{PETER_SIGNED}"));
}

#[test]
fn cosignatures_of_public_witnesses_verify_with_their_time() {
    let note = Note::parse(PUBLIC.as_bytes()).unwrap();
    assert_eq!(note.to_string(), PUBLIC);
    let witnesses = keys(&[REMORA, LITTLE_GARDEN, SMARTIT, STAGEMOLE]);
    let verified = note.verify(&witnesses).unwrap();
    assert_eq!(verified.len(), 4);
    assert!(verified.iter().all(|v| v.at == Some(PUBLIC_TIME)));
    // The time is signed too.
    let later = PUBLIC.replace("2net5wAAAABqEiEg", "2net5wAAAABqEiEh");
    let error = Note::parse(later.as_bytes()).unwrap().verify(&witnesses).unwrap_err();
    assert!(error.to_string().contains("remora.n621.de"), "{error}");
}

#[test]
fn unknown_keys_are_passed_over_even_under_a_known_name_or_id() {
    let (known, other) = (key(1), key(2));
    let mut note = Note::sign("text\n", &known.signer(name("log"))).unwrap();
    note.add(other.signer(name("log")).sign("another text\n"));
    note.add(other.signer(name("elsewhere")).sign("text\n"));
    let read = Note::parse(note.to_string().as_bytes()).unwrap();
    let trusted = [vkey(&known, "log")];
    assert_eq!(read.verify(&trusted).unwrap().len(), 1);
    let error = read.verify(&[vkey(&key(3), "log")]).unwrap_err();
    assert!(error.to_string().starts_with("no trusted key has signed; it carries signatures of: log+"), "{error}");
    // The id alone, under another name.
    let mut forged = read.signatures().first().unwrap().clone();
    forged.name = name("someone");
    forged.bytes = vec![0; 64];
    note.add(forged);
    assert_eq!(note.verify(&trusted).unwrap().len(), 1);
}

#[test]
fn a_wrong_signature_of_a_known_key_spoils_the_note_whoever_else_signed() {
    let (a, b) = (key(1), key(2));
    let mut note = Note::sign("text\n", &a.signer(name("a"))).unwrap();
    note.add(b.signer(name("b")).sign("another text\n"));
    let error = note.verify(&[vkey(&a, "a"), vkey(&b, "b")]).unwrap_err();
    assert!(matches!(error, AuditError::BadSignature { .. }), "{error}");
    assert_eq!(note.verify(&[vkey(&a, "a")]).unwrap().len(), 1);
}

#[test]
fn a_key_that_signs_twice_is_refused() {
    let line = PETER_SIGNED;
    let note = Note::parse(format!("{TEXT}\n{line}{line}").as_bytes()).unwrap();
    assert!(matches!(note.verify(&keys(&[PETER])), Err(AuditError::RepeatedSignature { .. })));
}

#[test]
fn what_is_no_note_is_refused_with_its_line() {
    let good = format!("{TEXT}\n{PETER_SIGNED}");
    let cases: [(String, usize, &str); 12] = [
        (String::new(), 0, "empty line"),
        (TEXT.to_owned(), 0, "empty line"),
        (format!("{TEXT}\n"), 4, "newline"),
        (good.trim_end().to_owned(), 4, "newline"),
        (format!("{good}\n"), 6, "newline"),
        (good.replace("think", "th\tink"), 1, "control"),
        (good.replace("then", "th\ren"), 2, "control"),
        (good.replace("— Peter", "- Peter"), 4, "em dash"),
        (good.replace("Neumann x08", "Neumann  x08"), 4, "base64"),
        (good.replace("JnAM=", "JnAM"), 4, "base64"),
        (good.replace("JnAM=", "JnAN="), 4, "base64"),
        (format!("{TEXT}\n— a AAAAAA==\n"), 4, "empty"),
    ];
    for (text, line, rule) in cases {
        let error = Note::parse(text.as_bytes()).unwrap_err();
        let AuditError::Note { line: found, rule: says } = &error else { panic!("{error}") };
        assert_eq!(*found, line, "{text:?}: {error}");
        assert!(says.contains(rule), "{text:?}: {error}");
    }
    assert!(Note::parse(b"text\xff\n\n").is_err());
    let many = format!("{TEXT}\n{}", PETER_SIGNED.repeat(MAX_SIGNATURES + 1));
    assert!(Note::parse(many.as_bytes()).unwrap_err().to_string().contains("32"));
    let long = "x".repeat(MAX_NOTE_BYTES);
    assert!(Note::parse(format!("{long}\n\n{PETER_SIGNED}").as_bytes()).is_err());
}

#[test]
fn a_text_that_could_not_be_read_back_is_not_signed() {
    let signing = key(1);
    let signer = signing.signer(name("log"));
    for text in ["", "no newline", "tab\t\n", "\u{7}\n"] {
        assert!(Note::sign(text, &signer).is_err(), "{text:?}");
    }
    for text in ["\n", "a\n\nb\n", "a\n\n", "— log AAAA\n"] {
        let note = Note::sign(text, &signer).unwrap();
        assert_eq!(note.text(), text);
    }
}

#[test]
fn a_verifier_key_whose_parts_do_not_fit_is_refused() {
    let cases = [
        ("PeterNeumann", "three parts"),
        ("PeterNeumann+c74f20a3", "three parts"),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "id"),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "id"),
        ("PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "id"),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", "base64"),
        ("PeterNeumann+c74f20a3+ARpc", "32 bytes"),
        ("PeterNeumann+c74f20a3+", "empty"),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "name"),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "name"),
        ("rekor.sigstore.dev+12345678+AwEB", "algorithm"),
    ];
    for (text, rule) in cases {
        let error = text.parse::<VerifierKey>().unwrap_err().to_string();
        assert!(error.contains(rule), "{text}: {error}");
    }
}

#[test]
fn names_are_one_word() {
    for bad in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\nb", "a\u{7f}b", &"x".repeat(256)] {
        assert!(KeyName::new(bad).is_err(), "{bad:?}");
    }
    for good in ["a", "porthole.example/tenant/0190", "é", &"x".repeat(255)] {
        assert!(KeyName::new(good).is_ok(), "{good:?}");
    }
}

proptest! {
    #[test]
    fn what_is_accepted_is_written_back_as_it_was(text in "[a-z— \\n\\PC]{0,40}", tail in "(\\n— [a-z+ ]{0,3} [A-Za-z0-9+/=]{0,12}\\n){0,3}") {
        for bytes in [format!("{text}{tail}"), format!("{text}\n\n— a AAAAAAAA\n"), tail.clone()] {
            if let Ok(note) = Note::parse(bytes.as_bytes()) {
                prop_assert_eq!(note.to_string(), bytes);
            }
        }
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Note::parse(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = text.parse::<VerifierKey>();
        }
    }

    #[test]
    fn one_changed_byte_is_noticed(at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = format!("{TEXT}\n{PETER_SIGNED}").into_bytes();
        let at = at.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        let verified = Note::parse(&bytes).is_ok_and(|note| note.verify(&keys(&[PETER])).is_ok());
        prop_assert!(!verified);
    }
}
