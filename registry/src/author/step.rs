//! `[[steps]]`: a piece of the work.

use super::table::Table;
use porthole_model::id::StepId;
use porthole_model::manifest::{EntityDecl, Mapped, Read, RelationshipDecl, Step};
use porthole_model::object::End;

pub(super) fn read(table: &mut Table<'_>, _: usize) -> Option<Step> {
    let id: Option<StepId> = table.named("id");
    let place = id.as_ref().map(|id| format!("step `{id}`"));
    if let Some(place) = &place {
        table.rename(place);
    }
    let place = place.unwrap_or_default();
    let title = table.optional_text("title").unwrap_or_default();
    let uses = table.names("uses");
    let needs = table.names("needs");
    let partitioned = table.flag("partitioned");
    let reads = table.list("reads", |t, _| reads(t));
    let entities = table.list("entities", |t, _| entity(t, &place));
    let relationships = table.list("relationships", |t, _| relationship(t, &place));
    table.finish();
    Some(Step { id: id?, title, uses, needs, partitioned, reads, entities, relationships })
}

fn reads(table: &Table<'_>) -> Option<Read> {
    let entity_type = table.text("type");
    let properties = table.texts("properties");
    table.finish();
    Some(Read { entity_type: entity_type?, properties })
}

fn entity(table: &Table<'_>, step: &str) -> Option<EntityDecl> {
    let entity_type = table.text("type");
    let class = class(table);
    table.finish();
    let entity_type = entity_type?;
    table.also_called(format!("{step}: entity `{entity_type}`"));
    Some(EntityDecl { entity_type, class })
}

fn relationship(table: &Table<'_>, step: &str) -> Option<RelationshipDecl> {
    let (from, verb, to) = (table.text("from"), table.text("verb"), table.text("to"));
    let mapped = mapped(table);
    table.finish();
    let relationship = RelationshipDecl { from: from?, verb: verb?, to: to?, mapped };
    table.also_called(format!("{step}: relationship `{}`", relationship.relationship_type()));
    Some(relationship)
}

/// `mapped = "to", class = ["Host"]`: the far end and its classes.
fn mapped(table: &Table<'_>) -> Option<Mapped> {
    let end = table.optional_text("mapped");
    let class = class(table);
    let Some(end) = end else {
        if table.has("class") {
            table.refuse(
                Some("class"),
                "is that of a far end",
                "say with `mapped` which end that is: \"to\" or \"from\"",
            );
        }
        return None;
    };
    let Some(end) = End::named(&end) else {
        table.refuse(Some("mapped"), format!("`{end}` is no end"), "write \"to\" or \"from\"");
        return None;
    };
    Some(Mapped { end, class })
}

/// One class as a text, or several as a list.
fn class(table: &Table<'_>) -> Vec<String> {
    if table.is_text("class") { table.optional_text("class").into_iter().collect() } else { table.texts("class") }
}
