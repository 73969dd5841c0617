//! Mapping rules: they start from what the module emits, and end at classes and types of the data model.

use super::{repeated, steps, unknown};
use crate::finding::Finding;
use porthole_model::manifest::{Manifest, RelationshipDecl};
use porthole_model::mapping::{Mapping, Selector};
use std::collections::BTreeSet;

pub(super) fn check(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for id in repeated(manifest.mappings.iter().map(|m| m.id.as_str())) {
        findings.push(Finding::error(format!("mapping `{id}`"), "exists twice").hint("give each mapping its own id"));
    }
    let emitted: BTreeSet<String> =
        manifest.steps.iter().flat_map(|s| &s.relationships).map(RelationshipDecl::relationship_type).collect();
    for mapping in &manifest.mappings {
        let place = format!("mapping `{}`", mapping.id);
        rule(&place, mapping, findings);
        let types = || manifest.steps.iter().flat_map(|s| &s.entities).map(|e| e.entity_type.as_str());
        if !types().any(|known| known == mapping.from) {
            unknown(findings, &format!("{place}: from"), "entity type", &mapping.from, || types().collect());
        }
        let name = mapping.relationship_type();
        if emitted.contains(&name) {
            let message = format!("relates as `{name}`, which a step emits already");
            findings.push(Finding::error(place, message).hint("use another verb"));
        }
    }
}

/// What is wrong with a rule, whoever wrote it.
pub(crate) fn rule(place: &str, mapping: &Mapping, findings: &mut Vec<Finding>) {
    for (part, message) in mapping.mistakes() {
        findings.push(Finding::error(format!("{place}: {part}"), message));
    }
    steps::verb(&format!("{place}: verb"), &mapping.verb, findings);
    if let Selector::Class(class) = &mapping.to {
        steps::class(&format!("{place}: to"), class, findings);
    }
}
