//! Checks the JWT of a GitHub App as the real API does: RS256, its issuer, and at most ten minutes of life.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

/// How far ahead `exp` may lie, in seconds.
const LIFE_SECONDS_MAX: i64 = 600;
/// How far a client's clock may be ahead, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// Why a JWT is refused, in the words of the real API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtError {
    #[error("A JSON web token could not be decoded")]
    Undecodable,
    #[error("'Issuer' claim ('iss') must match the app")]
    Issuer,
    #[error("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")]
    IssuedAt,
    #[error(
        "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
    )]
    Expired,
    #[error("'Expiration time' claim ('exp') is too far in the future")]
    TooLong,
    #[error("A JSON web token could not be decoded")]
    Signature,
}

pub(super) fn check(token: &str, issuer: &str, key: Option<&[u8]>, now: i64) -> Result<(), JwtError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Undecodable)?;
    let (header, claims) = signed.split_once('.').ok_or(JwtError::Undecodable)?;
    let (header, claims) = (part(header)?, part(claims)?);
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(JwtError::Undecodable);
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::Undecodable)?;
    if let Some(key) = key {
        let key = rsa_public_key(key).ok_or(JwtError::Signature)?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| JwtError::Signature)?;
    }
    let named = match claims.get("iss") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(JwtError::Issuer),
    };
    if named != issuer {
        return Err(JwtError::Issuer);
    }
    let seconds = |name| claims.get(name).and_then(Value::as_i64);
    if seconds("iat").is_none_or(|iat| iat > now + CLOCK_SKEW_SECONDS) {
        return Err(JwtError::IssuedAt);
    }
    match seconds("exp") {
        Some(exp) if exp > now + LIFE_SECONDS_MAX => Err(JwtError::TooLong),
        Some(exp) if exp > now => Ok(()),
        _ => Err(JwtError::Expired),
    }
}

fn part(text: &str) -> Result<Value, JwtError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| JwtError::Undecodable)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtError::Undecodable)
}

/// The PKCS#1 form of a public key that may be wrapped in PEM and in SubjectPublicKeyInfo.
fn rsa_public_key(key: &[u8]) -> Option<Vec<u8>> {
    let der = match std::str::from_utf8(key) {
        Ok(text) if text.trim_start().starts_with("-----BEGIN") => {
            let inner: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
            BASE64_STANDARD.decode(inner).ok()?
        }
        _ => key.to_vec(),
    };
    // SEQUENCE { SEQUENCE { OID, NULL }, BIT STRING { 0, key } } is the wrapped form; SEQUENCE { INTEGER, INTEGER } the
    // plain one.
    let (0x30, inner, _) = element(&der)? else { return None };
    match element(inner)? {
        (0x30, _, rest) => match element(rest)? {
            (0x03, bits, _) => bits.strip_prefix(&[0]).map(<[u8]>::to_vec),
            _ => None,
        },
        (0x02, _, _) => Some(der),
        _ => None,
    }
}

/// The first DER element: its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..=0x7F => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80)?;
            (digits.iter().take(4).fold(0, |n, digit| (n << 8) | usize::from(*digit)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
