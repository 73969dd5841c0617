//! An image layout in a folder (image-spec, `image-layout.md`), written so that a reader never sees half of anything and a
//! process that is killed leaves a layout that can be read.
//!
//! Blobs are written under another name, synced, and renamed into place: a blob that is there is whole. The index comes
//! last, and is replaced in the same way: what it names is there. Writers take turns by a lock that the kernel gives back
//! when its holder dies. Drafts and lock lie beside the layout, because every file of a layout means something.

use super::documents::{Descriptor, Documents, OCI_INDEX_TYPE, REF_NAME};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
const INDEX_FILE: &str = "index.json";
/// The longest index, in bytes: some ten thousand versions with their approvals.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;

/// Why a layout can't be written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file failed.
    #[error("the local registry: can't {what} {path}")]
    File {
        /// `write`, `read`, …
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The index isn't one.
    #[error("the local registry: {path} is no index ({message}); move it away, and publish again")]
    Index {
        /// Which.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// A name means another module already.
    #[error("the local registry: `{name}` is {found} in {path} already; nothing is overwritten")]
    Taken {
        /// The name.
        name: String,
        /// What it is.
        found: String,
        /// Where.
        path: PathBuf,
    },
}

/// An index (image-spec, `image-index.md`). What other tools put into it stays there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default = "index_type")]
    media_type: String,
    manifests: Vec<Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

fn index_type() -> String {
    OCI_INDEX_TYPE.to_owned()
}

/// A folder that is an image layout, or becomes one.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    work: PathBuf,
}

impl Layout {
    /// The layout in this folder. Drafts go beside it, into `FOLDER.drafts`: a rename has to stay on one file system.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let mut work = root.as_os_str().to_owned();
        work.push(".drafts");
        Self { root: root.to_owned(), work: PathBuf::from(work) }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Adds what isn't there yet and repairs what is damaged. Returns how many blobs were written.
    ///
    /// # Errors
    /// When a file fails, or a name of the index means something else already.
    pub fn put(&self, documents: &Documents<'_>) -> Result<usize, LayoutError> {
        let blobs = self.root.join("blobs/sha256");
        for folder in [&blobs, &self.work] {
            fs::create_dir_all(folder).map_err(failed("make", folder))?;
        }
        let lock = self.work.join("lock");
        let held = File::create(&lock).map_err(failed("make", &lock))?;
        held.lock().map_err(failed("lock", &lock))?;
        self.sweep(&lock)?;
        self.write_if_other(&self.root.join(LAYOUT_FILE), LAYOUT.as_bytes())?;
        let mut written = 0;
        for blob in &documents.blobs {
            let name = blob.digest.strip_prefix("sha256:").unwrap_or(&blob.digest);
            written += usize::from(self.write_if_other(&blobs.join(name), &blob.bytes)?);
        }
        sync(&blobs)?;
        let path = self.root.join(INDEX_FILE);
        let mut index = read_index(&path)?;
        let before = index.manifests.len();
        for entry in &documents.entries {
            add(&mut index, entry, &path)?;
        }
        if index.manifests.len() > before || !path.exists() {
            let text = serde_json::to_vec(&index).map_err(|e| no_index(&path, &e))?;
            self.write(&path, &text)?;
        }
        sync(&self.root)?;
        Ok(written)
    }

    /// Removes what a process that was killed left behind. The lock is held.
    fn sweep(&self, lock: &Path) -> Result<(), LayoutError> {
        for entry in fs::read_dir(&self.work).map_err(failed("read", &self.work))? {
            let path = entry.map_err(failed("read", &self.work))?.path();
            if path != lock {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes a file unless it is there with these bytes. Says whether it did.
    fn write_if_other(&self, path: &Path, bytes: &[u8]) -> Result<bool, LayoutError> {
        match fs::read(path) {
            Ok(found) if found == bytes => Ok(false),
            Ok(_) => self.write(path, bytes).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.write(path, bytes).map(|()| true),
            Err(e) => Err(failed("read", path)(e)),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
        let draft = self.work.join(path.file_name().unwrap_or_default());
        let mut file = File::create(&draft).map_err(failed("make", &draft))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &draft))?;
        fs::rename(&draft, path).map_err(failed("write", path))
    }
}

fn failed<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> LayoutError + 'p {
    move |source| LayoutError::File { what, path: path.to_owned(), source }
}

fn no_index(path: &Path, error: &dyn std::fmt::Display) -> LayoutError {
    LayoutError::Index { path: path.to_owned(), message: error.to_string() }
}

/// Makes the names in a folder durable: a rename survives a power cut when its folder is synced.
fn sync(folder: &Path) -> Result<(), LayoutError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

fn read_index(path: &Path) -> Result<Index, LayoutError> {
    let size = match fs::metadata(path) {
        Ok(about) => about.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(Index { schema_version: 2, media_type: index_type(), manifests: Vec::new(), more: Map::new() });
        }
        Err(e) => return Err(failed("read", path)(e)),
    };
    if size > MAX_INDEX_BYTES {
        return Err(no_index(path, &format!("{size} bytes, at most {MAX_INDEX_BYTES} are read")));
    }
    let text = fs::read(path).map_err(failed("read", path))?;
    let index: Index = serde_json::from_slice(&text).map_err(|e| no_index(path, &e))?;
    if index.schema_version != 2 { Err(no_index(path, &"another schema version")) } else { Ok(index) }
}

/// Adds an entry unless it is there. Only what names it counts: other tools may have added annotations.
fn add(index: &mut Index, entry: &Descriptor, path: &Path) -> Result<(), LayoutError> {
    let name = |annotations: Option<&Value>| {
        annotations.and_then(|a| a.get(REF_NAME)).and_then(Value::as_str).map(str::to_owned)
    };
    let wanted = entry.annotations.get(REF_NAME);
    for there in &index.manifests {
        let digest = there.get("digest").and_then(Value::as_str).unwrap_or_default();
        let same_name = name(there.get("annotations")).as_ref() == wanted;
        if digest == entry.digest && same_name {
            return Ok(());
        }
        if let Some(wanted) = wanted.filter(|_| same_name) {
            let (name, found) = (wanted.clone(), digest.to_owned());
            return Err(LayoutError::Taken { name, found, path: path.to_owned() });
        }
    }
    index.manifests.push(serde_json::to_value(entry).map_err(|e| no_index(path, &e))?);
    Ok(())
}
