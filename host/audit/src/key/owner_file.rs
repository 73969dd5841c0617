//! Files that only their owner may read: what keeps a private key between two starts.
//!
//! Never there half-written, never readable by others, and one that exists is never replaced.

use crate::error::AuditError;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Permission bits that let anyone but the owner at the file.
const OTHERS: u32 = 0o077;
/// The longest key file, in bytes: an Ed25519 key in PEM has 119 (version 1) or 168 (version 2), and some tools write
/// attributes beside it.
pub(super) const MAX_FILE_BYTES: usize = 4096;

/// Reads a file, up to one byte more than [`MAX_FILE_BYTES`].
///
/// # Errors
/// When it can't be read, is no regular file, or can be reached by others than its owner.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, AuditError> {
    let failed = |what| move |source| AuditError::KeyFile { path: path.to_owned(), what, source };
    let file = File::open(path).map_err(failed("can't be opened"))?;
    // Asked of the open file, not of the path: the path could point elsewhere by now.
    let about = file.metadata().map_err(failed("can't be examined"))?;
    if !about.is_file() {
        return Err(AuditError::KeyFileForm { path: path.to_owned(), rule: "is no regular file" });
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(AuditError::KeyFileMode { path: path.to_owned(), mode });
    }
    // As large as it gets: a buffer that grew would leave its bytes behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text).map_err(failed("can't be read"))?;
    if text.len() > MAX_FILE_BYTES {
        return Err(AuditError::KeyFileForm { path: path.to_owned(), rule: "is longer than 4 KiB" });
    }
    Ok(text)
}

/// Makes a file. It is written under another name first and linked into place. That the file is there already is no
/// error: another process was faster, and its file is the one.
///
/// # Errors
/// When it can't be written.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<(), AuditError> {
    let failed = |what| move |source| AuditError::KeyFile { path: path.to_owned(), what, source };
    let draft = draft_path(path)?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()
    };
    let linked = write().and_then(|()| fs::hard_link(&draft, path));
    // Whatever happened, the draft goes; it not being there is as good.
    let _ = fs::remove_file(&draft);
    match linked {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other.map_err(failed("can't be made"))?,
    }
    // The name has to survive a power cut as surely as what will be signed with the key.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("can't be made durable"))
}

fn draft_path(path: &Path) -> Result<PathBuf, AuditError> {
    let mut tail = [0; 8];
    SystemRandom::new().fill(&mut tail).map_err(|_| AuditError::Randomness)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", hex::encode(tail)));
    Ok(path.with_file_name(name))
}
