//! Mapping rules: a new one relates what was not related before, across all instances of a tenant.

use super::{Change, Cx};
use porthole_model::mapping::Mapping;

pub(super) fn compare(cx: &Cx<'_>, changes: &mut Vec<Change>) {
    let find = |rules: &[Mapping], id: &str| rules.iter().find(|m| m.id.as_str() == id).cloned();
    for new in &cx.new.mappings {
        let at = format!("mapping `{}`", new.id);
        let example = format!("a relationship `{}` wherever {new}", new.relationship_type());
        match find(&cx.old.mappings, new.id.as_str()) {
            Some(old) if old == *new => {}
            Some(old) => {
                changes.push(Change::wider(at, "relates otherwise", example).detail(format!("it was {old}")));
            }
            None => changes.push(Change::wider(at, "added", example)),
        }
    }
    for old in cx.old.mappings.iter().filter(|old| find(&cx.new.mappings, old.id.as_str()).is_none()) {
        changes.push(Change::narrower(format!("mapping `{}`", old.id), "removed"));
    }
}
