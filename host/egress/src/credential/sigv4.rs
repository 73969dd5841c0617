//! Signature Version 4: a key signs the parts of a request, and only the signature goes out.
//!
//! The rules are those of
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>. Signed are the method, the
//! path and query, the host, the body's hash, the time, and the headers that say what a request does: `content-type` and
//! `x-amz-*`. So none of them can be changed on the way, and a signature is of use for one request to one service in one
//! region, for some minutes.

use super::fault::CredentialFault;
use super::transport::SecretHeader;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use porthole_model::id::Slot;
use std::time::SystemTime;
use zeroize::Zeroizing;

/// What stands between the parts of keys in one text. No part may hold it.
const SEPARATOR: char = '\n';

/// A key that signs. Wiped when dropped.
pub(crate) struct Keys {
    access_key_id: Zeroizing<String>,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

impl Keys {
    /// Takes the parts of a key; none when one of them is empty or no visible ASCII.
    pub(crate) fn new(access_key_id: &str, secret_access_key: &str, session_token: Option<&str>) -> Option<Self> {
        let good = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
        let all = [Some(access_key_id), Some(secret_access_key), session_token];
        let own = |part: &str| Zeroizing::new(part.to_owned());
        all.into_iter().flatten().all(good).then(|| Self {
            access_key_id: own(access_key_id),
            secret_access_key: own(secret_access_key),
            session_token: session_token.map(own),
        })
    }

    /// As one text, which a token cache can keep.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let token = self.session_token.as_ref().map_or("", |token| token.as_str());
        let length = self.access_key_id.len() + self.secret_access_key.len() + token.len() + 2;
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(&self.access_key_id);
        text.push(SEPARATOR);
        text.push_str(&self.secret_access_key);
        text.push(SEPARATOR);
        text.push_str(token);
        text
    }

    /// Reads what [`Keys::to_text`] wrote.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, SEPARATOR);
        let (id, secret, token) = (parts.next()?, parts.next()?, parts.next()?);
        Self::new(id, secret, Some(token).filter(|token| !token.is_empty()))
    }

    /// The parts that nobody may read.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        [Some(&self.secret_access_key), self.session_token.as_ref()].into_iter().flatten().map(|s| s.as_str())
    }
}

/// What is signed.
pub(super) struct Signable<'a> {
    pub(super) method: &'a str,
    /// Scheme, host, path and query.
    pub(super) url: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a [u8],
    pub(super) service: &'a str,
    pub(super) region: &'a str,
}

/// The headers that sign a request: `authorization`, the time, the body's hash, the session token.
pub(super) fn headers(
    slot: &Slot,
    keys: &Keys,
    request: &Signable<'_>,
    now: SystemTime,
) -> Result<Vec<SecretHeader>, CredentialFault> {
    let failed = |e: &dyn std::fmt::Display| CredentialFault::Method {
        slot: slot.clone(),
        reason: format!("the request can't be signed: {e}"),
    };
    let token = keys.session_token.as_ref().map(|token| token.to_string());
    let credentials =
        Credentials::new(keys.access_key_id.as_str(), keys.secret_access_key.as_str(), token, None, "porthole");
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(now)
        .settings(settings)
        .build()
        .map_err(|e| failed(&e))?;
    let says = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let says = says.filter(|(name, _)| *name == "content-type" || name.starts_with("x-amz-"));
    let signable = SignableRequest::new(request.method, request.url, says, SignableBody::Bytes(request.body))
        .map_err(|e| failed(&e))?;
    let (instructions, _) = sign(signable, &params.into()).map_err(|e| failed(&e))?.into_parts();
    let header = |(name, value): (&str, &str)| SecretHeader::new(name, Zeroizing::new(value.to_owned()));
    Ok(instructions.headers().map(header).collect())
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
