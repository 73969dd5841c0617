//! Mapping rules: relationships that nobody emits. A rule says which property of which entities has to be equal to which
//! property of which others, and what the relationship is called then: `acme_user IS Person` by e-mail. A module brings
//! rules along, a tenant adds its own; both are data.
//!
//! Values are compared without spaces around them and without regard to the case of ASCII letters, and in no other way: a
//! rule that made more of them equal would say of two people that they are one.
//!
//! Nothing is resolved here. Of each entity that a rule may speak of, the store keeps the values that count ([`TraitKind`]
//! says which those are) and finds the pairs when someone asks.

use crate::id::Name;
use crate::object::{End, first_half};
use crate::parse::MAX_KEY_BYTES;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The most pairs of properties of one rule: a first name, a last name and a domain are as much as anybody has compared.
/// The store's function `trait_words` takes as many.
pub const MAX_PAIRS: usize = 3;
/// The most rules that a module brings along, and that a tenant adds: each is a line that a person reads.
pub const MAX_MAPPINGS: usize = 100;
/// The longest name of a property, in bytes, as everywhere.
const MAX_PROPERTY_BYTES: usize = crate::json::MAX_NAME_BYTES;
/// The longest name of a type or class, in bytes: Postgres cuts identifiers at 63, and types become names of views.
const MAX_NAME_BYTES: usize = 63;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mapping {
    /// Its name, unique in its module or among the tenant's own.
    pub id: Name,
    /// The entity type that relationships come from. In a module: one that the module emits.
    pub from: String,
    /// The verb, upper case: `IS`.
    pub verb: String,
    /// The entities that they go to, of any instance of the tenant.
    pub to: Selector,
    /// The properties that have to be equal, all of them.
    #[serde(rename = "match")]
    pub pairs: Vec<Pair>,
    /// Only e-mail addresses count: one `@`, no spaces, and a dot in the domain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub email: bool,
}

/// Which entities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// Those of a class, whatever their type.
    Class(String),
    /// Those of a type.
    Type(String),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(name) | Self::Type(name) => f.write_str(name),
        }
    }
}

/// Two properties that have to be equal. Of a list, one element has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pair {
    /// The property of the entity that the relationship comes from.
    pub from: String,
    /// The property of the one that it goes to.
    pub to: String,
}

/// Which values of which entities count for a rule, at one of its ends. Rules that ask the same share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TraitKind {
    /// The entities.
    pub of: Selector,
    /// The properties, in the order of the rule.
    pub properties: Vec<String>,
    /// Only e-mail addresses count.
    pub email: bool,
}

impl TraitKind {
    /// What it is called in the store: the first half of the BLAKE3 hash of its JSON.
    #[must_use]
    pub fn id(&self) -> Uuid {
        // Texts and a flag always serialise.
        let json = serde_json::to_vec(self).unwrap_or_default();
        Uuid::from_bytes(first_half(&blake3::hash(&json)))
    }
}

impl Mapping {
    /// The type of its relationships: `from_verb_to` in lower case, such as `acme_user_is_person`.
    #[must_use]
    pub fn relationship_type(&self) -> String {
        relationship_type(&self.from, &self.verb, &self.to)
    }

    /// What counts at one end.
    #[must_use]
    pub fn trait_kind(&self, end: End) -> TraitKind {
        let of = match end {
            End::From => Selector::Type(self.from.clone()),
            End::To => self.to.clone(),
        };
        let property = |pair: &Pair| match end {
            End::From => pair.from.clone(),
            End::To => pair.to.clone(),
        };
        TraitKind { of, properties: self.pairs.iter().map(property).collect(), email: self.email }
    }

    /// What is wrong with it, whatever types, classes and verbs there are: the part of the rule, and why.
    #[must_use]
    pub fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if !is_type_name(&self.from) {
            found.push(("from", format!("`{}` is no name of a type", crate::text::shown(&self.from))));
        }
        match &self.to {
            Selector::Type(name) if !is_type_name(name) => {
                found.push(("to", format!("`{}` is no name of a type", crate::text::shown(name))));
            }
            Selector::Class(name) if !is_class_name(name) => {
                found.push(("to", format!("`{}` is no name of a class", crate::text::shown(name))));
            }
            _ => {}
        }
        if self.verb.is_empty() || !self.verb.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            found.push(("verb", format!("`{}` is no verb", crate::text::shown(&self.verb))));
        }
        if !(1..=MAX_PAIRS).contains(&self.pairs.len()) {
            found.push((
                "match",
                format!("has {} pairs of properties, 1 to {MAX_PAIRS} are possible", self.pairs.len()),
            ));
        }
        let bad = |name: &&str| name.is_empty() || name.len() > MAX_PROPERTY_BYTES || name.starts_with('_');
        let names = self.pairs.iter().flat_map(|pair| [pair.from.as_str(), pair.to.as_str()]);
        for name in names.filter(bad) {
            found.push(("match", format!("`{}` is no name of a property", crate::text::shown(name))));
        }
        if self.email && self.pairs.len() > 1 {
            found.push(("email", "means the one pair of properties there is; this rule has more".to_owned()));
        }
        found
    }
}

