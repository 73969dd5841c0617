//! Relationships, some of which carry the end that nobody may have collected. One place decides how they are said.

use crate::spec::Link;
use porthole_sdk::Relationship;

/// A relationship as its link describes it.
#[must_use]
pub fn relationship(kind: &'static str, link: &Link, from: &str, to: &str) -> Relationship {
    let (from_type, verb, to_type) = link.ends(kind);
    match (link.carried, link.inward) {
        ([], _) => Relationship::new(from_type, verb, to_type, from, to),
        (class, true) => Relationship::mapped_from(from_type, verb, to_type, from, to, class),
        (class, false) => Relationship::mapped_to(from_type, verb, to_type, from, to, class),
    }
}
