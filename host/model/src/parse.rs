//! From one emitted line to a checked [`Row`]. The line is hostile: whatever is stored, hashed or shown later has passed
//! here, and nothing looks at the guest's bytes again.
//!
//! The format stands at `graph.emit` in the WIT. Start reading at [`parse_line`].

use crate::json::quick::Quick;
use crate::json::{MAX_ELEMENTS, Member, Scanner};
use crate::manifest::Step;
use crate::object::{ContentHash, KeyHash, Row, RowKind, first_half};
pub use crate::reason::Reason;
use crate::text::{shown, shown_bytes};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;

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
    /// Entities first.
    types: Vec<ObjectType>,
    /// Places in `types`. Entities and relationships have names of their own.
    entities: HashMap<String, usize>,
    relationships: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct ObjectType {
    name: String,
    is: Is,
}

#[derive(Debug, Clone)]
enum Is {
    Entity {
        /// Sorted.
        class: Vec<String>,
        /// Properties that a class of the type demands.
        required: Vec<String>,
    },
    Relationship {
        verb: String,
    },
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
            let is = Is::Entity {
                class: class.into_iter().collect(),
                required: required.into_iter().filter(|name| !is_column(name)).collect(),
            };
            types.entities.insert(declared.entity_type.clone(), types.types.len());
            types.types.push(ObjectType { name: declared.entity_type.clone(), is });
        }
        for declared in &step.relationships {
            let (name, verb) = (declared.relationship_type(), declared.verb.clone());
            types.relationships.insert(name.clone(), types.types.len());
            types.types.push(ObjectType { name, is: Is::Relationship { verb } });
        }
        types
    }

    /// How many there are. An [`Object`] has the number of its own.
    #[must_use]
    pub fn count(&self) -> usize {
        self.types.len()
    }

    /// The name of a type.
    #[must_use]
    pub fn name(&self, number: usize) -> &str {
        self.types.get(number).map_or("", |found| &found.name)
    }

    /// An entity, not a relationship.
    #[must_use]
    pub fn is_entity(&self, number: usize) -> bool {
        self.types.get(number).is_some_and(|found| matches!(found.is, Is::Entity { .. }))
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
    let mut text = Vec::new();
    Reader::new(types).line(line, &mut text).map(|object| object.row(&text, types))
}

/// A checked object: what it is compared by, and where the rest of it stands. Most objects are what the graph has
/// already, and of those nobody wants more; [`Object::row`] makes a row of one that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Hash of its key.
    pub key_hash: KeyHash,
    /// Hash of everything else.
    pub content_hash: ContentHash,
    /// The number of its type.
    pub type_number: usize,
    key: Range<usize>,
    properties: Range<usize>,
    is: Place,
}

/// Where the texts of an object stand that entities and relationships don't have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Entity { display_name: Range<usize> },
    Relationship { from: Range<usize>, to: Range<usize> },
}

impl Object {
    /// The whole of it. `text` is what the reader wrote it into, and `types` what it was read with.
    #[must_use]
    pub fn row(&self, text: &[u8], types: &StepTypes) -> Row {
        // It was text when it was written, so nothing is lost.
        let at = |place: &Range<usize>| {
            String::from_utf8_lossy(text.get(place.clone()).unwrap_or_default()).into_owned()
        };
        let declared = types.types.get(self.type_number).map(|found| &found.is);
        let kind = match &self.is {
            Place::Entity { display_name } => {
                let class = match declared {
                    Some(Is::Entity { class, .. }) => class.clone(),
                    _ => Vec::new(),
                };
                RowKind::Entity { class, display_name: at(display_name) }
            }
            Place::Relationship { from, to } => {
                let verb = match declared {
                    Some(Is::Relationship { verb }) => verb.clone(),
                    _ => String::new(),
                };
                let (from_key, to_key) = (at(from), at(to));
                let (from_hash, to_hash) = (KeyHash::entity(&from_key), KeyHash::entity(&to_key));
                RowKind::Relationship { verb, from_key, from_hash, to_key, to_hash }
            }
        };
        Row {
            object_type: types.name(self.type_number).to_owned(),
            key: at(&self.key),
            key_hash: self.key_hash,
            content_hash: self.content_hash,
            properties: at(&self.properties),
            kind,
        }
    }
}

