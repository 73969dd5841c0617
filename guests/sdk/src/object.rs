//! Entities and relationships, as a guest builds them. The host checks every one against the manifest.

use crate::properties::Properties;
use crate::property::{Property, string};
use serde_json::Value;
use std::borrow::Cow;

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
