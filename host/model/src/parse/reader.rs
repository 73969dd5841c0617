//! From a line to an object. Start at [`Reader::line`].

use super::batch::{NOT_YET, Object, Place};
use super::far::{self, Carried};
use super::types::{Is, ObjectType, StepTypes};
use super::writing::{Order, Writing};
use super::{MAX_DISPLAY_NAME_BYTES, MAX_KEY_BYTES, MAX_LINE_BYTES, MAX_SHOWN_BYTES, Rejection};
use crate::json::quick::Quick;
use crate::json::{MAX_ELEMENTS, Member, Scanner};
use crate::object::{Far, KeyHash};
use crate::reason::Reason;
use crate::text::{shown, shown_bytes};
use std::borrow::Cow;

/// Reads lines, one after the other, and writes what is hashed of them. What it learns from one line saves work at the
/// next, which mostly has the same properties in the same order.
pub(super) struct Reader<'a> {
    types: &'a StepTypes,
    class: Vec<Cow<'a, str>>,
    members: Vec<Member<'a>>,
    order: Order,
}

impl<'a> Reader<'a> {
    /// A reader for the lines of one step.
    pub(super) fn new(types: &'a StepTypes) -> Self {
        Self { types, class: Vec::new(), members: Vec::new(), order: Order::default() }
    }

    /// Checks one line (without its line feed), and appends to `text` what its object is made of. Its content is still to be
    /// hashed. In an error, what was appended means nothing.
    pub(super) fn line(&mut self, line: &'a [u8], text: &mut Vec<u8>) -> Result<Object, Rejection> {
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
pub(super) struct Draft<'a> {
    pub(super) line: &'a [u8],
    entity_type: Option<Cow<'a, str>>,
    relationship_type: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    class: Option<Vec<Cow<'a, str>>>,
    display_name: Option<Cow<'a, str>>,
    from: Option<Cow<'a, str>>,
    verb: Option<Cow<'a, str>>,
    to: Option<Cow<'a, str>>,
    /// The end that it carries, and which of the two that is.
    mapped: Option<Carried<'a>>,
    end: Option<Cow<'a, str>>,
    pub(super) properties: Option<Properties>,
    /// Those of the properties.
    pub(super) members: Vec<Member<'a>>,
    pub(super) order: Order,
    /// Room that isn't used.
    spare: Vec<Cow<'a, str>>,
}

/// Properties that were read.
pub(super) enum Properties {
    /// Written in canonical form.
    Written(String),
    /// Each of the members is in canonical form where it stands in the line, and `Draft::order` is their order.
    InLine,
}

pub(super) enum Kind {
    Entity,
    Relationship,
}

impl<'a> Draft<'a> {
    pub(super) fn new(reader: &mut Reader<'a>, line: &'a [u8]) -> Self {
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
            mapped: None,
            end: None,
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
    pub(super) fn read_quickly(&mut self) -> Option<()> {
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

    pub(super) fn read(&mut self) -> Result<(), Reason> {
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
            "c" => set(&mut self.class, "c", strings(scanner)?),
            "d" => set(&mut self.end, "d", scanner.string()?),
            "m" => set(&mut self.mapped, "m", Carried::read(scanner)?),
            "p" => {
                let mut out = String::with_capacity(line.len());
                self.members = scanner.properties(&mut out)?;
                set(&mut self.properties, "p", Properties::Written(out))
            }
            _ => Err(Reason::UnknownField(shown(&name))),
        })?;
        scanner.end()
    }

    /// Which of the two it is, and that it has no field of the other. The key of a far end takes its place among the fields.
    pub(super) fn kind(&mut self) -> Result<Kind, Reason> {
        let (kind, foreign) = if self.entity_type.is_some() {
            let foreign = [
                ("r", self.relationship_type.is_some()),
                ("f", self.from.is_some()),
                ("v", self.verb.is_some()),
                ("t", self.to.is_some()),
                ("m", self.mapped.is_some()),
                ("d", self.end.is_some()),
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
            None => far::place(&mut self.mapped, self.end.as_deref(), &mut self.from, &mut self.to).map(|()| kind),
        }
    }

    pub(super) fn entity(&mut self, types: &StepTypes, text: &mut Vec<u8>) -> Result<Object, Reason> {
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
        let content = content..writing.0.len();
        let is = Place::Entity { display_name };
        Ok(Object { key_hash, content_hash: NOT_YET, type_number, content, key, properties, is })
    }

    pub(super) fn relationship(&mut self, types: &StepTypes, text: &mut Vec<u8>) -> Result<Object, Reason> {
        let object_type = need(&self.relationship_type, "r")?;
        let declared = types.relationships.get(object_type).and_then(|at| Some((*at, types.types.get(*at)?)));
        let Some((type_number, ObjectType { is: Is::Relationship { verb: declared_verb, far }, .. })) = declared else {
            return Err(Reason::UndeclaredType(shown(object_type)));
        };
        far::check(&mut self.mapped, self.end.as_deref(), far.as_ref())?;
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
        let content = writing.begin(if far.is_some() { b"M1" } else { b"R1" });
        writing.field(object_type);
        let from = writing.field(from);
        writing.field(verb);
        let to = writing.field(to);
        if let Some(Far { end, object_type, class }) = far {
            writing.field(end.as_str());
            writing.field(object_type);
            writing.list(class);
        }
        let properties = writing.properties(self);
        let content = content..writing.0.len();
        let is = Place::Relationship { from, to };
        Ok(Object { key_hash, content_hash: NOT_YET, type_number, content, key, properties, is })
    }

    pub(super) fn reject(&self, reason: Reason) -> Rejection {
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

/// A list of strings.
pub(super) fn strings<'a>(scanner: &mut Scanner<'a>) -> Result<Vec<Cow<'a, str>>, Reason> {
    let mut all = Vec::new();
    scanner.elements(|scanner| {
        all.push(scanner.string()?);
        Ok(())
    })?;
    Ok(all)
}

pub(super) fn set<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), Reason> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Reason::DuplicateKey(name.to_owned())),
    }
}

pub(super) fn need<'f>(field: &'f Option<Cow<'_, str>>, name: &'static str) -> Result<&'f str, Reason> {
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
