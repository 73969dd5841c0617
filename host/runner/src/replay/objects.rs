//! The objects that a replay emitted, kept so that two replays can be compared: hashes in memory, the rest in an unlinked
//! temporary file.

use porthole_model::object::{ContentHash, KeyHash, Row, RowKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;

/// The most that the objects of one replay may take in the temporary file, in bytes.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Objects of one type that are listed as added, changed or gone, each; the rest is only counted.
pub const MAX_LISTED: usize = 10_000;
/// Values of changed properties are cut after this many characters.
const SHOWN_CHARS: usize = 200;

/// See the module's documentation.
#[derive(Debug)]
pub struct Objects {
    rows: BTreeMap<KeyHash, Kept>,
    types: Vec<String>,
    file: BufWriter<File>,
    end: u64,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    content: ContentHash,
    object_type: u16,
    at: u64,
    length: u32,
}

/// An object, as far as people want to see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shown {
    key: String,
    name: String,
    properties: Value,
}

/// What is different about one type.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct TypeDiff {
    /// Objects that only the new version emits.
    pub added: u64,
    /// Objects that both emit, with different content.
    pub changed: u64,
    /// Objects that only the old version emits.
    pub gone: u64,
    /// Objects that both emit alike.
    pub same: u64,
    /// Keys of the added, at most [`MAX_LISTED`].
    pub added_keys: Vec<String>,
    /// The changed, at most [`MAX_LISTED`].
    pub changed_objects: Vec<Changed>,
    /// Keys of the gone, at most [`MAX_LISTED`].
    pub gone_keys: Vec<String>,
}

/// An object that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its key.
    pub key: String,
    /// Each property that differs, as JSON: old and new. None where a version doesn't set it.
    pub properties: BTreeMap<String, (Option<String>, Option<String>)>,
}

impl Objects {
    /// None yet.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn new() -> io::Result<Self> {
        let file = BufWriter::new(tempfile::tempfile()?);
        Ok(Self { rows: BTreeMap::new(), types: Vec::new(), file, end: 0 })
    }

    /// Keeps an object.
    ///
    /// # Errors
    /// When the file can't be written, or is full.
    pub fn take(&mut self, row: &Row) -> io::Result<()> {
        let name = match &row.kind {
            RowKind::Entity { display_name, .. } => display_name.clone(),
            RowKind::Relationship { .. } => String::new(),
        };
        let shown = Shown { key: row.key.clone(), name, properties: serde_json::from_str(&row.properties)? };
        let bytes = serde_json::to_vec(&shown)?;
        if self.end + bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other(format!("the objects of a replay take more than {MAX_FILE_BYTES} bytes")));
        }
        self.file.write_all(&bytes)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let object_type = self.number(&row.object_type);
        let kept = Kept { content: row.content_hash, object_type, at: self.end, length };
        self.rows.insert(row.key_hash, kept);
        self.end += u64::from(length);
        Ok(())
    }

    fn number(&mut self, object_type: &str) -> u16 {
        let at = self.types.iter().position(|t| t == object_type).unwrap_or_else(|| {
            self.types.push(object_type.to_owned());
            self.types.len() - 1
        });
        // A manifest has some hundred types.
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    fn type_of(&self, kept: &Kept) -> String {
        self.types.get(usize::from(kept.object_type)).cloned().unwrap_or_default()
    }

    fn shown(&self, kept: &Kept) -> io::Result<Shown> {
        let mut bytes = vec![0; kept.length as usize];
        self.file.get_ref().read_exact_at(&mut bytes, kept.at)?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// What is different between the objects of two versions, by type.
///
/// # Errors
/// When a temporary file can't be read.
pub fn diff(old: &mut Objects, new: &mut Objects) -> io::Result<BTreeMap<String, TypeDiff>> {
    old.file.flush()?;
    new.file.flush()?;
    let mut types: BTreeMap<String, TypeDiff> = BTreeMap::new();
    for (key, now) in &new.rows {
        let of_type = types.entry(new.type_of(now)).or_default();
        match old.rows.get(key) {
            None => {
                of_type.added += 1;
                if of_type.added_keys.len() < MAX_LISTED {
                    of_type.added_keys.push(new.shown(now)?.key);
                }
            }
            Some(then) if then.content == now.content => of_type.same += 1,
            Some(then) => {
                of_type.changed += 1;
                if of_type.changed_objects.len() < MAX_LISTED {
                    of_type.changed_objects.push(changed(&old.shown(then)?, new.shown(now)?));
                }
            }
        }
    }
    for (_, then) in old.rows.iter().filter(|(key, _)| !new.rows.contains_key(*key)) {
        let of_type = types.entry(old.type_of(then)).or_default();
        of_type.gone += 1;
        if of_type.gone_keys.len() < MAX_LISTED {
            of_type.gone_keys.push(old.shown(then)?.key);
        }
    }
    for of_type in types.values_mut() {
        of_type.added_keys.sort_unstable();
        of_type.gone_keys.sort_unstable();
        of_type.changed_objects.sort_by(|a, b| a.key.cmp(&b.key));
    }
    Ok(types)
}

fn changed(old: &Shown, new: Shown) -> Changed {
    let text = |value: Option<&Value>| value.map(|v| v.to_string().chars().take(SHOWN_CHARS).collect::<String>());
    let mut properties = BTreeMap::new();
    let empty = serde_json::Map::new();
    let (then, now) = (old.properties.as_object().unwrap_or(&empty), new.properties.as_object().unwrap_or(&empty));
    for name in then.keys().chain(now.keys()) {
        if then.get(name) != now.get(name) {
            properties.insert(name.clone(), (text(then.get(name)), text(now.get(name))));
        }
    }
    if old.name != new.name {
        let quoted = |name: &str| Some(Value::from(name).to_string());
        properties.insert("_display_name".to_owned(), (quoted(&old.name), quoted(&new.name)));
    }
    Changed { key: new.key, properties }
}
