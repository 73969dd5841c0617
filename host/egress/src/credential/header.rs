//! The kind `header`: the secret in a header of the manifest's choice, such as `Authorization: SSWS {token}`.

use super::fault::CredentialFault;
use super::transport::SecretHeader;
use crate::secret::OpenSecret;
use porthole_model::id::Slot;
use zeroize::Zeroizing;

/// Headers that shape the request itself. A manifest that put a secret there would break the framing or the routing of
/// the request.
const NOT_FOR_SECRETS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "content-type",
    "expect",
];

pub(super) fn headers(
    slot: &Slot,
    header: &str,
    format: &str,
    secret: &OpenSecret,
) -> Result<Vec<SecretHeader>, CredentialFault> {
    let wrong = |reason: String| CredentialFault::Method { slot: slot.clone(), reason };
    let is_name = !header.is_empty() && header.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_name || NOT_FOR_SECRETS.iter().any(|name| name.eq_ignore_ascii_case(header)) {
        return Err(wrong(format!("{header:?} can't be the header of a credential")));
    }
    let (before, after) = format
        .split_once("{token}")
        .filter(|_| format.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))
        .ok_or_else(|| wrong("its format has no `{token}`, or characters that no header holds".to_owned()))?;
    let token = super::exchange::field(slot, secret, "token")?;
    let mut value = Zeroizing::new(String::with_capacity(format.len() + token.len()));
    for part in [before, token, after] {
        value.push_str(part);
    }
    Ok(vec![SecretHeader::new(header, value)])
}