/// The type of relationships from a type, by a verb, to a class or type.
#[must_use]
pub fn relationship_type(from: &str, verb: &str, to: &Selector) -> String {
    let to = match to {
        Selector::Type(name) => name.clone(),
        Selector::Class(name) => snake_case(name),
    };
    format!("{from}_{}_{to}", verb.to_ascii_lowercase())
}

/// `acme_user IS any Person, where username = email (e-mail addresses)`.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} any {}, where ", self.from, self.verb, self.to)?;
        for (at, pair) in self.pairs.iter().enumerate() {
            write!(f, "{}{} = {}", if at == 0 { "" } else { " and " }, pair.from, pair.to)?;
        }
        f.write_str(if self.email { " (e-mail addresses)" } else { "" })
    }
}

/// The keys that a relationship's default key (`FROM|VERB|TO`) may be of, for a verb: more than one when a key has the verb
/// in it.
#[must_use]
pub fn ends_of_key<'k>(key: &'k str, verb: &str) -> Vec<(&'k str, &'k str)> {
    let middle = format!("|{verb}|");
    let split = |(at, _): (usize, &str)| Some((key.get(..at)?, key.get(at + middle.len()..)?));
    let is_key = |(from, to): &(&str, &str)| [from, to].iter().all(|k| (1..=MAX_KEY_BYTES).contains(&k.len()));
    key.match_indices(&middle).filter_map(split).filter(is_key).collect()
}

fn is_type_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_class_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `AccessRole` is `access_role`.
fn snake_case(class: &str) -> String {
    let mut snake = String::with_capacity(class.len() + 4);
    let mut after_lower = false;
    for c in class.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = !c.is_ascii_uppercase();
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use serde_json::json;

    fn rule(value: serde_json::Value) -> Mapping {
        serde_json::from_value(value).unwrap()
    }

    fn by_email() -> Mapping {
        rule(json!({
            "id": "user-is-person", "from": "acme_user", "verb": "IS", "to": { "class": "Person" },
            "match": [{ "from": "username", "to": "email" }], "email": true,
        }))
    }

    #[test]
    fn a_rule_is_told_in_one_line_and_reads_back() {
        let rule = by_email();
        assert_eq!(rule.to_string(), "acme_user IS any Person, where username = email (e-mail addresses)");
        assert_eq!(rule.relationship_type(), "acme_user_is_person");
        assert_eq!(rule.mistakes(), []);
        assert_eq!(serde_json::from_value::<Mapping>(serde_json::to_value(&rule).unwrap()).unwrap(), rule);
        let role = Mapping { to: Selector::Class("AccessRole".to_owned()), ..rule };
        assert_eq!(role.relationship_type(), "acme_user_is_access_role");
    }

    #[test]
    fn rules_that_ask_the_same_share_what_counts() {
        let (one, other) = (by_email(), Mapping { from: "other_user".to_owned(), ..by_email() });
        assert_eq!(one.trait_kind(End::To).id(), other.trait_kind(End::To).id());
        assert_ne!(one.trait_kind(End::From).id(), other.trait_kind(End::From).id());
        let any = Mapping { email: false, ..by_email() };
        assert_ne!(one.trait_kind(End::To).id(), any.trait_kind(End::To).id());
    }

    #[test]
    fn each_mistake_is_named() {
        let pair = |from: &str, to: &str| Pair { from: from.to_owned(), to: to.to_owned() };
        let cases = [
            (Mapping { from: "Acme".to_owned(), ..by_email() }, "from"),
            (Mapping { from: "a".repeat(64), ..by_email() }, "from"),
            (Mapping { to: Selector::Class("person".to_owned()), ..by_email() }, "to"),
            (Mapping { to: Selector::Type("Person".to_owned()), ..by_email() }, "to"),
            (Mapping { verb: "is".to_owned(), ..by_email() }, "verb"),
            (Mapping { pairs: vec![], ..by_email() }, "match"),
            (Mapping { pairs: vec![pair("a", "b"); 4], email: false, ..by_email() }, "match"),
            (Mapping { pairs: vec![pair("_key", "email")], ..by_email() }, "match"),
            (Mapping { pairs: vec![pair("a", "")], ..by_email() }, "match"),
            (Mapping { pairs: vec![pair("a", "b"); 2], ..by_email() }, "email"),
        ];
        for (rule, part) in cases {
            let found: Vec<_> = rule.mistakes().into_iter().map(|(part, _)| part).collect();
            assert_eq!(found, [part], "{rule:?}");
        }
    }

    #[test]
    fn a_key_is_taken_apart_at_each_place_where_its_verb_stands() {
        assert_eq!(ends_of_key("a|IS|b", "IS"), [("a", "b")]);
        assert_eq!(ends_of_key("a|IS|b|IS|c", "IS"), [("a", "b|IS|c"), ("a|IS|b", "c")]);
        assert_eq!(ends_of_key("|IS|b", "IS"), []);
        assert_eq!(ends_of_key("a|HAS|b", "IS"), []);
    }
}
