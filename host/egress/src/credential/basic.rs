//! The kind `basic`: `Authorization: Basic` (RFC 7617).

use super::exchange::field;
use super::fault::CredentialFault;
use super::transport::SecretHeader;
use crate::secret::OpenSecret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use porthole_model::id::Slot;
use zeroize::Zeroizing;

pub(super) fn headers(slot: &Slot, secret: &OpenSecret) -> Result<Vec<SecretHeader>, CredentialFault> {
    Ok(vec![header(field(slot, secret, "username")?, field(slot, secret, "password")?)])
}

/// The header for a name and a password. The name has no colon.
pub(super) fn header(name: &str, password: &str) -> SecretHeader {
    let mut pair = Zeroizing::new(String::with_capacity(name.len() + 1 + password.len()));
    for part in [name, ":", password] {
        pair.push_str(part);
    }
    let mut value = Zeroizing::new(String::with_capacity("Basic ".len() + pair.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    SecretHeader::new("authorization", value)
}
