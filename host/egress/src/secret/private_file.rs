//! Files that only their owner may read: the key file, and the token of a key service. They are read whole, and again
//! when they changed; they are replaced whole or not at all.

use super::error::SecretError;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Permission bits that let anyone but the owner at the file.
const OTHERS: u32 = 0o077;
/// How often a lock is tried that somebody else's replacement made worthless. Each try waits for one other writer.
const MAX_LOCK_TRIES: u32 = 100;

/// What a file is called in errors, and how long it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// `key file`, `token file`.
    pub(super) name: &'static str,
    /// The longest one, in bytes.
    pub(super) max_bytes: usize,
}

/// Tells one state of a file from another without reading it. A replaced file is another inode; the time is that of the
/// last change of anything about it, which nobody can set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    changed: (i64, i64),
    bytes: u64,
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        let changed = (about.ctime(), about.ctime_nsec());
        Self { device: about.dev(), inode: about.ino(), changed, bytes: about.size() }
    }
}

/// A private file's place.
#[derive(Debug, Clone)]
pub(super) struct PrivateFile {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

impl PrivateFile {
    pub(super) fn new(path: &Path, kind: Kind) -> Self {
        Self { path: path.to_owned(), kind }
    }

    pub(super) fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> SecretError {
        move |source| SecretError::File { kind: self.kind.name, path: self.path.clone(), what, source }
    }

    pub(super) fn malformed(&self, rule: &'static str) -> SecretError {
        SecretError::FileForm { kind: self.kind.name, path: self.path.clone(), rule }
    }

    /// The state of the file, without reading it.
    pub(super) fn stamp(&self) -> Result<Stamp, SecretError> {
        fs::metadata(&self.path).map(|about| Stamp::of(&about)).map_err(self.failed("can't be examined"))
    }

    /// Reads the whole file, if nobody else may.
    pub(super) fn read(&self) -> Result<(Zeroizing<Vec<u8>>, Stamp), SecretError> {
        self.read_open(&File::open(&self.path).map_err(self.failed("can't be opened"))?)
    }

    fn read_open(&self, file: &File) -> Result<(Zeroizing<Vec<u8>>, Stamp), SecretError> {
        // Asked of the open file, not of the path: the path could point elsewhere by now.
        let about = file.metadata().map_err(self.failed("can't be examined"))?;
        if !about.is_file() {
            return Err(self.malformed("is no regular file"));
        }
        let mode = about.permissions().mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(SecretError::FileMode { kind: self.kind.name, path: self.path.clone(), mode });
        }
        // One buffer from the start: a growing one would leave its earlier selves behind in memory.
        let cap = self.kind.max_bytes + 1;
        let mut text = Zeroizing::new(Vec::with_capacity(cap));
        file.take(cap as u64).read_to_end(&mut text).map_err(self.failed("can't be read"))?;
        if text.len() > self.kind.max_bytes {
            return Err(self.malformed("is too long"));
        }
        Ok((text, Stamp::of(&about)))
    }

    /// Makes the file, if there is none: under another name first, then linked into place. It is never there half-written
    /// or readable by others, and one that exists is never replaced.
    pub(super) fn create(&self, text: &[u8]) -> Result<(), SecretError> {
        let draft = self.sibling(&uuid::Uuid::new_v4().simple().to_string());
        let linked = write_new(&draft, 0o600, text).and_then(|_| fs::hard_link(&draft, &self.path));
        // Whatever happened, the draft goes; it not being there is as good.
        let _ = fs::remove_file(&draft);
        match linked {
            // Another process was faster: its file is the one.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            other => other.map_err(self.failed("can't be made"))?,
        }
        self.sync_folder()
    }

    /// Waits until nobody else replaces the file.
    pub(super) fn lock(&self) -> Result<Locked, SecretError> {
        // Behind a link is the file that is meant; replacing the link would leave its target as it was.
        let path = fs::canonicalize(&self.path).map_err(self.failed("can't be found"))?;
        let place = Self { path, kind: self.kind };
        for _ in 0..MAX_LOCK_TRIES {
            let file = File::open(&place.path).map_err(place.failed("can't be opened"))?;
            file.lock().map_err(place.failed("can't be locked"))?;
            // Who had the lock before may have put another file in its place; then this is a lock on nothing.
            let locked =
                file.metadata().map(|about| (about.dev(), about.ino())).map_err(place.failed("can't be read"))?;
            let there = fs::metadata(&place.path).map(|about| (about.dev(), about.ino()));
            if there.is_ok_and(|there| there == locked) {
                return Ok(Locked { place, file });
            }
        }
        Err(place.failed("is being replaced by others")(io::ErrorKind::ResourceBusy.into()))
    }

    /// The name has to survive a power cut as surely as what will be sealed under the file's keys.
    fn sync_folder(&self) -> Result<(), SecretError> {
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(self.failed("can't be made durable"))
    }

    fn sibling(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }
}

/// A private file that nobody else replaces meanwhile. Dropping it lets others go on; so does the end of the process.
pub(super) struct Locked {
    place: PrivateFile,
    file: File,
}

impl Locked {
    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        // A file that was just written stands at its end.
        (&self.file).rewind().map_err(self.place.failed("can't be read"))?;
        self.place.read_open(&self.file).map(|(text, _)| text)
    }

    /// Puts another text in the file's place, for the same owner and with the same permissions: written aside, made
    /// durable, renamed. Whoever looks sees the one or the other, also after a power cut.
    pub(super) fn replace(self, text: &[u8]) -> Result<Self, SecretError> {
        let Self { place, file: former } = self;
        let draft = place.sibling("new");
        let about = former.metadata().map_err(place.failed("can't be examined"))?;
        let write = || {
            // One writer at a time, so what lies there was left behind by one that was killed.
            match fs::remove_file(&draft) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let file = write_new(&draft, about.permissions().mode() & 0o700, text)?;
            let made = file.metadata()?;
            if (made.uid(), made.gid()) != (about.uid(), about.gid()) {
                // A key that root rotates for a service has to stay the service's.
                fchown(&file, Some(about.uid()), Some(about.gid()))?;
            }
            // Locked before it is in place, so that nobody comes between two replacements.
            file.lock()?;
            fs::rename(&draft, &place.path)?;
            Ok(file)
        };
        let file = write().map_err(|e| {
            // It holds keys. That it can't be removed says less than why it was not put in place.
            let _ = fs::remove_file(&draft);
            place.failed("can't be replaced")(e)
        })?;
        place.sync_folder()?;
        Ok(Self { place, file })
    }
}

fn write_new(path: &Path, mode: u32, text: &[u8]) -> io::Result<File> {
    // Readable as well: the lock goes on to the next replacement, and the text is read through it.
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(file)
}
