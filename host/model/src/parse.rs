//! From one emitted line to a checked [`Row`]. The line is hostile: whatever is stored, hashed or shown later has passed
//! here, and nothing looks at the guest's bytes again.
//!
//! The format stands at `graph.emit` in the WIT. Start reading at [`parse_line`].

use crate::json::{Member, Scanner};
use crate::manifest::Step;
use crate::object::{ContentHash, KeyHash, Row, RowKind, first_half};
pub use crate::reason::Reason;
use crate::text::{shown, shown_bytes};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// The longest line, in bytes: the widest real objects have 20 kB; the sandbox refuses longer lines as well.
pub const MAX_LINE_BYTES: usize = 256 * 1024;
/// The longest key, in bytes. Keys are indexed and joined; provider ids and ARNs have under 300.
pub const MAX_KEY_BYTES: usize = 1024;
/// The longest display name, in bytes: a line of a table.
pub const MAX_DISPLAY_NAME_BYTES: usize = 1024;
/// How much of a rejected object's type and key is kept, in bytes: enough to find it, too little to fill the log.
pub const MAX_SHOWN_BYTES: usize = 160;

/// The types that one step may emit, made for looking up.
#[derive(Debug, Clone, Default)]
pub struct StepTypes {
    entities: HashMap<String, EntityType>,
    /// Relationship type → verb.
    relationships: HashMap<String, String>,
}

#[derive(Debug, Clone)]
struct EntityType {
    /// Sorted.
    class: Vec<String>,
    /// Properties that a class of the type demands.
    required: Vec<String>,
}

impl StepTypes {
    /// Takes the types of a step. `required` says which properties a class demands; those that are columns (a leading
    /// `_`, and `displayName`) are always there and are left out.
    #[must_use]
    pub fn new(step: &Step, required: &dyn Fn(&str) -> Vec<String>) -> Self {
        let mut types = Self::default();
        for declared in &step.entities {
            let class: BTreeSet<_> = declared.class.iter().cloned().collect();
            let required: BTreeSet<_> = class.iter().flat_map(|class| required(class)).collect();
            let is_column = |name: &String| name.starts_with('_') || name == "displayName";
            let entity = EntityType {
                class: class.into_iter().collect(),
                required: required.into_iter().filter(|name| !is_column(name)).collect(),
            };
            types.entities.insert(declared.entity_type.clone(), entity);
        }
        for declared in &step.relationships {
            types.relationships.insert(declared.relationship_type(), declared.verb.clone());
        }
        types
    }
}

