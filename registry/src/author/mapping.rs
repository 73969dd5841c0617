//! `[[mappings]]`: a rule by which entities are related to others of the tenant.

use super::table::Table;
use porthole_model::id::Name;
use porthole_model::mapping::{Mapping, Pair, Selector};

pub(super) fn read(table: &mut Table<'_>, _: usize) -> Option<Mapping> {
    let id: Option<Name> = table.named("id");
    if let Some(id) = &id {
        table.rename(&format!("mapping `{id}`"));
    }
    let (from, verb) = (table.text("from"), table.text("verb"));
    if !table.has("to") {
        table.missing("to");
    }
    let to = table.inner("to").and_then(|to| selector(&to));
    let pairs = table.list("match", |pair, _| pairs(pair));
    let email = table.flag("email");
    table.finish();
    Some(Mapping { id: id?, from: from?, verb: verb?, to: to?, pairs, email })
}

/// `{ class = "Person" }` or `{ type = "acme_person" }`.
fn selector(table: &Table<'_>) -> Option<Selector> {
    let (class, entity_type) = (table.optional_text("class"), table.optional_text("type"));
    table.finish();
    match (class, entity_type) {
        (Some(class), None) => Some(Selector::Class(class)),
        (None, Some(entity_type)) => Some(Selector::Type(entity_type)),
        _ => {
            table.refuse(None, "names neither a class nor a type, or both", "write { class = \"Person\" }");
            None
        }
    }
}

fn pairs(table: &Table<'_>) -> Option<Pair> {
    let (from, to) = (table.text("from"), table.text("to"));
    table.finish();
    Some(Pair { from: from?, to: to? })
}
