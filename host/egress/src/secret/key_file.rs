//! The key-encryption key in a file: what one machine has instead of a key service.
//!
//! ```text
//! porthole-key 1 5f0c…        format, version, key id
//! 9b1d…                       32 random bytes as hexadecimal
//! ```
//! To rotate, put a new pair of lines on top: the first key wraps, all of them unwrap.

use super::aead::{self, KeyBytes};
use super::error::{SecretError, cut};
use super::key::{KeyContext, KeyPort, TenantKey, WrappedKey};
use futures_util::future::BoxFuture;
use ring::hmac;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// First word and version of each header line.
const FORMAT: &str = "porthole-key 1 ";
/// The longest key file, in bytes: 30 keys, one rotated in each month of more than two years.
const MAX_FILE_BYTES: usize = 4096;
/// Permission bits that let anyone but the owner at the file.
const OTHERS: u32 = 0o077;

/// A key-encryption key that lies in a file.
pub struct KeyFile {
    /// The current key first. Never empty.
    keys: Vec<(String, KeyBytes)>,
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// When the file can't be read, isn't a key file, or can be read by others than its owner.
    pub fn open(path: &Path) -> Result<Self, SecretError> {
        let failed = |what| move |source| SecretError::KeyFile { path: path.to_owned(), what, source };
        let file = File::open(path).map_err(failed("can't be opened"))?;
        // Asked of the open file, not of the path: the path could point elsewhere by now.
        let about = file.metadata().map_err(failed("can't be examined"))?;
        if !about.is_file() {
            return Err(SecretError::KeyFileForm { path: path.to_owned(), rule: "is no regular file" });
        }
        let mode = about.permissions().mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(SecretError::KeyFileMode { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
        file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text).map_err(failed("can't be read"))?;
        let keys = parse(&text).map_err(|rule| SecretError::KeyFileForm { path: path.to_owned(), rule })?;
        Ok(Self { keys })
    }

    /// Reads a key file, or makes one with a new key where there is none. Two processes may try at once: one of them
    /// makes the file, both use it.
    ///
    /// # Errors
    /// As [`KeyFile::open`], and when the file can't be written.
    pub fn open_or_create(path: &Path) -> Result<Self, SecretError> {
        match Self::open(path) {
            Err(SecretError::KeyFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::open(path)
            }
            result => result,
        }
    }

    fn current(&self) -> Result<&(String, KeyBytes), SecretError> {
        self.keys.first().ok_or(SecretError::Seal)
    }

    fn find(&self, id: &str) -> Result<&KeyBytes, SecretError> {
        self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key).ok_or_else(|| {
            let known: Vec<_> = self.keys.iter().map(|(id, _)| id.as_str()).collect();
            SecretError::UnknownKey { wanted: cut(id, 64), known: known.join(", ") }
        })
    }
}

impl KeyPort for KeyFile {
    fn wrap<'a>(
        &'a self,
        key: &'a TenantKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<WrappedKey, SecretError>> {
        Box::pin(async move {
            let (id, kek) = self.current()?;
            let bytes = aead::seal(kek, &context.to_bytes(), &**key.bytes())?;
            Ok(WrappedKey { key_id: id.clone(), bytes })
        })
    }

    fn unwrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<TenantKey, SecretError>> {
        Box::pin(async move {
            let kek = self.find(&wrapped.key_id)?;
            let bytes = aead::open(kek, &context.to_bytes(), &wrapped.bytes, "tenant key")?;
            TenantKey::from_slice(&bytes).ok_or(SecretError::Open("tenant key"))
        })
    }

    fn id(&self) -> String {
        self.keys.first().map(|(id, _)| id.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({}, [redacted])", self.id())
    }
}

/// The id follows from the key, so that a header over the wrong key is noticed before anything is sealed with it.
fn key_id(key: &KeyBytes) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &**key), b"porthole key id v1");
    hex::encode(tag.as_ref().split_at(8).0)
}

fn parse(text: &[u8]) -> Result<Vec<(String, KeyBytes)>, &'static str> {
    if text.len() > MAX_FILE_BYTES {
        return Err("is longer than 4 KiB");
    }
    let text = std::str::from_utf8(text).map_err(|_| "is no text")?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut keys = Vec::new();
    while let Some(header) = lines.next() {
        let id = header.strip_prefix(FORMAT).ok_or("a line should start with `porthole-key 1 `")?;
        let digits = lines.next().ok_or("the last key is missing")?;
        let mut key: KeyBytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, &mut *key).map_err(|_| "a key is not 64 hexadecimal digits")?;
        if key_id(&key) != id {
            return Err("a key doesn't belong to the id in the line above it");
        }
        keys.push((id.to_owned(), key));
    }
    if keys.is_empty() { Err("is empty") } else { Ok(keys) }
}

/// Makes the file under another name first and links it into place: it is never there half-written or readable by
/// others, and an existing key is never replaced.
fn create(path: &Path) -> Result<(), SecretError> {
    let failed = |what| move |source| SecretError::KeyFile { path: path.to_owned(), what, source };
    let key = aead::new_key()?;
    let mut digits = Zeroizing::new([0; 64]);
    hex::encode_to_slice(*key, &mut *digits).map_err(|_| SecretError::Seal)?;
    let draft = draft_path(path);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(format!("{FORMAT}{}\n", key_id(&key)).as_bytes())?;
        file.write_all(&*digits)?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    let linked = write().and_then(|()| fs::hard_link(&draft, path));
    // Whatever happened, the draft goes; it not being there is as good.
    let _ = fs::remove_file(&draft);
    match linked {
        // Another process was faster: its key is the one.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other.map_err(failed("can't be made"))?,
    }
    // The name has to survive a power cut as surely as what will be sealed under it.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("can't be made durable"))
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", uuid::Uuid::new_v4().simple()));
    path.with_file_name(name)
}

#[cfg(test)]
#[path = "key_file_tests.rs"]
mod tests;
