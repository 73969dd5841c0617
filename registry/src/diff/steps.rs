//! Steps: what each may call, read back and emit. A tenant switches steps off by name, so what a step may do that it
//! could not do before is wider even if another step could.

use super::operations::Renamed;
use super::worlds::{Show, shown};
use super::{Change, Cx};
use porthole_model::id::{OperationId, StepId};
use porthole_model::manifest::{EntityDecl, Manifest, Mapped, Read, RelationshipDecl, Step};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn compare(cx: &Cx<'_>, renamed: &Renamed, changes: &mut Vec<Change>) {
    for new in &cx.new.steps {
        let at = format!("step `{}`", new.id);
        match cx.old.step(new.id.as_str()) {
            Some(old) if old == new && closure(cx.old, old) == closure(cx.new, new) => {}
            Some(old) => changed(cx, renamed, &at, old, new, changes),
            None => changes.push(added(cx, &at, new)),
        }
    }
    for old in cx.old.steps.iter().filter(|s| cx.new.step(s.id.as_str()).is_none()) {
        changes.push(Change::narrower(format!("step `{}`", old.id), "removed"));
    }
    let old = cx.old.steps.iter().map(|s| &s.id).filter(|id| cx.new.step(id.as_str()).is_some());
    let new = cx.new.steps.iter().map(|s| &s.id).filter(|id| cx.old.step(id.as_str()).is_some());
    if !old.eq(new) {
        changes.push(Change::different("steps", "stand in another order"));
    }
}

/// Every step that must be on for this one to run.
fn closure<'a>(manifest: &'a Manifest, step: &'a Step) -> BTreeSet<&'a StepId> {
    let mut all = BTreeSet::new();
    let mut todo: Vec<&StepId> = step.needs.iter().collect();
    while let Some(id) = todo.pop() {
        if all.insert(id) {
            todo.extend(manifest.step(id.as_str()).into_iter().flat_map(|s| &s.needs));
        }
    }
    all
}

/// A request of the operation, from this step.
fn call(cx: &Cx<'_>, step: &Step, id: &OperationId) -> String {
    let request = cx.new.operation(id.as_str()).and_then(|operation| {
        let like = cx.old.operation(id.as_str());
        let request = cx.worlds.as_ref()?.any(id, like)?;
        Some(shown(&request, operation, Show::Usual))
    });
    format!("{} in step `{}`", request.unwrap_or_else(|| format!("`{id}`")), step.id)
}

fn emitted(step: &Step) -> impl Iterator<Item = String> {
    let entities = step.entities.iter().map(|e| e.entity_type.clone());
    entities.chain(step.relationships.iter().map(RelationshipDecl::relationship_type))
}

/// What the step does first, as an example of what it does at all.
fn first(cx: &Cx<'_>, step: &Step) -> Option<String> {
    let call = step.uses.first().map(|id| call(cx, step, id));
    call.or_else(|| emitted(step).next().map(|t| format!("an object of type `{t}` from step `{}`", step.id)))
}