/// An object that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its type, if it got that far; cut to [`MAX_SHOWN_BYTES`] and without control characters.
    pub object_type: Option<String>,
    /// Its key, if it got that far; likewise cut.
    pub key: Option<String>,
    /// The hash of its whole key, if the key is known and keeps the rules. An object that was seen but is bad must not be
    /// taken for one that is gone: mark this hash as seen, and the version that is stored stays.
    pub key_hash: Option<KeyHash>,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object_type.as_deref().unwrap_or("object of unknown type"))?;
        if let Some(key) = &self.key {
            write!(f, " `{key}`")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Rejection {}

/// Checks one line (without its line feed) and makes a row of it.
///
/// # Errors
/// When it is no JSON, breaks a limit, or isn't what the step declared.
pub fn parse_line(line: &[u8], types: &StepTypes) -> Result<Row, Rejection> {
    let mut draft = Draft::default();
    match draft.read(line).and_then(|()| draft.kind()) {
        Ok(Kind::Entity) => draft.entity(types),
        Ok(Kind::Relationship) => draft.relationship(types),
        Err(reason) => Err(reason),
    }
    .map_err(|reason| draft.reject(reason))
}

/// The fields of a line as they were read, before anything is known about them but that they are JSON.
#[derive(Default)]
struct Draft<'a> {
    entity_type: Option<Cow<'a, str>>,
    relationship_type: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    class: Option<Vec<Cow<'a, str>>>,
    display_name: Option<Cow<'a, str>>,
    from: Option<Cow<'a, str>>,
    verb: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
    properties: Option<(String, Vec<Member<'a>>)>,
}

enum Kind {
    Entity,
    Relationship,
}

impl<'a> Draft<'a> {
    fn read(&mut self, line: &'a [u8]) -> Result<(), Reason> {
        if line.len() > MAX_LINE_BYTES {
            return Err(Reason::LineTooLong(line.len()));
        }
        let mut scanner = Scanner::new(line)?;
        scanner.space();
        scanner.members(|scanner, name| match &*name {
            "e" => set(&mut self.entity_type, "e", scanner.string()?),
            "r" => set(&mut self.relationship_type, "r", scanner.string()?),
            "k" => set(&mut self.key, "k", scanner.string()?),
            "n" => set(&mut self.display_name, "n", scanner.string()?),
            "f" => set(&mut self.from, "f", scanner.string()?),
            "v" => set(&mut self.verb, "v", scanner.string()?),
            "t" => set(&mut self.to, "t", scanner.string()?),
            "c" => {
                let mut class = Vec::new();
                scanner.elements(|scanner| {
                    class.push(scanner.string()?);
                    Ok(())
                })?;
                set(&mut self.class, "c", class)
            }
            "p" => {
                let mut out = String::with_capacity(line.len());
                let members = scanner.properties(&mut out)?;
                set(&mut self.properties, "p", (out, members))
            }
            _ => Err(Reason::UnknownField(shown(&name))),
        })?;
        scanner.end()
    }

    /// Which of the two it is, and that it has no field of the other.
    fn kind(&self) -> Result<Kind, Reason> {
        let (kind, foreign) = if self.entity_type.is_some() {
            let foreign = [
                ("r", self.relationship_type.is_some()),
                ("f", self.from.is_some()),
                ("v", self.verb.is_some()),
                ("t", self.to.is_some()),
            ];
            (Kind::Entity, foreign.into_iter().find(|(_, is)| *is))
        } else if self.relationship_type.is_some() {
            let foreign = [("c", self.class.is_some()), ("n", self.display_name.is_some())];
            (Kind::Relationship, foreign.into_iter().find(|(_, is)| *is))
        } else {
            return Err(Reason::MissingField("e"));
        };
        match foreign {
            Some((name, _)) => Err(Reason::UnknownField(name.to_owned())),
            None => Ok(kind),
        }
    }

    fn entity(&mut self, types: &StepTypes) -> Result<Row, Reason> {
        let object_type = need(&self.entity_type, "e")?;
        let Some(declared) = types.entities.get(object_type) else {
            return Err(Reason::UndeclaredType(shown(object_type)));
        };
        let key = checked_key(need(&self.key, "k")?, "k")?;
        let class = self.class.as_mut().ok_or(Reason::MissingField("c"))?;
        class.sort_unstable();
        if *class != declared.class {
            return Err(Reason::Class(shown(&class.join(", "))));
        }
        let display_name = need(&self.display_name, "n")?;
        if display_name.len() > MAX_DISPLAY_NAME_BYTES {
            return Err(Reason::DisplayName(display_name.len()));
        }
        let (properties, members) = self.properties.as_ref().ok_or(Reason::MissingField("p"))?;
        let given = |name: &String| members.iter().any(|m| m.name == *name && !m.null);
        if let Some(missing) = declared.required.iter().find(|name| !given(name)) {
            return Err(Reason::MissingProperty(missing.clone()));
        }
        let mut content = Content::new(b"E1", properties.len() + 256);
        content.field(object_type).list(&declared.class).field(display_name).field(properties);
        Ok(Row {
            object_type: object_type.to_owned(),
            key: key.to_owned(),
            key_hash: KeyHash::entity(key),
            content_hash: content.hash(),
            kind: RowKind::Entity { class: declared.class.clone(), display_name: display_name.to_owned() },
            properties: self.take_properties(),
        })
    }

    fn relationship(&mut self, types: &StepTypes) -> Result<Row, Reason> {
        let object_type = need(&self.relationship_type, "r")?;
        let Some(declared_verb) = types.relationships.get(object_type) else {
            return Err(Reason::UndeclaredType(shown(object_type)));
        };
        let verb = need(&self.verb, "v")?;
        if verb != declared_verb {
            return Err(Reason::Verb(shown(verb)));
        }
        let from = checked_key(need(&self.from, "f")?, "f")?;
        let to = checked_key(need(&self.to, "t")?, "t")?;
        let key = match self.key.as_deref() {
            Some(key) => checked_key(key, "k")?.to_owned(),
            None => default_key(from, verb, to)?,
        };
        let properties = self.properties.as_ref().map_or("{}", |(text, _)| text);
        let mut content = Content::new(b"R1", properties.len() + 512);
        content.field(object_type).field(from).field(verb).field(to).field(properties);
        Ok(Row {
            object_type: object_type.to_owned(),
            key_hash: KeyHash::relationship(&key),
            content_hash: content.hash(),
            kind: RowKind::Relationship {
                verb: verb.to_owned(),
                from_key: from.to_owned(),
                from_hash: KeyHash::entity(from),
                to_key: to.to_owned(),
                to_hash: KeyHash::entity(to),
            },
            key,
            properties: self.take_properties(),
        })
    }

    fn take_properties(&mut self) -> String {
        self.properties.take().map_or_else(|| "{}".to_owned(), |(text, _)| text)
    }

    fn reject(&self, reason: Reason) -> Rejection {
        let cut = |text: &str| shown_bytes(text, MAX_SHOWN_BYTES);
        let object_type = self.entity_type.as_deref().or(self.relationship_type.as_deref());
        let key = self.key.as_deref().map(Cow::Borrowed).or_else(|| match (&self.from, &self.verb, &self.to) {
            (Some(from), Some(verb), Some(to)) => default_key(from, verb, to).ok().map(Cow::Owned),
            _ => None,
        });
        let kept = key.as_deref().filter(|key| checked_key(key, "k").is_ok());
        let key_hash = kept.map(if self.entity_type.is_some() { KeyHash::entity } else { KeyHash::relationship });
        Rejection { object_type: object_type.map(cut), key: key.as_deref().map(cut), key_hash, reason }
    }
}

fn set<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), Reason> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Reason::DuplicateKey(name.to_owned())),
    }
}

