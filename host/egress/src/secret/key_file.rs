//! The key-encryption key in a file: what one machine has instead of a key service.
//!
//! ```text
//! porthole-key 1 5f0c…        format, version, key id
//! 9b1d…                       32 random bytes as hexadecimal
//! ```
//! The first key wraps, all of them unwrap. `porthole key rotate` puts a new pair of lines on top, `porthole key retire`
//! takes one out. A process reads the file again when it meets an id that it doesn't know, and before it wraps: a worker
//! keeps working while keys are rotated.

use super::aead::{self, KeyBytes};
use super::error::{SecretError, cut};
use super::key::{KeyContext, KeyPort, KeyRing, TenantKey, WrappedKey};
use super::private_file::{Kind, PrivateFile, Stamp};
use futures_util::future::BoxFuture;
use ring::hmac;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// First word and version of each header line.
const FORMAT: &str = "porthole-key 1 ";
/// The most keys of a file: one rotated in each week of more than two years, and none retired.
const MAX_KEYS: usize = 128;
/// One key with its header, in bytes: format, id, line end, digits, line end.
const KEY_BYTES: usize = FORMAT.len() + 16 + 1 + 64 + 1;
/// The longest key file, in bytes: all its keys, and room for blank lines.
const KIND: Kind = Kind { name: "key file", max_bytes: 16 * 1024 };
/// How long a key that was retired still unwraps in a process that had read it. A run that began before the tenants' keys
/// were re-wrapped holds them as they were, and opens its secrets when it first needs them; no run takes longer.
const RETIRED_GRACE: Duration = Duration::from_secs(6 * 3600);

/// A key-encryption key that lies in a file.
pub struct KeyFile {
    file: PrivateFile,
    known: RwLock<Known>,
}

/// What was last read.
struct Known {
    stamp: Stamp,
    /// In the file's order, the current key first.
    keys: Vec<Kek>,
    /// Those that are no longer in the file, and since when.
    retired: Vec<(Kek, Instant)>,
}

struct Kek {
    id: String,
    key: KeyBytes,
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// When the file can't be read, isn't a key file, or can be read by others than its owner.
    pub fn open(path: &Path) -> Result<Self, SecretError> {
        let file = PrivateFile::new(path, KIND);
        let (text, stamp) = file.read()?;
        let keys = parse(&text).map_err(|rule| file.malformed(rule))?;
        Ok(Self { file, known: RwLock::new(Known { stamp, keys, retired: Vec::new() }) })
    }

    /// Reads a key file, or makes one with a new key where there is none. Two processes may try at once: one of them
    /// makes the file, both use it.
    ///
    /// # Errors
    /// As [`KeyFile::open`], and when the file can't be written.
    pub fn open_or_create(path: &Path) -> Result<Self, SecretError> {
        match Self::open(path) {
            Err(SecretError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                PrivateFile::new(path, KIND).create(&write(&[Kek::random()?]))?;
                Self::open(path)
            }
            result => result,
        }
    }

