//! The fields of one credential: checked when they come in, packed for sealing, and unpacked inside this crate alone.

use super::error::SecretError;
use super::input;
use super::rsa;
use super::text::{MAX_INPUT_BYTES, SecretText};
use porthole_model::manifest::{CredentialKind, CredentialMethod};
use std::fmt;
use zeroize::Zeroizing;

/// The longest field, in bytes: an RSA-8192 private key has 6.5 KB of PEM, session tokens 2 KB.
pub const MAX_FIELD_BYTES: usize = 16 * 1024;
/// How many fields a credential may have. No kind needs more than three of its own; the rest are parts of a token URL.
pub const MAX_FIELDS: usize = 8;
/// The longest field that stands in a token URL, in bytes.
const MAX_URL_FIELD_BYTES: usize = 128;

/// What a field may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldRule {
    /// Goes into a header as it is.
    HeaderText,
    /// The user name of RFC 7617: no colon.
    Username,
    /// Stands in a URL.
    UrlPart,
    /// PEM.
    PrivateKey,
    /// Any text on one line.
    Line,
}

/// The fields of one credential, on their way to [`Vault::seal`](super::Vault::seal).
pub struct SecretFields {
    method: String,
    rules: Vec<(String, FieldRule)>,
    values: Vec<(String, Zeroizing<String>)>,
}

impl SecretFields {
    /// Starts with nothing filled in.
    ///
    /// # Errors
    /// When the method has more than [`MAX_FIELDS`] fields.
    pub fn new(method: &CredentialMethod) -> Result<Self, SecretError> {
        let names = method.kind.fields();
        if names.len() > MAX_FIELDS {
            return Err(SecretError::ManyFields { count: names.len(), max: MAX_FIELDS });
        }
        let rules = names.into_iter().map(|(name, many)| (name.to_owned(), rule(&method.kind, name, many))).collect();
        Ok(Self { method: method.method.clone(), rules, values: Vec::new() })
    }

    /// Everything from one input: the text of the only field, or a JSON object or `name=value` lines for several.
    ///
    /// # Errors
    /// When the input can't be taken apart, or when fields are missing, unknown, repeated or break their rules.
    pub fn from_input(method: &CredentialMethod, input: SecretText) -> Result<Self, SecretError> {
        let mut fields = Self::new(method)?;
        fields.add(input)?;
        fields.check_complete()?;
        Ok(fields)
    }

    /// Adds what an input holds, in the forms of [`SecretFields::from_input`]. What is still missing can follow with
    /// [`SecretFields::set`]: a private key from its own file, for example.
    ///
    /// # Errors
    /// As [`SecretFields::from_input`], but for missing fields.
    pub fn add(&mut self, input: SecretText) -> Result<(), SecretError> {
        if input.as_str().len() > MAX_INPUT_BYTES {
            return Err(SecretError::InputTooLong(MAX_INPUT_BYTES));
        }
        if let [(only, _)] = self.rules.as_slice() {
            let only = only.clone();
            return self.put(&only, input.without_newline());
        }
        for (name, value) in input::pairs(&input, &self.names())? {
            self.put(&name, &value)?;
        }
        Ok(())
    }

    /// Sets one field.
    ///
    /// # Errors
    /// When there is no such field, when it is set already, or when the value breaks its rule.
    pub fn set(&mut self, field: &str, value: SecretText) -> Result<(), SecretError> {
        self.put(field, value.without_newline())
    }

    /// The fields that have no value yet, and whether each is many lines long.
    pub fn missing(&self) -> impl Iterator<Item = (&str, bool)> {
        self.rules
            .iter()
            .filter(|(name, _)| self.values.iter().all(|(set, _)| set != name))
            .map(|(name, rule)| (name.as_str(), *rule == FieldRule::PrivateKey))
    }

    pub(super) fn check_complete(&self) -> Result<(), SecretError> {
        let missing: Vec<_> = self.missing().map(|(name, _)| name).collect();
        if missing.is_empty() { Ok(()) } else { Err(SecretError::Missing(missing.join(", "))) }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.rules.iter().map(|(name, _)| format!("`{name}`")).collect();
        names.join(", ")
    }

