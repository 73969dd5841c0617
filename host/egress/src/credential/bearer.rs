//! The kind `bearer`: `Authorization: Bearer` (RFC 6750), and the header of every token that was bought.

use super::exchange::field;
use super::fault::CredentialFault;
use super::transport::SecretHeader;
use crate::secret::OpenSecret;
use porthole_model::id::Slot;
use zeroize::Zeroizing;

pub(super) fn headers(slot: &Slot, secret: &OpenSecret) -> Result<Vec<SecretHeader>, CredentialFault> {
    Ok(vec![header(field(slot, secret, "token")?)])
}

pub(super) fn header(token: &str) -> SecretHeader {
    let mut value = Zeroizing::new(String::with_capacity("Bearer ".len() + token.len()));
    value.push_str("Bearer ");
    value.push_str(token);
    SecretHeader::new("authorization", value)
}