    /// Reads the file again if it is another than the one that was read. Costs a look at the folder when it isn't, so an
    /// id that nobody knows can't make a worker read and read.
    fn refresh(&self) -> Result<(), SecretError> {
        if self.known().stamp == self.file.stamp()? {
            return Ok(());
        }
        let (text, stamp) = self.file.read()?;
        let keys = parse(&text).map_err(|rule| self.file.malformed(rule))?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let former = std::mem::replace(&mut known.keys, keys);
        let Known { keys, retired, .. } = &mut *known;
        retired.extend(former.into_iter().map(|kek| (kek, now)));
        retired.retain(|(kek, since)| {
            now.duration_since(*since) < RETIRED_GRACE && keys.iter().all(|kept| kept.id != kek.id)
        });
        known.stamp = stamp;
        Ok(())
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wrapping with a key that is only in this process's memory would lose what it wraps, so the file is looked at first.
    fn wrap_now(&self, key: &TenantKey, context: &KeyContext) -> Result<WrappedKey, SecretError> {
        self.refresh()?;
        let known = self.known();
        let kek = known.keys.first().ok_or(SecretError::Seal)?;
        let bytes = aead::seal(&kek.key, &context.to_bytes(), &**key.bytes())?;
        Ok(WrappedKey { key_id: kek.id.clone(), bytes })
    }

    fn unwrap_now(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<TenantKey, SecretError> {
        if self.known().find(&wrapped.key_id).is_none() {
            self.refresh()?;
        }
        let known = self.known();
        let kek = known.find(&wrapped.key_id).ok_or_else(|| SecretError::UnknownKey {
            wanted: cut(&wrapped.key_id, 64),
            known: known.keys.iter().map(|kek| kek.id.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let bytes = aead::open(&kek.key, &context.to_bytes(), &wrapped.bytes, "tenant key")?;
        TenantKey::from_slice(&bytes).ok_or(SecretError::Open("tenant key"))
    }

    /// Two steps: first the new key is last, then it is first. When others see it as the one that wraps, it has long been
    /// durable: not even a power cut at that moment takes it away from what they wrapped with it.
    fn rotate_now(&self) -> Result<String, SecretError> {
        let locked = self.file.lock()?;
        let mut keys = parse(&locked.read()?).map_err(|rule| self.file.malformed(rule))?;
        if keys.len() >= MAX_KEYS {
            return Err(self
                .file
                .malformed("holds 128 keys, which is the most; retire some: porthole key retire --unused"));
        }
        let new = Kek::random()?;
        let id = new.id.clone();
        keys.push(new);
        let locked = locked.replace(&write(&keys))?;
        keys.rotate_right(1);
        locked.replace(&write(&keys))?;
        self.refresh()?;
        Ok(id)
    }

    fn retire_now(&self, id: &str) -> Result<(), SecretError> {
        let locked = self.file.lock()?;
        let mut keys = parse(&locked.read()?).map_err(|rule| self.file.malformed(rule))?;
        if keys.first().is_some_and(|current| current.id == id) {
            return Err(SecretError::CurrentKey(id.to_owned()));
        }
        keys.retain(|kek| kek.id != id);
        locked.replace(&write(&keys))?;
        self.refresh()
    }
}

impl Known {
    fn find(&self, id: &str) -> Option<&Kek> {
        let retired = self.retired.iter().filter(|(_, since)| since.elapsed() < RETIRED_GRACE).map(|(kek, _)| kek);
        self.keys.iter().chain(retired).find(|kek| kek.id == id)
    }
}

impl Kek {
    fn random() -> Result<Self, SecretError> {
        let key = aead::new_key()?;
        Ok(Self { id: key_id(&key), key })
    }
}

impl KeyPort for KeyFile {
    fn wrap<'a>(
        &'a self,
        key: &'a TenantKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<WrappedKey, SecretError>> {
        Box::pin(async move { self.wrap_now(key, context) })
    }

    fn unwrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        context: &'a KeyContext,
    ) -> BoxFuture<'a, Result<TenantKey, SecretError>> {
        Box::pin(async move { self.unwrap_now(wrapped, context) })
    }

    fn is_mine(&self, key_id: &str) -> bool {
        key_id.len() == 16 && key_id.bytes().all(|b| b.is_ascii_hexdigit())
    }

    fn ring(&self) -> BoxFuture<'_, Result<KeyRing, SecretError>> {
        Box::pin(async move {
            self.refresh()?;
            let ids: Vec<_> = self.known().keys.iter().map(|kek| kek.id.clone()).collect();
            let place = format!("key file {}", self.file.path.display());
            Ok(KeyRing { place, current: ids.first().cloned(), ids, retires_older: false })
        })
    }

    fn rotate(&self) -> BoxFuture<'_, Result<String, SecretError>> {
        Box::pin(async move { self.rotate_now() })
    }

    fn retire<'a>(&'a self, key_id: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        Box::pin(async move { self.retire_now(key_id) })
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({}, [redacted])", self.file.path.display())
    }
}

/// The id follows from the key, so that a header over the wrong key is noticed before anything is sealed with it.
fn key_id(key: &KeyBytes) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &**key), b"porthole key id v1");
    hex::encode(tag.as_ref().split_at(8).0)
}

fn parse(text: &[u8]) -> Result<Vec<Kek>, &'static str> {
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
        keys.push(Kek { id: id.to_owned(), key });
    }
    if keys.is_empty() { Err("is empty") } else { Ok(keys) }
}

fn write(keys: &[Kek]) -> Zeroizing<Vec<u8>> {
    // With all the room reserved, no copy of a key stays behind.
    let mut text = Zeroizing::new(Vec::with_capacity(keys.len() * KEY_BYTES));
    for kek in keys {
        let mut digits = Zeroizing::new([0; 64]);
        // Cannot fail: 32 bytes are 64 digits.
        let _ = hex::encode_to_slice(*kek.key, &mut *digits);
        for part in [FORMAT.as_bytes(), kek.id.as_bytes(), b"\n", &*digits, b"\n"] {
            text.extend_from_slice(part);
        }
    }
    text
}

#[cfg(test)]
#[path = "key_file_tests.rs"]
mod tests;