    fn put(&mut self, name: &str, value: &str) -> Result<(), SecretError> {
        let Some((name, rule)) = self.rules.iter().find(|(known, _)| known == name) else {
            return Err(SecretError::UnknownField { fields: self.names() });
        };
        if self.values.iter().any(|(set, _)| set == name) {
            return Err(SecretError::Repeated(name.clone()));
        }
        check(name, *rule, value)?;
        self.values.push((name.clone(), Zeroizing::new(value.to_owned())));
        Ok(())
    }

    /// Method and fields, each with its length in front: the plaintext of a [`Sealed`](super::Sealed).
    pub(super) fn pack(&self) -> Zeroizing<Vec<u8>> {
        let parts = || {
            let pairs = self.values.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
            std::iter::once(self.method.as_str()).chain(pairs)
        };
        // All of it reserved at once: a growing buffer leaves plaintext behind.
        let mut packed = Zeroizing::new(Vec::with_capacity(parts().map(|part| 4 + part.len()).sum()));
        for part in parts() {
            // No part is longer than MAX_FIELD_BYTES or comes from a manifest of more than 4 GiB.
            packed.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            packed.extend_from_slice(part.as_bytes());
        }
        packed
    }
}

impl fmt::Debug for SecretFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, _) in &self.values {
            map.entry(name, &format_args!("[redacted]"));
        }
        map.finish()
    }
}

fn rule(kind: &CredentialKind, name: &str, many_lines: bool) -> FieldRule {
    match (kind, name) {
        _ if many_lines => FieldRule::PrivateKey,
        (CredentialKind::Header { .. } | CredentialKind::Bearer, _) => FieldRule::HeaderText,
        (CredentialKind::Basic, "username") => FieldRule::Username,
        (CredentialKind::JwtExchange { .. }, name) if name != "issuer" => FieldRule::UrlPart,
        _ => FieldRule::Line,
    }
}

fn check(name: &str, rule: FieldRule, value: &str) -> Result<(), SecretError> {
    let refuse = |rule| Err(SecretError::Field { field: name.to_owned(), rule });
    if value.is_empty() {
        return refuse("is empty");
    }
    if value.len() > MAX_FIELD_BYTES {
        return refuse("is longer than 16 KiB");
    }
    match rule {
        FieldRule::HeaderText if !value.bytes().all(|b| b.is_ascii_graphic()) => {
            refuse("may hold visible ASCII characters only, without spaces; give the bare token, without `Bearer`")
        }
        FieldRule::UrlPart
            if value.len() > MAX_URL_FIELD_BYTES || !value.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            refuse("stands in a URL and may hold letters and digits only, at most 128")
        }
        FieldRule::Username if value.contains(':') => refuse("may not hold a colon (RFC 7617)"),
        FieldRule::Username | FieldRule::Line if value.chars().any(char::is_control) => {
            refuse("may not hold line breaks or other control characters")
        }
        FieldRule::PrivateKey => match rsa::read_private_key(value) {
            Ok(_) => Ok(()),
            Err(reason) => Err(SecretError::PrivateKey { field: name.to_owned(), reason }),
        },
        _ => Ok(()),
    }
}

/// An opened secret. Private to this crate; wiped when dropped.
pub(crate) struct OpenSecret(Vec<(String, Zeroizing<String>)>);

impl OpenSecret {
    /// Unpacks what [`SecretFields::pack`] packed, for the method it was given for: all of its fields and no others.
    pub(super) fn unpack(packed: &[u8], method: &CredentialMethod) -> Result<Self, SecretError> {
        let mut rest = packed;
        if part(&mut rest)? != method.method {
            return Err(SecretError::Content);
        }
        let mut fields = SecretFields::new(method)?;
        while !rest.is_empty() {
            let name = part(&mut rest)?;
            let value = part(&mut rest)?;
            // The rules hold again: what a manifest's new version asks of a field, a stored value has to keep.
            fields.put(name, value).map_err(|_| SecretError::Content)?;
        }
        fields.check_complete().map_err(|_| SecretError::Content)?;
        Ok(Self(fields.values))
    }

    /// One field. Every field of the method is there.
    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for OpenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenSecret([redacted])")
    }
}

fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a str, SecretError> {
    let (head, tail) = rest.split_first_chunk::<4>().ok_or(SecretError::Content)?;
    let length = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| SecretError::Content)?;
    let (part, tail) = tail.split_at_checked(length).ok_or(SecretError::Content)?;
    *rest = tail;
    std::str::from_utf8(part).map_err(|_| SecretError::Content)
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