/// Reads lines, one after the other, and writes what is hashed of them. What it learns from one line saves work at the
/// next, which mostly has the same properties in the same order.
pub struct Reader<'a> {
    types: &'a StepTypes,
    class: Vec<Cow<'a, str>>,
    members: Vec<Member<'a>>,
    order: Order,
}

impl<'a> Reader<'a> {
    /// A reader for the lines of one step.
    #[must_use]
    pub fn new(types: &'a StepTypes) -> Self {
        Self { types, class: Vec::new(), members: Vec::new(), order: Order::default() }
    }

    /// Checks one line (without its line feed), and appends to `text` what its object is made of.
    ///
    /// # Errors
    /// When it is no JSON, breaks a limit, or isn't what the step declared. What was appended means nothing then.
    pub fn line(&mut self, line: &'a [u8], text: &mut Vec<u8>) -> Result<Object, Rejection> {
        let mut draft = Draft::new(self, line);
        let read = match draft.read_quickly() {
            Some(()) => Ok(()),
            None => {
                draft.give_back(self);
                draft = Draft::new(self, line);
                draft.read()
            }
        };
        let object = match read.and_then(|()| draft.kind()) {
            Ok(Kind::Entity) => draft.entity(self.types, text),
            Ok(Kind::Relationship) => draft.relationship(self.types, text),
            Err(reason) => Err(reason),
        }
        .map_err(|reason| draft.reject(reason));
        draft.give_back(self);
        object
    }
}

/// The fields of a line as they were read, before anything is known about them but that they are JSON.
struct Draft<'a> {
    line: &'a [u8],
    entity_type: Option<Cow<'a, str>>,
    relationship_type: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    class: Option<Vec<Cow<'a, str>>>,
    display_name: Option<Cow<'a, str>>,
    from: Option<Cow<'a, str>>,
    verb: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
    properties: Option<Properties>,
    /// Those of the properties.
    members: Vec<Member<'a>>,
    order: Order,
    /// Room that isn't used.
    spare: Vec<Cow<'a, str>>,
}

/// Properties that were read.
enum Properties {
    /// Written in canonical form.
    Written(String),
    /// Each of the members is in canonical form where it stands in the line, and `Draft::order` is their order.
    InLine,
}

enum Kind {
    Entity,
    Relationship,
}

impl<'a> Draft<'a> {
    fn new(reader: &mut Reader<'a>, line: &'a [u8]) -> Self {
        let (mut spare, mut members) = (std::mem::take(&mut reader.class), std::mem::take(&mut reader.members));
        spare.clear();
        members.clear();
        Self {
            line,
            entity_type: None,
            relationship_type: None,
            key: None,
            class: None,
            display_name: None,
            from: None,
            verb: None,
            to: None,
            properties: None,
            members,
            order: std::mem::take(&mut reader.order),
            spare,
        }
    }

    /// Gives back the room that it took.
    fn give_back(&mut self, reader: &mut Reader<'a>) {
        reader.class = self.class.take().unwrap_or_else(|| std::mem::take(&mut self.spare));
        reader.members = std::mem::take(&mut self.members);
        reader.order = std::mem::take(&mut self.order);
    }

    /// Reads a line that is written as guests mostly write them. None for any other, be it good or bad.
    fn read_quickly(&mut self) -> Option<()> {
        if self.line.len() > MAX_LINE_BYTES {
            return None;
        }
        let mut quick = Quick::new(std::str::from_utf8(self.line).ok()?);
        quick.expect(b'{')?;
        loop {
            let name = quick.plain()?;
            quick.expect(b':')?;
            match name {
                "e" => set_quickly(&mut self.entity_type, quick.plain()?)?,
                "r" => set_quickly(&mut self.relationship_type, quick.plain()?)?,
                "k" => set_quickly(&mut self.key, quick.plain()?)?,
                "n" => set_quickly(&mut self.display_name, quick.plain()?)?,
                "f" => set_quickly(&mut self.from, quick.plain()?)?,
                "v" => set_quickly(&mut self.verb, quick.plain()?)?,
                "t" => set_quickly(&mut self.to, quick.plain()?)?,
                "c" if self.class.is_none() => {
                    let class = self.class.insert(std::mem::take(&mut self.spare));
                    quick.expect(b'[')?;
                    loop {
                        class.push(Cow::Borrowed(quick.plain()?));
                        if class.len() > MAX_ELEMENTS {
                            return None;
                        }
                        if quick.take(b']') {
                            break;
                        }
                        quick.expect(b',')?;
                    }
                }
                "p" if self.properties.is_none() => {
                    quick.properties(&mut self.members)?;
                    self.order.find(&self.members)?;
                    self.properties = Some(Properties::InLine);
                }
                _ => return None,
            }
            if quick.take(b'}') {
                return quick.is_over().then_some(());
            }
            quick.expect(b',')?;
        }
    }

