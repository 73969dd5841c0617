//! Entities and relationships, as a guest builds them. The host checks every one against the manifest.

use crate::property::{Property, quoted, string};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::RefCell;

/// Properties that most objects have at most, and bytes of them: made room for at once.
const TYPICAL: (usize, usize) = (24, 1024);
/// Buffers of written objects that are kept for the next ones, and the longest that is kept, in bytes.
const KEPT: (usize, usize) = (4, 64 * 1024);

/// Properties in the order in which they were set, written already.
#[derive(Debug, Clone, Default)]
struct Properties {
    /// Of each `,"name":value`.
    text: Vec<u8>,
    /// Names, and where each one's text begins.
    places: Vec<(Cow<'static, str>, usize)>,
    /// A bit for each name that is there; others may have the same.
    names: u64,
}

thread_local! {
    /// What objects that are done with leave behind, empty: an object is made and written by the thousand.
    static BUFFERS: RefCell<Vec<Properties>> = const { RefCell::new(Vec::new()) };
}

impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Drop for Properties {
    fn drop(&mut self) {
        let is_worth_it = (1..=KEPT.1).contains(&self.text.capacity());
        // Neither fails but at the end of a thread, and then nothing is kept.
        let _ = BUFFERS.try_with(|buffers| {
            if let Ok(mut buffers) = buffers.try_borrow_mut()
                && is_worth_it
                && buffers.len() < KEPT.0
            {
                let (mut text, mut places) = (std::mem::take(&mut self.text), std::mem::take(&mut self.places));
                text.clear();
                places.clear();
                buffers.push(Self { text, places, names: 0 });
            }
        });
    }
}

impl Properties {
    /// Takes a buffer that was kept, or makes one.
    fn make_room(&mut self) {
        let kept = BUFFERS.try_with(|buffers| buffers.try_borrow_mut().ok().and_then(|mut buffers| buffers.pop()));
        match kept {
            Ok(Some(mut kept)) => std::mem::swap(self, &mut kept),
            _ => {
                self.places.reserve(TYPICAL.0);
                self.text.reserve(TYPICAL.1);
            }
        }
    }

    /// The host refuses an object with a key twice, so a property that is set again replaces the former value.
    fn set(&mut self, name: Cow<'static, str>, value: impl Property) {
        let bit = bit(&name);
        if self.names & bit != 0
            && let Some(at) = self.places.iter().position(|(known, _)| *known == name)
        {
            self.remove(at);
        }
        if self.text.capacity() == 0 {
            self.make_room();
        }
        let start = self.text.len();
        quoted(&mut self.text, b",\"", &name, b"\":");
        if value.write(&mut self.text) {
            self.places.push((name, start));
            self.names |= bit;
        } else {
            self.text.truncate(start);
        }
    }

    fn remove(&mut self, at: usize) {
        let (_, start) = self.places.remove(at);
        let end = self.places.get(at).map_or(self.text.len(), |(_, next)| *next);
        self.text.drain(start..end);
        self.places.iter_mut().skip(at).for_each(|(_, place)| *place -= end - start);
    }

    fn get(&self, name: &str) -> Option<Value> {
        let at = self.places.iter().position(|(known, _)| known == name)?;
        let (_, start) = self.places.get(at)?;
        let end = self.places.get(at + 1).map_or(self.text.len(), |(_, next)| *next);
        // Between the comma and the end is one member.
        let member = [b"{", self.text.get(start + 1..end)?, b"}"].concat();
        let mut member: serde_json::Map<String, Value> = serde_json::from_slice(&member).ok()?;
        member.remove(name)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","p":{"#);
        out.extend_from_slice(self.text.get(1..).unwrap_or_default());
        out.push(b'}');
    }
}

/// One of 64 bits for a name: from its length and its ends, in which the names of one object differ mostly.
fn bit(name: &str) -> u64 {
    let end = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or(0));
    let (first, last) = (end(name.as_bytes().first()), end(name.as_bytes().last()));
    let length = u32::try_from(name.len()).unwrap_or(0);
    1 << ((length.wrapping_mul(7) ^ first.wrapping_mul(5) ^ last.wrapping_mul(3)) % 64)
}

/// A thing: an account, a user, a repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    entity_type: Cow<'static, str>,
    key: String,
    class: Vec<Cow<'static, str>>,
    name: Option<String>,
    properties: Properties,
}

impl Entity {
    /// A thing of a type that the step declares. The key must stay the same from run to run and be unique within the
    /// instance: build it of the provider's own id, not of a name that people change.
    #[must_use]
    pub fn new(entity_type: impl Into<Cow<'static, str>>, key: impl Into<String>) -> Self {
        let (entity_type, key) = (entity_type.into(), key.into());
        Self { entity_type, key, class: Vec::new(), name: None, properties: Properties::default() }
    }

    /// Adds a class. All classes together must be those that the manifest declares for the type.
    #[must_use]
    pub fn class(mut self, class: impl Into<Cow<'static, str>>) -> Self {
        self.class.push(class.into());
        self
    }

