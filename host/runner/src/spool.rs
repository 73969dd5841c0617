//! What later steps read back of what earlier steps emitted: a projection of the declared properties, in an unlinked
//! temporary file that disappears with the worker.
//!
//! Lines are kept by task, and read back in the order of tasks, not of arrival: partitions run at once, and a guest must
//! not learn who was faster.

use porthole_model::manifest::Manifest;
use porthole_model::object::{KeyHash, Row};
use porthole_wire::{EntityPage, TaskId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

/// The size of a page that is read back, in bytes: some thousand keys, far below the frame's limit.
const PAGE_BYTES: usize = 256 * 1024;
/// The most that one run may spool, in bytes: 10 million keys with a name each.
const MAX_SPOOL_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The spool of one run.
#[derive(Debug)]
pub struct Spool {
    /// Which properties of which type anyone will read.
    wanted: HashMap<String, BTreeSet<String>>,
    /// Who may read what.
    readers: HashMap<(String, String), Vec<String>>,
    /// Made with the first line: most runs read nothing back.
    file: Option<BufWriter<File>>,
    end: u64,
    lines: HashMap<String, BTreeMap<TaskId, Vec<Line>>>,
    /// Of the types that were read: their lines in order, each key once. Who reads a type comes after all that emit it.
    ordered: HashMap<String, Vec<Line>>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    at: u64,
    length: u32,
    key: KeyHash,
}

impl Spool {
    /// An empty spool for the reads that a manifest declares.
    ///
    /// # Errors
    /// None so far: its temporary file is made when there is something to keep.
    pub fn new(manifest: &Manifest) -> io::Result<Self> {
        let mut wanted: HashMap<String, BTreeSet<String>> = HashMap::new();
        let mut readers = HashMap::new();
        for step in &manifest.steps {
            for read in &step.reads {
                wanted.entry(read.entity_type.clone()).or_default().extend(read.properties.iter().cloned());
                readers.insert((step.id.to_string(), read.entity_type.clone()), read.properties.clone());
            }
        }
        Ok(Self { wanted, readers, file: None, end: 0, lines: HashMap::new(), ordered: HashMap::new() })
    }

    /// A later step reads entities of this type.
    #[must_use]
    pub fn wants(&self, entity_type: &str) -> bool {
        self.wanted.contains_key(entity_type)
    }

    /// Keeps an entity, when a later step reads its type.
    ///
    /// # Errors
    /// When the file can't be written, or is full.
    pub fn keep(&mut self, task: TaskId, row: &Row) -> io::Result<()> {
        let Some(properties) = self.wanted.get(&row.object_type) else { return Ok(()) };
        let mut all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row.properties)?;
        all.retain(|name, _| properties.contains(name));
        let mut line = serde_json::to_vec(&serde_json::json!({ "k": row.key, "p": all }))?;
        line.push(b'\n');
        if self.end + line.len() as u64 > MAX_SPOOL_BYTES {
            return Err(io::Error::other(format!("more than {MAX_SPOOL_BYTES} bytes to read back in one run")));
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        file.write_all(&line)?;
        let length = u32::try_from(line.len()).map_err(io::Error::other)?;
        let by_task = self.lines.entry(row.object_type.clone()).or_default();
        by_task.entry(task).or_default().push(Line { at: self.end, length, key: row.key_hash });
        self.end += line.len() as u64;
        Ok(())
    }

    /// Reads a page. None when the step's `reads` doesn't name the type.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(&mut self, step: &str, entity_type: &str, cursor: u64) -> io::Result<Option<EntityPage>> {
        let Some(properties) = self.readers.get(&(step.to_owned(), entity_type.to_owned())) else { return Ok(None) };
        let Some(file) = &mut self.file else { return Ok(Some(EntityPage { lines: Vec::new(), next: None })) };
        file.flush()?;
        let from = usize::try_from(cursor).unwrap_or(usize::MAX);
        if let Some(lines) = self.lines.remove(entity_type) {
            self.ordered.insert(entity_type.to_owned(), each_key_once(lines));
        }
        let all = self.ordered.get(entity_type);
        let mut rest = all.into_iter().flatten().skip(from).peekable();
        let (mut lines, mut count) = (Vec::new(), 0);
        let file = file.get_mut();
        while let Some(line) = rest.peek() {
            if !lines.is_empty() && lines.len() + line.length as usize > PAGE_BYTES {
                break;
            }
            let mut bytes = vec![0; line.length as usize];
            file.seek(SeekFrom::Start(line.at))?;
            file.read_exact(&mut bytes)?;
            lines.extend(project(bytes, properties)?);
            count += 1;
            rest.next();
        }
        let next = rest.peek().is_some().then_some(cursor + count);
        file.seek(SeekFrom::End(0))?;
        Ok(Some(EntityPage { lines, next }))
    }
}

/// The lines in the order of tasks; of a key that several tasks emitted, the first of these.
fn each_key_once(lines: BTreeMap<TaskId, Vec<Line>>) -> Vec<Line> {
    let mut seen = HashSet::new();
    lines.into_values().flatten().filter(|line| seen.insert(line.key)).collect()
}

/// Another step may read more of the type than this one.
fn project(line: Vec<u8>, properties: &[String]) -> io::Result<Vec<u8>> {
    let mut value: serde_json::Value = serde_json::from_slice(&line)?;
    let Some(all) = value.get_mut("p").and_then(|p| p.as_object_mut()) else { return Ok(line) };
    if all.keys().all(|name| properties.contains(name)) {
        return Ok(line);
    }
    all.retain(|name, _| properties.contains(name));
    let mut line = serde_json::to_vec(&value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use porthole_model::parse::{StepTypes, parse_line};
    use serde_json::json;

    #[test]
    fn what_is_read_back_does_not_depend_on_which_task_was_faster() {
        let manifest: Manifest = serde_json::from_value(json!({
            "schema": 1,
            "module": { "name": "x", "version": "0.1.0", "provider": "X", "description": "x" },
            "operations": [],
            "steps": [
                { "id": "make", "uses": [], "entities": [{ "type": "thing", "class": ["Record"] }] },
                { "id": "read", "uses": [], "reads": [{ "type": "thing", "properties": ["n"] }] },
            ],
        }))
        .unwrap();
        let types = StepTypes::new(manifest.step("make").unwrap(), &|_| Vec::new());
        let thing = |key: &str, n: u32| {
            let line = format!(r#"{{"e":"thing","k":"{key}","c":["Record"],"n":"{key}","p":{{"n":{n},"x":1}}}}"#);
            parse_line(line.as_bytes(), &types).unwrap()
        };
        let emitted = [(1, thing("a", 1)), (1, thing("b", 1)), (2, thing("b", 2)), (2, thing("c", 2))];
        let read = |order: &[usize]| {
            let mut spool = Spool::new(&manifest).unwrap();
            for (task, row) in order.iter().filter_map(|at| emitted.get(*at)) {
                spool.keep(*task, row).unwrap();
            }
            assert_eq!(spool.read("make", "thing", 0).unwrap(), None, "not declared");
            let page = spool.read("read", "thing", 0).unwrap().unwrap();
            assert_eq!(page.next, None);
            String::from_utf8(page.lines).unwrap()
        };
        let expected = "{\"k\":\"a\",\"p\":{\"n\":1}}\n{\"k\":\"b\",\"p\":{\"n\":1}}\n{\"k\":\"c\",\"p\":{\"n\":2}}\n";
        assert_eq!(read(&[0, 1, 2, 3]), expected);
        assert_eq!(read(&[2, 3, 0, 1]), expected);
    }
}
