//! Steps: what they use exists, their order has no cycle, and every type has exactly one step that emits it, because
//! what a complete step didn't emit is deleted.

use super::{is_identifier, operation_ids, readable, repeated, unknown};
use crate::datamodel;
use crate::finding::Finding;
use porthole_model::manifest::{Manifest, Mapped, Step};
use porthole_model::object::End;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for id in repeated(manifest.steps.iter().map(|s| s.id.as_str())) {
        findings.push(Finding::error(format!("step `{id}`"), "exists twice").hint("give each step its own id"));
    }
    for step in &manifest.steps {
        let place = format!("step `{}`", step.id);
        readable(&format!("{place}: title"), &step.title, findings);
        references(manifest, &place, step, findings);
        types(manifest, &place, step, findings);
    }
    if let Some(cycle) = cycle(manifest) {
        let first = cycle.first().copied().unwrap_or_default();
        let message = format!("the steps wait for each other: {}", cycle.join(" needs "));
        findings.push(Finding::error(format!("step `{first}`: needs"), message).hint("remove one of the `needs`"));
    } else {
        // What comes before a step is only known where there is an order.
        for step in &manifest.steps {
            reads(manifest, step, findings);
        }
    }
    emitted_once(manifest, findings);
}

fn references(manifest: &Manifest, place: &str, step: &Step, findings: &mut Vec<Finding>) {
    for id in step.uses.iter().filter(|id| manifest.operation(id.as_str()).is_none()) {
        unknown(findings, &format!("{place}: uses"), "operation", id, || operation_ids(manifest));
    }
    for id in repeated(&step.uses) {
        findings.push(Finding::error(format!("{place}: uses"), format!("names `{id}` twice")));
    }
    for id in step.needs.iter().filter(|id| manifest.step(id.as_str()).is_none()) {
        let known = || manifest.steps.iter().map(|s| s.id.as_str()).filter(|s| *s != step.id.as_str()).collect();
        unknown(findings, &format!("{place}: needs"), "step", id, known);
    }
    for id in repeated(&step.needs) {
        findings.push(Finding::error(format!("{place}: needs"), format!("names `{id}` twice")));
    }
}

fn types(manifest: &Manifest, place: &str, step: &Step, findings: &mut Vec<Finding>) {
    for entity in &step.entities {
        let at = format!("{place}: entity `{}`", entity.entity_type);
        type_name(&at, &entity.entity_type, findings);
        classes(&at, &entity.class, findings);
    }
    let declared: BTreeMap<_, _> =
        manifest.steps.iter().flat_map(|s| &s.entities).map(|e| (e.entity_type.as_str(), &e.class)).collect();
    for relationship in &step.relationships {
        let at = format!("{place}: relationship `{}`", relationship.relationship_type());
        let far = relationship.mapped.as_ref().map(|mapped| mapped.end);
        for end in [End::From, End::To].into_iter().filter(|end| Some(*end) != far) {
            let near = relationship.at(end);
            if !declared.contains_key(near) {
                unknown(findings, &at, "entity type", near, || declared.keys().copied().collect());
            }
        }
        if let Some(mapped) = &relationship.mapped {
            far_end(&at, relationship.at(mapped.end), mapped, &declared, findings);
        }
        verb(&at, &relationship.verb, findings);
    }
}

/// The far end of a relationship: a type that the module may collect as well, in other places; then it is the same type.
fn far_end(
    at: &str,
    entity_type: &str,
    mapped: &Mapped,
    declared: &BTreeMap<&str, &Vec<String>>,
    findings: &mut Vec<Finding>,
) {
    type_name(at, entity_type, findings);
    classes(at, &mapped.class, findings);
    let set = |class: &[String]| class.iter().cloned().collect::<BTreeSet<_>>();
    if let Some(class) = declared.get(entity_type).filter(|class| set(class) != set(&mapped.class)) {
        let message = format!("has other classes for `{entity_type}` than the step that emits it");
        findings.push(Finding::error(at, message).hint(format!("write class = [\"{}\"]", class.join("\", \""))));
    }
}

pub(super) fn type_name(at: &str, name: &str, findings: &mut Vec<Finding>) {
    if !is_identifier(name) {
        let hint = "a-z, 0-9 and _, a letter first, at most 63: such as `okta_user`";
        findings.push(Finding::error(at, "is no name for a type").hint(hint));
    }
}

pub(super) fn class(at: &str, class: &str, findings: &mut Vec<Finding>) {
    if datamodel::class(class).is_none() {
        unknown(findings, at, "class", class, || datamodel::classes().map(|(name, _)| name).collect());
    }
}

