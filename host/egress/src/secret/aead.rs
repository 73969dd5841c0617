//! AES-256-GCM, in one envelope form: version byte, nonce, ciphertext, tag.
//!
//! Nonces are random. A key seals far fewer than 2^32 messages (one per credential version, or one per tenant), so two
//! equal nonces are less likely than 2^-32.

use super::error::SecretError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// The one envelope form there is.
const VERSION: u8 = 1;
/// Version byte and nonce.
const HEAD_BYTES: usize = 1 + NONCE_LEN;

/// The bytes of an AES-256 key.
pub(super) type KeyBytes = Zeroizing<[u8; 32]>;

pub(super) fn new_key() -> Result<KeyBytes, SecretError> {
    let mut key = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *key).map_err(|_| SecretError::Randomness)?;
    Ok(key)
}

/// Seals a plaintext. `about` is authenticated with it and has to be the same when it is opened.
pub(super) fn seal(key: &KeyBytes, about: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SecretError> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| SecretError::Randomness)?;
    // The plaintext is encrypted where it lies; with all the room reserved, no copy of it stays behind.
    let mut sealed = Vec::with_capacity(HEAD_BYTES + plaintext.len() + AES_256_GCM.tag_len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let body = sealed.get_mut(HEAD_BYTES..).ok_or(SecretError::Seal)?;
    let tag = cipher(key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about), body)
        .map_err(|_| SecretError::Seal)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Opens an envelope. `what` names it in the error.
pub(super) fn open(
    key: &KeyBytes,
    about: &[u8],
    sealed: &[u8],
    what: &'static str,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let refuse = || SecretError::Open(what);
    let (head, body) = sealed.split_first_chunk::<HEAD_BYTES>().ok_or_else(refuse)?;
    let (version, nonce) = head.split_first().ok_or_else(refuse)?;
    if *version != VERSION {
        return Err(refuse());
    }
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refuse())?;
    let mut plaintext = Zeroizing::new(body.to_vec());
    let length = cipher(key)?.open_in_place(nonce, Aad::from(about), &mut plaintext).map_err(|_| refuse())?.len();
    plaintext.truncate(length);
    Ok(plaintext)
}

fn cipher(key: &KeyBytes) -> Result<LessSafeKey, SecretError> {
    UnboundKey::new(&AES_256_GCM, &**key).map(LessSafeKey::new).map_err(|_| SecretError::Seal)
}