fn added(cx: &Cx<'_>, at: &str, new: &Step) -> Change {
    match first(cx, new) {
        Some(example) => {
            let emits: Vec<_> = emitted(new).collect();
            let uses: Vec<_> = new.uses.iter().map(ToString::to_string).collect();
            Change::wider(at, "added", example).detail(format!("uses {}; emits {}", list(&uses), list(&emits)))
        }
        None => Change::different(at, "added").detail("it calls nothing and emits nothing"),
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

fn changed(cx: &Cx<'_>, renamed: &Renamed, at: &str, old: &Step, new: &Step, changes: &mut Vec<Change>) {
    // Taken apart without `..`, so that a new field can't be forgotten.
    let Step { id: _, title, uses, needs, partitioned, reads, entities, relationships } = new;
    let before = changes.len();
    if *title != old.title {
        changes.push(Change::different(at, "its title changed"));
    }
    uses_changed(cx, renamed, at, old, new, uses, changes);
    needs_changed(cx, at, old, new, changes);
    if *partitioned != old.partitioned {
        let what = if *partitioned { "runs once for each partition" } else { "runs once" };
        changes.push(Change::different(at, what));
    }
    reads_changed(at, &old.reads, reads, changes);
    entities_changed(at, &old.entities, entities, changes);
    relationships_changed(at, &old.relationships, relationships, changes);
    if changes.len() == before && (old != new || *needs != old.needs) {
        changes.push(Change::different(at, "written in another order"));
    }
}

fn uses_changed(
    cx: &Cx<'_>,
    renamed: &Renamed,
    at: &str,
    old: &Step,
    new: &Step,
    uses: &[OperationId],
    changes: &mut Vec<Change>,
) {
    for id in uses.iter().filter(|id| !old.uses.contains(id)) {
        match renamed.get(id) {
            Some(from) if old.uses.contains(from) => {
                changes.push(Change::different(at, format!("uses `{id}`, the new name of `{from}`")));
            }
            _ => changes.push(Change::wider(at, format!("uses `{id}`"), call(cx, new, id))),
        }
    }
    let is_renamed = |id: &OperationId| renamed.iter().any(|(to, from)| from == id && uses.contains(to));
    for id in old.uses.iter().filter(|id| !uses.contains(id) && !is_renamed(id)) {
        changes.push(Change::narrower(at, format!("no longer uses `{id}`")));
    }
}

fn needs_changed(cx: &Cx<'_>, at: &str, old: &Step, new: &Step, changes: &mut Vec<Change>) {
    let (was, is) = (closure(cx.old, old), closure(cx.new, new));
    for id in was.difference(&is) {
        let what = format!("runs where `{id}` is switched off");
        changes.push(match first(cx, new) {
            Some(example) => Change::wider(at, what, format!("{example}, where a grant switches `{id}` off")),
            None => Change::different(at, what),
        });
    }
    for id in is.difference(&was) {
        changes.push(Change::narrower(at, format!("runs only where `{id}` is on")));
    }
}

fn reads_changed(at: &str, old: &[Read], new: &[Read], changes: &mut Vec<Change>) {
    let all = |reads: &[Read]| -> BTreeSet<(String, Option<String>)> {
        let mut all = BTreeSet::new();
        for Read { entity_type, properties } in reads {
            all.insert((entity_type.clone(), None));
            all.extend(properties.iter().map(|p| (entity_type.clone(), Some(p.clone()))));
        }
        all
    };
    let name = |(entity, property): &(String, Option<String>)| match property {
        Some(property) => format!("`{property}` of `{entity}`"),
        None => format!("the keys of `{entity}`"),
    };
    let (old, new) = (all(old), all(new));
    for read in new.difference(&old) {
        let what = format!("reads back {}", name(read));
        let example = format!("the guest reads {} as an earlier step emitted it", name(read));
        changes.push(Change::wider(at, what, example));
    }
    for read in old.difference(&new) {
        changes.push(Change::narrower(at, format!("no longer reads back {}", name(read))));
    }
}

fn entities_changed(at: &str, old: &[EntityDecl], new: &[EntityDecl], changes: &mut Vec<Change>) {
    let all = |entities: &[EntityDecl]| -> BTreeMap<String, BTreeSet<String>> {
        let pair =
            |EntityDecl { entity_type, class }: &EntityDecl| (entity_type.clone(), class.iter().cloned().collect());
        entities.iter().map(pair).collect()
    };
    let (old, new) = (all(old), all(new));
    for (entity, classes) in &new {
        let Some(was) = old.get(entity) else {
            let classes: Vec<_> = classes.iter().cloned().collect();
            let example = format!("an entity of type `{entity}` and class {}", list(&classes));
            changes.push(Change::wider(at, format!("emits `{entity}`"), example));
            continue;
        };
        for class in classes.difference(was) {
            let example = format!("an entity of type `{entity}` that is found as {class}");
            changes.push(Change::wider(at, format!("`{entity}` is a {class}"), example));
        }
        for class in was.difference(classes) {
            changes.push(Change::narrower(at, format!("`{entity}` is no longer a {class}")));
        }
    }
    for entity in old.keys().filter(|entity| !new.contains_key(*entity)) {
        changes.push(Change::narrower(at, format!("no longer emits `{entity}`")));
    }
}

fn relationships_changed(at: &str, old: &[RelationshipDecl], new: &[RelationshipDecl], changes: &mut Vec<Change>) {
    for relationship in new.iter().filter(|r| !old.contains(r)) {
        let name = relationship_text(relationship);
        changes.push(Change::wider(at, format!("emits `{name}`"), format!("a relationship {name}")));
    }
    for relationship in old.iter().filter(|r| !new.contains(r)) {
        changes.push(Change::narrower(at, format!("no longer emits `{}`", relationship_text(relationship))));
    }
}

/// A relationship type on one line, with the far end of a mapped one: `acme_wall ALLOWS host (to any host, as Host)`.
pub(crate) fn relationship_text(relationship: &RelationshipDecl) -> String {
    let RelationshipDecl { from, verb, to, mapped } = relationship;
    match mapped {
        None => format!("{from} {verb} {to}"),
        Some(Mapped { end, class }) => {
            format!("{from} {verb} {to} ({end} any {}, as {})", relationship.at(*end), class.join(", "))
        }
    }
}
