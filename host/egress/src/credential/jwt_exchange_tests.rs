#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use crate::secret::test_keys::{pkcs1_pem, pkcs8_pem};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

#[test]
fn a_jwt_verifies_with_the_public_key() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for pem in [pkcs1_pem(), pkcs8_pem()] {
        let jwt = sign(&pem, "12345", now).unwrap();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = rsa::read_private_key(&pem).unwrap();
        let public: &[u8] = key.public().as_ref();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(signed.as_bytes(), &signature).unwrap();

        let (head, claims) = signed.split_once('.').unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(head).unwrap(), br#"{"alg":"RS256","typ":"JWT"}"#);
        let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let expected = serde_json::json!({ "iat": 1_699_999_940, "exp": 1_700_000_540, "iss": "12345" });
        assert_eq!(claims, expected);
    }
}

#[test]
fn a_clock_before_the_epoch_signs_nothing() {
    assert!(sign(&pkcs1_pem(), "1", UNIX_EPOCH - Duration::from_secs(1)).is_err());
}
