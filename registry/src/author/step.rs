//! `[[steps]]`: a piece of the work.

use super::table::Table;
use porthole_model::id::StepId;
use porthole_model::manifest::{EntityDecl, Read, RelationshipDecl, Step};

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
    let class =
        if table.is_text("class") { table.optional_text("class").into_iter().collect() } else { table.texts("class") };
    table.finish();
    let entity_type = entity_type?;
    table.also_called(format!("{step}: entity `{entity_type}`"));
    Some(EntityDecl { entity_type, class })
}

fn relationship(table: &Table<'_>, step: &str) -> Option<RelationshipDecl> {
    let (from, verb, to) = (table.text("from"), table.text("verb"), table.text("to"));
    table.finish();
    let relationship = RelationshipDecl { from: from?, verb: verb?, to: to? };
    table.also_called(format!("{step}: relationship `{}`", relationship.relationship_type()));
    Some(relationship)
}