fn need<'f>(field: &'f Option<Cow<'_, str>>, name: &'static str) -> Result<&'f str, Reason> {
    field.as_deref().ok_or(Reason::MissingField(name))
}

fn checked_key<'k>(key: &'k str, field: &'static str) -> Result<&'k str, Reason> {
    let good = !key.is_empty() && key.len() <= MAX_KEY_BYTES && !key.chars().any(char::is_control);
    if good { Ok(key) } else { Err(Reason::Key(field)) }
}

fn default_key(from: &str, verb: &str, to: &str) -> Result<String, Reason> {
    let key = [from, "|", verb, "|", to].concat();
    if key.len() > MAX_KEY_BYTES { Err(Reason::DefaultKey) } else { Ok(key) }
}

/// What is hashed: each text behind its length, so that no two different objects are the same bytes.
struct Content(Vec<u8>);

impl Content {
    /// `kind` keeps entities, relationships and later versions of this encoding apart.
    fn new(kind: &[u8; 2], capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(kind);
        Self(bytes)
    }

    fn count(&mut self, n: usize) {
        self.0.extend_from_slice(&(n as u64).to_le_bytes());
    }

    fn field(&mut self, text: &str) -> &mut Self {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn list(&mut self, texts: &[String]) -> &mut Self {
        self.count(texts.len());
        for text in texts {
            self.field(text);
        }
        self
    }

    fn hash(&self) -> ContentHash {
        ContentHash(first_half(&blake3::hash(&self.0)))
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