    /// What people call it. Without, the key is shown.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets a property. `None` and null are left out; setting a property again replaces it.
    #[must_use]
    pub fn prop(mut self, name: impl Into<Cow<'static, str>>, value: impl Property) -> Self {
        self.properties.set(name.into(), value);
        self
    }

    /// Its type.
    #[must_use]
    pub fn entity_type(&self) -> &str {
        &self.entity_type
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A property's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.properties.get(name)
    }

    /// The line that the world's `graph.emit` describes, with its newline.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"e":"#);
        string(out, &self.entity_type);
        out.extend_from_slice(br#","k":"#);
        string(out, &self.key);
        classes(out, &self.class);
        out.extend_from_slice(br#","n":"#);
        string(out, self.name.as_deref().unwrap_or(&self.key));
        self.properties.write(out);
        out.extend_from_slice(b"}\n");
    }
}

/// How two things hang together. Its type is `{from}_{verb}_{to}` in lower case.
#[derive(Debug, Clone, PartialEq)]
pub struct Relationship {
    relationship_type: String,
    verb: Cow<'static, str>,
    from_key: String,
    to_key: String,
    key: Option<String>,
    far: Option<Far>,
    properties: Properties,
}

/// The far end of a mapped relationship.
#[derive(Debug, Clone, PartialEq)]
struct Far {
    /// It goes there; else it comes from there.
    is_to: bool,
    object_type: String,
    class: Vec<Cow<'static, str>>,
}

impl Relationship {
    /// A relationship of a type that the step declares: `Relationship::new("acme_account", "OWNS", "acme_project",
    /// account_key, project_key)`. Either end may be missing from the graph; it is kept aside until the end appears.
    #[must_use]
    pub fn new(
        from_type: &str,
        verb: impl Into<Cow<'static, str>>,
        to_type: &str,
        from_key: impl Into<String>,
        to_key: impl Into<String>,
    ) -> Self {
        let verb = verb.into();
        Self {
            relationship_type: [from_type, &verb.to_ascii_lowercase(), to_type].join("_"),
            verb,
            from_key: from_key.into(),
            to_key: to_key.into(),
            key: None,
            far: None,
            properties: Properties::default(),
        }
    }