    fn read(&mut self) -> Result<(), Reason> {
        let line = self.line;
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
                self.members = scanner.properties(&mut out)?;
                set(&mut self.properties, "p", Properties::Written(out))
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

    fn entity(&mut self, types: &StepTypes, text: &mut Vec<u8>) -> Result<Object, Reason> {
        let object_type = need(&self.entity_type, "e")?;
        let declared = types.entities.get(object_type).and_then(|at| Some((*at, types.types.get(*at)?)));
        let Some((type_number, ObjectType { is: Is::Entity { class, required }, .. })) = declared else {
            return Err(Reason::UndeclaredType(shown(object_type)));
        };
        let key = checked_key(need(&self.key, "k")?, "k")?;
        let given = self.class.as_mut().ok_or(Reason::MissingField("c"))?;
        given.sort_unstable();
        if *given != *class {
            return Err(Reason::Class(shown(&given.join(", "))));
        }
        let display_name = need(&self.display_name, "n")?;
        if display_name.len() > MAX_DISPLAY_NAME_BYTES {
            return Err(Reason::DisplayName(display_name.len()));
        }
        if self.properties.is_none() {
            return Err(Reason::MissingField("p"));
        }
        let given = |name: &String| self.members.iter().any(|m| m.name == *name && !m.null);
        if let Some(missing) = required.iter().find(|name| !given(name)) {
            return Err(Reason::MissingProperty(missing.clone()));
        }
        let mut writing = Writing(text);
        let (key, key_hash) = writing.key(KeyHash::ENTITY, &[key]);
        let content = writing.begin(b"E1");
        writing.field(object_type);
        writing.list(class);
        let display_name = writing.field(display_name);
        let properties = writing.properties(self);
        let content_hash = writing.hash(content);
        Ok(Object { key_hash, content_hash, type_number, key, properties, is: Place::Entity { display_name } })
    }

    fn relationship(&mut self, types: &StepTypes, text: &mut Vec<u8>) -> Result<Object, Reason> {
        let object_type = need(&self.relationship_type, "r")?;
        let declared = types.relationships.get(object_type).and_then(|at| Some((*at, types.types.get(*at)?)));
        let Some((type_number, ObjectType { is: Is::Relationship { verb: declared_verb }, .. })) = declared else {
            return Err(Reason::UndeclaredType(shown(object_type)));
        };
        let verb = need(&self.verb, "v")?;
        if verb != declared_verb {
            return Err(Reason::Verb(shown(verb)));
        }
        let from = checked_key(need(&self.from, "f")?, "f")?;
        let to = checked_key(need(&self.to, "t")?, "t")?;
        let mut writing = Writing(text);
        let (key, key_hash) = match self.key.as_deref() {
            Some(key) => writing.key(KeyHash::RELATIONSHIP, &[checked_key(key, "k")?]),
            None => writing.key(KeyHash::RELATIONSHIP, &default_key(from, verb, to)?),
        };
        let content = writing.begin(b"R1");
        writing.field(object_type);
        let from = writing.field(from);
        writing.field(verb);
        let to = writing.field(to);
        let properties = writing.properties(self);
        let content_hash = writing.hash(content);
        Ok(Object { key_hash, content_hash, type_number, key, properties, is: Place::Relationship { from, to } })
    }

    fn reject(&self, reason: Reason) -> Rejection {
        let cut = |text: &str| shown_bytes(text, MAX_SHOWN_BYTES);
        let object_type = self.entity_type.as_deref().or(self.relationship_type.as_deref());
        let key = self.key.as_deref().map(Cow::Borrowed).or_else(|| match (&self.from, &self.verb, &self.to) {
            (Some(from), Some(verb), Some(to)) => default_key(from, verb, to).ok().map(|key| Cow::Owned(key.concat())),
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

/// As [`set`], for a reader that leaves what is odd to another.
fn set_quickly<'a>(field: &mut Option<Cow<'a, str>>, value: &'a str) -> Option<()> {
    field.replace(Cow::Borrowed(value)).is_none().then_some(())
}

fn checked_key<'k>(key: &'k str, field: &'static str) -> Result<&'k str, Reason> {
    // Of ASCII, looking at bytes is enough.
    let is_printable = |b: &u8| (b' '..0x7f).contains(b);
    let has_control = || !key.as_bytes().iter().all(is_printable) && key.chars().any(char::is_control);
    let good = !key.is_empty() && key.len() <= MAX_KEY_BYTES && !has_control();
    if good { Ok(key) } else { Err(Reason::Key(field)) }
}

/// In pieces.
fn default_key<'k>(from: &'k str, verb: &'k str, to: &'k str) -> Result<[&'k str; 5], Reason> {
    let key = [from, "|", verb, "|", to];
    if key.iter().map(|piece| piece.len()).sum::<usize>() > MAX_KEY_BYTES { Err(Reason::DefaultKey) } else { Ok(key) }
}

/// The canonical order of the members of an object, as places among them. Kept from one object to the next, because
/// looking whether an order holds costs less than finding it.
#[derive(Default)]
struct Order(Vec<usize>);

impl Order {
    /// Finds it. None when a name is there twice.
    fn find(&mut self, members: &[Member<'_>]) -> Option<()> {
        if self.is_of(members) {
            return Some(());
        }
        self.0.clear();
        self.0.extend(0..members.len());
        let member = |at: usize| members.get(at);
        self.0.sort_unstable_by(|a, b| match (member(*a), member(*b)) {
            (Some(a), Some(b)) => a.compare(b),
            // Not met: all of them are places.
            _ => a.cmp(b),
        });
        self.is_of(members).then_some(())
    }

    fn is_of(&self, members: &[Member<'_>]) -> bool {
        let in_order = |pair: &[usize; 2]| {
            let [a, b] = pair.map(|at| members.get(at));
            a.zip(b).is_some_and(|(a, b)| a.compare(b).is_lt())
        };
        self.0.len() == members.len() && self.0.array_windows().all(in_order)
    }
}

/// What is hashed: each text behind its length, so that no two different objects are the same bytes.
struct Writing<'t>(&'t mut Vec<u8>);

impl Writing<'_> {
    /// Writes a key. `kind` keeps entities and relationships apart.
    fn key(&mut self, kind: u8, pieces: &[&str]) -> (Range<usize>, KeyHash) {
        let start = self.0.len();
        self.0.push(kind);
        pieces.iter().for_each(|piece| self.0.extend_from_slice(piece.as_bytes()));
        let hash = KeyHash(first_half(&blake3::hash(self.0.get(start..).unwrap_or_default())));
        (start + 1..self.0.len(), hash)
    }

    /// Begins the content. `kind` keeps entities, relationships and later versions of this encoding apart.
    fn begin(&mut self, kind: &[u8; 2]) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(kind);
        start
    }

    fn count(&mut self, n: usize) {
        self.0.extend_from_slice(&(n as u64).to_le_bytes());
    }

    fn field(&mut self, text: &str) -> Range<usize> {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
        self.0.len() - text.len()..self.0.len()
    }

    fn list(&mut self, texts: &[String]) {
        self.count(texts.len());
        for text in texts {
            self.field(text);
        }
    }

    fn properties(&mut self, draft: &Draft<'_>) -> Range<usize> {
        match &draft.properties {
            None => self.field("{}"),
            Some(Properties::Written(text)) => self.field(text),
            Some(Properties::InLine) => {
                let places = || draft.order.0.iter().filter_map(|at| draft.members.get(*at)).map(|m| m.start..m.end);
                // Brackets, and a comma after each but the last.
                let length = 1 + draft.members.len().max(1) + places().map(|place| place.len()).sum::<usize>();
                self.count(length);
                let start = self.0.len();
                self.0.push(b'{');
                for place in places() {
                    if self.0.len() > start + 1 {
                        self.0.push(b',');
                    }
                    self.0.extend_from_slice(draft.line.get(place).unwrap_or_default());
                }
                self.0.push(b'}');
                start..self.0.len()
            }
        }
    }

    fn hash(&self, start: usize) -> ContentHash {
        ContentHash(first_half(&blake3::hash(self.0.get(start..).unwrap_or_default())))
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