fn classes(at: &str, all: &[String], findings: &mut Vec<Finding>) {
    if all.is_empty() {
        findings.push(Finding::error(at, "has no class").hint("give it one, such as class = [\"User\"]"));
    }
    for name in all {
        class(at, name, findings);
    }
    for class in repeated(all) {
        findings.push(Finding::error(at, format!("names the class `{class}` twice")));
    }
}

pub(super) fn verb(at: &str, verb: &str, findings: &mut Vec<Finding>) {
    if datamodel::verb(verb).is_none() {
        unknown(findings, at, "verb", verb, || datamodel::verbs().map(|(name, _)| name).collect());
    }
}

/// A cycle in `needs`, as step ids with the first one again at the end.
fn cycle(manifest: &Manifest) -> Option<Vec<&str>> {
    let needs: BTreeMap<&str, Vec<&str>> =
        manifest.steps.iter().map(|s| (s.id.as_str(), s.needs.iter().map(|n| n.as_str()).collect())).collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in needs.keys() {
        // The way from the start to where we are; each with the needs that are still to be followed.
        let mut way: Vec<(&str, Vec<&str>)> = vec![(start, needs.get(start).cloned().unwrap_or_default())];
        while let Some((step, rest)) = way.last_mut() {
            let Some(next) = rest.pop() else {
                done.insert(*step);
                way.pop();
                continue;
            };
            if let Some(at) = way.iter().position(|(s, _)| *s == next) {
                let mut cycle: Vec<_> = way.iter().skip(at).map(|(s, _)| *s).collect();
                cycle.push(next);
                return Some(cycle);
            }
            if !done.contains(next) {
                way.push((next, needs.get(next).cloned().unwrap_or_default()));
            }
        }
    }
    None
}

/// The steps that have ended before this one starts.
fn before<'a>(manifest: &'a Manifest, step: &'a Step) -> BTreeSet<&'a str> {
    let mut before = BTreeSet::new();
    let mut todo: Vec<_> = step.needs.iter().collect();
    while let Some(id) = todo.pop() {
        if before.insert(id.as_str())
            && let Some(step) = manifest.step(id.as_str())
        {
            todo.extend(&step.needs);
        }
    }
    before
}

fn reads(manifest: &Manifest, step: &Step, findings: &mut Vec<Finding>) {
    if step.reads.is_empty() {
        return;
    }
    let place = format!("step `{}`: reads", step.id);
    let before = before(manifest, step);
    for read in &step.reads {
        let wanted = &read.entity_type;
        let emitter = manifest.steps.iter().find(|s| s.entities.iter().any(|e| &e.entity_type == wanted));
        match emitter {
            None => {
                let known =
                    || manifest.steps.iter().flat_map(|s| &s.entities).map(|e| e.entity_type.as_str()).collect();
                unknown(findings, &place, "entity type", wanted, known);
            }
            Some(emitter) if !before.contains(emitter.id.as_str()) => findings.push(
                Finding::error(
                    place.clone(),
                    format!("reads `{wanted}`, which step `{}` emits later or never before", emitter.id),
                )
                .hint(format!("add needs = [\"{}\"]", emitter.id)),
            ),
            Some(_) => {}
        }
        if read.properties.iter().any(|p| p.is_empty() || p.len() > 256) {
            findings.push(Finding::error(place.clone(), format!("`{wanted}`: a property's name has 1 to 256 bytes")));
        }
    }
    for read in repeated(step.reads.iter().map(|r| r.entity_type.as_str())) {
        findings.push(Finding::error(place.clone(), format!("names `{read}` twice")));
    }
}

/// Each type, of entities and relationships alike, is emitted by one step: what it means for the type to be complete
/// would be undecided otherwise.
fn emitted_once(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let mut emitters: BTreeMap<String, &str> = BTreeMap::new();
    for step in &manifest.steps {
        let entities = step.entities.iter().map(|e| ("entity", e.entity_type.clone()));
        let relationships = step.relationships.iter().map(|r| ("relationship", r.relationship_type()));
        for (kind, name) in entities.chain(relationships) {
            match emitters.get(&name) {
                Some(other) => {
                    let at = format!("step `{}`: {kind} `{name}`", step.id);
                    let message = if *other == step.id.as_str() {
                        "is declared twice".to_owned()
                    } else {
                        format!("is emitted by step `{other}` already")
                    };
                    findings.push(Finding::error(at, message).hint("one step emits all of a type"));
                }
                None => {
                    emitters.insert(name, step.id.as_str());
                }
            }
        }
    }
}
