//! Configuration fields: a rule for what a tenant gives, cases for what follows from it.

use super::{is_identifier, readable, unknown};
use crate::finding::Finding;
use porthole_model::manifest::{ConfigField, Derive, Manifest};
use porthole_model::operation::config_reference;

pub(super) fn check(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for (name, field) in &manifest.config {
        let place = format!("config `{name}`");
        // Dashes are common in forms; templates take them too.
        if !is_identifier(&name.replace('-', "_")) {
            findings.push(
                Finding::error(place.clone(), "is no name for a field").hint("a-z, 0-9, _ and -, a letter first"),
            );
        }
        readable(&format!("{place}: label"), &field.label, findings);
        readable(&format!("{place}: description"), &field.description, findings);
        match &field.derive {
            Some(derive) => derived(manifest, &place, field, derive, findings),
            None => given(&place, field, findings),
        }
    }
}

fn given(place: &str, field: &ConfigField, findings: &mut Vec<Finding>) {
    let Some(rule) = &field.rule else {
        findings.push(
            Finding::error(place, "has no rule for its value")
                .hint("add `pattern = '^…$'`, or `rule` with `text<=N`, `int<=N` or `bool`"),
        );
        return;
    };
    if let Some(other) = config_reference(rule) {
        let message = format!("its rule refers to the field `{other}`");
        findings
            .push(Finding::error(place, message).hint("only an argument takes its value from a field; see `derive`"));
    }
    if let Some(default) = field.default.as_ref().filter(|d| !rule.allows(d)) {
        findings.push(Finding::error(format!("{place}: default"), format!("{default:?} is outside the rule `{rule}`")));
    }
}

fn derived(manifest: &Manifest, place: &str, field: &ConfigField, derive: &Derive, findings: &mut Vec<Finding>) {
    if field.rule.is_some() || field.default.is_some() {
        findings.push(
            Finding::error(place, "is derived and has a rule or a default too")
                .hint("a derived value comes from `derive` alone; remove the others"),
        );
    }
    let at = format!("{place}: derive");
    match manifest.config.get(&derive.from) {
        None => {
            let known =
                || manifest.config.iter().filter(|(_, f)| f.derive.is_none()).map(|(n, _)| n.as_str()).collect();
            unknown(findings, &at, "field", &derive.from, known);
        }
        Some(source) if source.derive.is_some() => findings.push(
            Finding::error(at.clone(), format!("follows from `{}`, which is derived itself", derive.from))
                .hint("derive from the field that the tenant fills in"),
        ),
        Some(source) => {
            let default = source.default.as_ref();
            if let Some(default) = default.filter(|d| !derive.cases.iter().any(|(rule, _)| rule.allows(d))) {
                let message = format!("no case fits {default:?}, the default of `{}`", derive.from);
                findings.push(Finding::error(at.clone(), message).hint("add a case for it, or a last case '^.*$'"));
            }
        }
    }
    if derive.cases.is_empty() {
        findings.push(Finding::error(at.clone(), "has no cases").hint("cases = [['^pattern$', 'value'], …]"));
    }
    for (_, value) in &derive.cases {
        if value.chars().any(|c| c.is_control()) {
            findings.push(Finding::error(at.clone(), format!("the value {value:?} holds a control character")));
        }
    }
}
