//! Files of private keys: made for their owner alone, and refused when anyone else can read them.

use anyhow::{Context as _, Result, bail};
use porthole_registry::key::SigningKey;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Permission bits that let anyone but the owner at the file.
const OTHERS: u32 = 0o077;
/// The longest key file, in bytes; see [`SigningKey::from_pem`].
const MAX_FILE_BYTES: u64 = 4096;

/// The name of the public half.
pub(crate) fn public_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

/// Writes a new private key. An existing file stays what it is.
pub(crate) fn create(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| {
        let hint = if e.kind() == std::io::ErrorKind::AlreadyExists { "; nothing is overwritten" } else { "" };
        anyhow::Error::new(e).context(format!("can't make {}{hint}", path.display()))
    })?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("can't write {}", path.display()))
}

/// Reads a private key.
pub(crate) fn read(path: &Path) -> Result<SigningKey> {
    let what = || format!("can't read the key {}", path.display());
    let file = File::open(path).with_context(what)?;
    // Asked of the open file, not of the path: the path could point elsewhere by now.
    let about = file.metadata().with_context(what)?;
    if !about.is_file() {
        bail!("{} is no regular file", path.display());
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        bail!("{} can be read by others (mode {mode:04o}); `chmod 600 {0}`", path.display());
    }
    // One buffer from the start: a growing one would leave its earlier selves behind in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).with_context(what)?;
    SigningKey::from_pem(&text).with_context(|| path.display().to_string())
}
