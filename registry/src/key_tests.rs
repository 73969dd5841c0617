#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use super::*;

/// The first key of RFC 8410, 10.3: `openssl genpkey -algorithm ed25519` writes this form.
const V1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
/// Its public half, from the same page.
const PUBLIC_OF_V1: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

fn key() -> SigningKey {
    SigningKey::from_pem(V1.as_bytes()).unwrap()
}

#[test]
fn reads_the_keys_of_the_rfc() {
    let public = PublicKey::from_pem(PUBLIC_OF_V1.as_bytes()).unwrap();
    assert_eq!(key().public(), public);
    assert_eq!(public.to_pem(), PUBLIC_OF_V1);
    // As `openssl pkey -pubin -outform DER | sha256sum` says.
    assert_eq!(public.id().to_string(), "sha256:a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f");
}

#[test]
fn reads_both_versions_of_pkcs8() {
    let v2 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let text = pem::encode(v2.as_ref(), PRIVATE);
    let read = SigningKey::from_pem(text.as_bytes()).unwrap();
    assert_eq!(read.public().0, Ed25519KeyPair::from_pkcs8(v2.as_ref()).unwrap().public_key().as_ref());
    let (text, made) = SigningKey::generate().unwrap();
    assert_eq!(SigningKey::from_pem(text.as_bytes()).unwrap().public(), made.public());
    assert_ne!(SigningKey::generate().unwrap().1.public(), made.public());
}

#[test]
fn verifies_what_was_signed_and_nothing_else() {
    let signature = key().sign(b"this");
    let public = key().public();
    assert!(public.verifies(b"this", &signature));
    assert!(!public.verifies(b"that", &signature));
    assert!(!SigningKey::generate().unwrap().1.public().verifies(b"this", &signature));
    for bit in 0..SIGNATURE_BYTES * 8 {
        let mut other = signature;
        other.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!public.verifies(b"this", &other), "bit {bit}");
    }
    assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
}

#[test]
fn refuses_what_is_no_key() {
    let ec =
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n";
    let cases = [
        String::new(),
        "hello".to_owned(),
        PUBLIC_OF_V1.to_owned(),
        ec.to_owned(),
        V1.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        V1.replace("-----END PRIVATE KEY-----", ""),
        format!("{V1}{V1}"),
        format!("{V1}more"),
        V1.replace("MC4C", "MC4D"),
        V1.replace("VhC", "Vh"),
        "x".repeat(pem::MAX_PEM_BYTES + 1),
    ];
    for text in &cases {
        let error = SigningKey::from_pem(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("no private key (PEM, PKCS#8): "), "{text}: {error}");
    }
    assert!(PublicKey::from_pem(V1.as_bytes()).is_err());
    assert!(PublicKey::from_pem(PUBLIC_OF_V1.replace("MCow", "MCox").as_bytes()).is_err());
    assert!("sha256:00".parse::<KeyId>().is_err() && "AAAA".parse::<Signature>().is_err());
}

#[test]
fn prints_no_private_key() {
    assert_eq!(format!("{:?}", key()), format!("SigningKey({}, [redacted])", key().public().id()));
}
