//! Relationships whose other end nobody may have collected. One place decides how they are said.

use crate::spec::Link;
use porthole_sdk::Relationship;

/// A relationship as its link describes it.
#[must_use]
pub fn relationship(kind: &str, link: &Link, from: &str, to: &str) -> Relationship {
    let (from_type, verb, to_type) =
        if link.inward { (link.other, link.verb, kind) } else { (kind, link.verb, link.other) };
    Relationship::new(from_type, verb, to_type, from, to)
}
