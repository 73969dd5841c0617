//! The classes and verbs that the graph of every integration shares, so that "all users" is one question whatever the
//! provider. The tables are data (`registry/datamodel`); this file embeds and reads them.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// What a class asks of its entities.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSpec {
    /// What the class means, for people.
    pub description: String,
    /// The properties that every entity of the class has.
    #[serde(default)]
    pub required: Vec<String>,
}

static CLASSES: LazyLock<BTreeMap<String, ClassSpec>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../datamodel/classes.json")).unwrap_or_default());
static VERBS: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../datamodel/verbs.json")).unwrap_or_default());

/// A class of the data model.
#[must_use]
pub fn class(name: &str) -> Option<&'static ClassSpec> {
    CLASSES.get(name)
}

/// Every class, sorted by name.
pub fn classes() -> impl Iterator<Item = (&'static str, &'static ClassSpec)> + Clone {
    CLASSES.iter().map(|(name, spec)| (name.as_str(), spec))
}

/// What a verb of the data model says, as a sentence with FROM and TO.
#[must_use]
pub fn verb(name: &str) -> Option<&'static str> {
    VERBS.get(name).map(String::as_str)
}

/// Every verb, sorted.
pub fn verbs() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    VERBS.iter().map(|(name, says)| (name.as_str(), says.as_str()))
}

/// The properties that an entity of these classes must have.
#[must_use]
pub fn required_properties(classes: &[String]) -> BTreeSet<&'static str> {
    classes.iter().filter_map(|name| class(name)).flat_map(|spec| &spec.required).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_tables_read_and_are_well_formed() {
        // The statics fall back to nothing rather than panic; this is where a broken table shows.
        let classes: BTreeMap<String, ClassSpec> =
            serde_json::from_str(include_str!("../datamodel/classes.json")).unwrap();
        let verbs: BTreeMap<String, String> = serde_json::from_str(include_str!("../datamodel/verbs.json")).unwrap();
        assert!(classes.len() >= 40 && verbs.len() >= 40, "{} classes, {} verbs", classes.len(), verbs.len());
        for (name, spec) in &classes {
            assert!(
                name.chars().next().unwrap().is_ascii_uppercase() && name.chars().all(|c| c.is_ascii_alphanumeric())
            );
            assert!(!spec.description.is_empty(), "{name}");
        }
        for (name, says) in &verbs {
            assert!(name.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{name}");
            assert!(says.contains("FROM") && says.contains("TO"), "{name}");
        }
    }

    #[test]
    fn required_properties_are_the_union_over_classes() {
        let required = required_properties(&["User".to_owned(), "Account".to_owned(), "NoSuch".to_owned()]);
        assert!(required.contains("username"));
        assert!(required_properties(&[]).is_empty());
    }
}