    /// A relationship that goes to something this instance doesn't collect: an address, another account's role, the
    /// internet. It carries key, type and classes of that end, so that it is in the graph whether or not anybody collects
    /// the end; if an instance of the tenant does, the key ties the two.
    ///
    /// The step declares it with `mapped = "to"` and the classes: `{ from = "acme_firewall", verb = "ALLOWS", to = "host",
    /// mapped = "to", class = ["Host"] }` goes with `Relationship::mapped_to("acme_firewall", "ALLOWS", "host",
    /// firewall_key, "ip:203.0.113.7", &["Host"])`. Every relationship of that type is made so.
    #[must_use]
    pub fn mapped_to(
        from_type: &str,
        verb: impl Into<Cow<'static, str>>,
        to_type: &str,
        from_key: impl Into<String>,
        to_key: impl Into<String>,
        class: &[&'static str],
    ) -> Self {
        let far = Far::new(true, to_type, class);
        Self { far: Some(far), ..Self::new(from_type, verb, to_type, from_key, to_key) }
    }

    /// A relationship that comes from something this instance doesn't collect; else as [`Relationship::mapped_to`], with
    /// `mapped = "from"` and the classes of the end that it comes from. Types and keys are in the same order, from first.
    #[must_use]
    pub fn mapped_from(
        from_type: &str,
        verb: impl Into<Cow<'static, str>>,
        to_type: &str,
        from_key: impl Into<String>,
        to_key: impl Into<String>,
        class: &[&'static str],
    ) -> Self {
        let far = Far::new(false, from_type, class);
        Self { far: Some(far), ..Self::new(from_type, verb, to_type, from_key, to_key) }
    }

    /// Replaces the key `from_key|verb|to_key`, where two things hang together in the same way more than once.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets a property, as [`Entity::prop`].
    #[must_use]
    pub fn prop(mut self, name: impl Into<Cow<'static, str>>, value: impl Property) -> Self {
        self.properties.set(name.into(), value);
        self
    }

    /// Its type.
    #[must_use]
    pub fn relationship_type(&self) -> &str {
        &self.relationship_type
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> Cow<'_, str> {
        match &self.key {
            Some(key) => Cow::Borrowed(key),
            None => Cow::Owned([self.from_key.as_str(), &self.verb, &self.to_key].join("|")),
        }
    }

    /// A property's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value> {
        self.properties.get(name)
    }

    /// The line that the world's `graph.emit` describes, with its newline.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"r":"#);
        string(out, &self.relationship_type);
        out.extend_from_slice(br#","k":"#);
        string(out, &self.key());
        let far = self.far.as_ref();
        if far.is_none_or(|far| far.is_to) {
            out.extend_from_slice(br#","f":"#);
            string(out, &self.from_key);
        }
        out.extend_from_slice(br#","v":"#);
        string(out, &self.verb);
        if far.is_none_or(|far| !far.is_to) {
            out.extend_from_slice(br#","t":"#);
            string(out, &self.to_key);
        }
        if let Some(far) = far {
            far.write(if far.is_to { &self.to_key } else { &self.from_key }, out);
        }
        self.properties.write(out);
        out.extend_from_slice(b"}\n");
    }
}

impl Far {
    fn new(is_to: bool, object_type: &str, class: &[&'static str]) -> Self {
        Self {
            is_to,
            object_type: object_type.to_owned(),
            class: class.iter().map(|class| Cow::Borrowed(*class)).collect(),
        }
    }

    fn write(&self, key: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","m":{"k":"#);
        string(out, key);
        out.extend_from_slice(br#","t":"#);
        string(out, &self.object_type);
        classes(out, &self.class);
        out.extend_from_slice(if self.is_to { br#"},"d":"to""# } else { br#"},"d":"from""# });
    }
}

/// `,"c":["A","B"]`.
fn classes(out: &mut Vec<u8>, class: &[Cow<'static, str>]) {
    out.extend_from_slice(br#","c":["#);
    for (i, class) in class.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, class);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]
    use super::*;

    fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_entity_is_one_line_with_its_missing_properties_left_out() {
        let entity = Entity::new("acme_user", "acme:user:1")
            .class("User")
            .name("Jo \"J\"\n")
            .prop("username", "jo")
            .prop("email", None::<String>)
            .prop("age", 7)
            .prop("tags", vec!["a", "b"]);
        let expected = concat!(
            r#"{"e":"acme_user","k":"acme:user:1","c":["User"],"n":"Jo \"J\"\n","#,
            r#""p":{"username":"jo","age":7,"tags":["a","b"]}}"#,
            "\n"
        );
        assert_eq!(line(|out| entity.write(out)), expected);
    }

    #[test]
    fn a_property_set_again_is_replaced_or_removed() {
        let entity = Entity::new("t", "k").prop("a", 1).prop("b", 2).prop("a", 3).prop("b", Value::Null);
        assert_eq!(entity.get("a"), Some(Value::from(3)));
        assert_eq!(entity.get("b"), None);
    }

    #[test]
    fn an_object_has_nothing_of_the_one_before() {
        for n in 0..10 {
            let entity = Entity::new("t", "k").prop("a", n);
            assert_eq!(
                line(|out| entity.write(out)),
                format!("{{\"e\":\"t\",\"k\":\"k\",\"c\":[],\"n\":\"k\",\"p\":{{\"a\":{n}}}}}\n")
            );
            let copy = entity.clone().prop("b", 1);
            assert_eq!(copy.get("a"), Some(n.into()));
            drop(entity);
            assert_eq!(Entity::new("t", "k").prop("b", 2).get("a"), None);
        }
    }

    #[test]
    fn many_properties_are_told_apart() {
        let names: Vec<String> = (0..100).map(|n| format!("p{}x{n}", n % 7)).collect();
        let entity = names.iter().chain(&names).fold(Entity::new("t", "k"), |e, name| e.prop(name.clone(), name));
        assert_eq!(entity.properties.places.len(), 100);
        assert!(names.iter().all(|name| entity.get(name) == Some(name.as_str().into())));
    }

    #[test]
    fn a_relationship_has_type_and_key_of_its_ends() {
        let r =
            Relationship::new("acme_account", "OWNS", "acme_repo", "a:1", "r:2").prop("since", "2024-01-01T00:00:00Z");
        assert_eq!(r.relationship_type(), "acme_account_owns_acme_repo");
        assert_eq!(r.key(), "a:1|OWNS|r:2");
        let expected = concat!(
            r#"{"r":"acme_account_owns_acme_repo","k":"a:1|OWNS|r:2","f":"a:1","v":"OWNS","t":"r:2","#,
            r#""p":{"since":"2024-01-01T00:00:00Z"}}"#,
            "\n"
        );
        assert_eq!(line(|out| r.write(out)), expected);
        assert_eq!(r.with_key("mine").key(), "mine");
    }

    #[test]
    fn a_mapped_relationship_carries_its_far_end() {
        let to =
            Relationship::mapped_to("acme_wall", "ALLOWS", "host", "w:1", "ip:1", &["Host", "Network"]).prop("n", 1);
        let expected = concat!(
            r#"{"r":"acme_wall_allows_host","k":"w:1|ALLOWS|ip:1","f":"w:1","v":"ALLOWS","#,
            r#""m":{"k":"ip:1","t":"host","c":["Host","Network"]},"d":"to","p":{"n":1}}"#,
            "\n"
        );
        assert_eq!(line(|out| to.write(out)), expected);
        let from = Relationship::mapped_from("service", "ALLOWS", "acme_wall", "s:1", "w:1", &["Service"]);
        let expected = concat!(
            r#"{"r":"service_allows_acme_wall","k":"s:1|ALLOWS|w:1","v":"ALLOWS","t":"w:1","#,
            r#""m":{"k":"s:1","t":"service","c":["Service"]},"d":"from","p":{}}"#,
            "\n"
        );
        assert_eq!(line(|out| from.write(out)), expected);
    }

    #[test]
    fn a_number_that_json_lacks_is_left_out() {
        assert_eq!(Entity::new("t", "k").prop("x", f64::NAN).get("x"), None);
    }
}
