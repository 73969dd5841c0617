//! The key that the platform itself signs with when it assumes a tenant's role: in a private file of the operator's, read
//! for each assumption, so that a replaced key is used at once and none is held in between.

use super::error::SecretError;
use super::private_file::{Kind, PrivateFile};
use crate::credential::sigv4::Keys;
use std::path::Path;

/// The file: three lines, and whatever comments stand around them.
const KIND: Kind = Kind { name: "platform key", max_bytes: 16 * 1024 };

/// Where the platform's key is. Holds nothing of it.
#[derive(Debug, Clone)]
pub struct PlatformKey {
    file: PrivateFile,
}

impl PlatformKey {
    /// The file at this path. Its lines are `NAME = VALUE`; those that count are the ones whose names end in
    /// `access_key_id`, `secret_access_key` and `session_token` (the last may be missing). Others are left alone, so that a
    /// credentials file of the provider's own tools will do, as long as it has one section.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { file: PrivateFile::new(path, KIND) }
    }

    /// Reads the key.
    ///
    /// # Errors
    /// When the file can't be read, may be read by others, or holds no key or more than one.
    pub(crate) fn read(&self) -> Result<Keys, SecretError> {
        let (text, _) = self.file.read()?;
        let text = std::str::from_utf8(&text).map_err(|_| self.file.malformed("is no text"))?;
        let (mut id, mut secret, mut token) = (None, None, None);
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
        for (name, value) in lines.filter_map(|line| line.split_once('=')) {
            let name = name.trim().to_ascii_lowercase();
            let place = if name.ends_with("secret_access_key") {
                &mut secret
            } else if name.ends_with("access_key_id") {
                &mut id
            } else if name.ends_with("session_token") {
                &mut token
            } else {
                continue;
            };
            if place.replace(value.trim()).is_some() {
                return Err(self.file.malformed("holds more than one key"));
            }
        }
        let keys = id.zip(secret).and_then(|(id, secret)| Keys::new(id, secret, token));
        keys.ok_or_else(|| self.file.malformed("lacks access_key_id or secret_access_key, or one of them is no key"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(text: &str, mode: u32) -> Result<Keys, SecretError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        PlatformKey::at(&path).read()
    }

    #[test]
    fn reads_a_key_that_only_the_owner_may_read() {
        let text = "# ours\n[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key=s3cret/x+\nregion = x\n";
        assert_eq!(read(text, 0o600).unwrap().secrets().collect::<Vec<_>>(), ["s3cret/x+"]);
        assert!(matches!(read(text, 0o644), Err(SecretError::FileMode { .. })));
        let with_token = format!("{text}session_token = t0ken\n");
        assert_eq!(read(&with_token, 0o400).unwrap().secrets().count(), 2);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in [
            "",
            "access_key_id = A",
            "access_key_id =\nsecret_access_key = b",
            "access_key_id = a b\nsecret_access_key = c",
        ] {
            assert!(matches!(read(text, 0o600), Err(SecretError::FileForm { .. })), "{text:?}");
        }
        let twice = "access_key_id = A\nsecret_access_key = geheim\nsecret_access_key = geheim";
        let error = read(twice, 0o600).err().unwrap().to_string();
        assert!(!error.contains("geheim"), "{error}");
    }
}
