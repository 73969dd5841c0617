//! What a manifest must be. The same checks run when an author's file is read, when a module is packed and when it is
//! loaded, because what was checked elsewhere was checked by someone else.
//!
//! A place in a finding (``operation `x`: query `page` ``) names the part of the manifest; the reader of the author's file
//! finds the line by it.

mod config;
mod credentials;
mod headers;
mod hosts;
mod mappings;
mod operations;
mod steps;

use crate::finding::Finding;
use crate::pack::MAX_MANIFEST_BYTES;
use crate::readonly::{Proof, prove};
use crate::text::deceives;
use porthole_model::id::OperationId;
use porthole_model::manifest::{MANIFEST_SCHEMA, Manifest};
use porthole_model::mapping::{MAX_MAPPINGS, Mapping};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

pub(crate) use hosts::may_hold_slash;
pub(crate) use operations::arguments;

/// The most operations: the largest provider we know of needs about 300 reads, and a reviewer reads each.
pub const MAX_OPERATIONS: usize = 500;
/// The most steps; each is a sandboxed execution and a row of every run.
pub const MAX_STEPS: usize = 200;
/// The most configuration fields: a person fills in the form.
pub const MAX_CONFIG_FIELDS: usize = 100;
/// The most credential methods.
pub const MAX_CREDENTIAL_METHODS: usize = 20;
pub use porthole_model::operation::MAX_ARGUMENTS;
/// The most entity and relationship types together.
pub const MAX_TYPES: usize = 1_000;
/// The longest text for people, in bytes.
pub const MAX_LABEL_BYTES: usize = 1_000;
/// The longest name of an argument, a configuration field, a type or a property, in bytes. Postgres cuts identifiers at
/// 63, and types become names of views.
pub const MAX_NAME_BYTES: usize = 63;
/// The most cases of a derived configuration field.
pub const MAX_CASES: usize = 50;
/// Findings up to which hints are worked out.
const MAX_HINTED: usize = 100;
/// Requests under way at once that a module may ask for.
pub const MAX_CONCURRENT: u32 = 64;
/// Requests a second that a module may ask for.
pub const MAX_PER_SECOND: u32 = 1_000;

/// Everything that is wrong with a manifest, in its order. Whether operations are reads is proved in
/// [`crate::readonly`].
#[must_use]
pub fn check(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    limits(manifest, &mut findings);
    if findings.iter().any(Finding::is_error) {
        // The rest may take time that grows with the square of what is there too much of.
        return findings;
    }
    module(manifest, &mut findings);
    config::check(manifest, &mut findings);
    credentials::check(manifest, &mut findings);
    operations::check(manifest, &mut findings);
    steps::check(manifest, &mut findings);
    mappings::check(manifest, &mut findings);
    scrub(manifest, &mut findings);
    rate(manifest, &mut findings);
    findings
}

/// What is wrong with a mapping rule that a tenant adds.
#[must_use]
pub fn check_mapping(mapping: &Mapping) -> Vec<Finding> {
    let mut findings = Vec::new();
    mappings::rule(&format!("mapping `{}`", mapping.id), mapping, &mut findings);
    findings
}

/// Checks a manifest and proves its operations: all findings, and the proofs of what was proved.
pub(crate) fn judge(manifest: &Manifest) -> (Vec<Finding>, BTreeMap<OperationId, Proof>) {
    let mut findings = check(manifest);
    let mut proofs = BTreeMap::new();
    for operation in &manifest.operations {
        match prove(operation) {
            Ok(proof) => drop(proofs.insert(operation.id.clone(), proof)),
            // A request that is no request at all is one mistake, not two.
            Err(unproved) if findings.iter().any(|f| f.is_error() && f.place == unproved.place) => {}
            Err(unproved) => findings.push(unproved),
        }
    }
    (findings, proofs)
}

fn module(manifest: &Manifest, findings: &mut Vec<Finding>) {
    if manifest.schema != MANIFEST_SCHEMA {
        findings.push(
            Finding::error("manifest", format!("has schema {}, this host reads {MANIFEST_SCHEMA}", manifest.schema))
                .hint("use a newer host, or pack the module again"),
        );
    }
    let info = &manifest.module;
    if let Err(e) = semver::Version::parse(&info.version) {
        let message = format!("{:?} is no semantic version: {e}", info.version);
        findings.push(Finding::error("module: version", message).hint("write MAJOR.MINOR.PATCH, such as 1.0.0"));
    }
    for (key, text) in [("version", &info.version), ("provider", &info.provider), ("description", &info.description)] {
        let place = format!("module: {key}");
        if text.trim().is_empty() {
            findings.push(Finding::error(place.clone(), "is empty"));
        }
        readable(&place, text, findings);
    }
}

/// A text that people decide by is short and shows what it says.
fn readable(place: &str, text: &str, findings: &mut Vec<Finding>) {
    if text.len() > MAX_LABEL_BYTES {
        findings.push(Finding::error(place, format!("has {} bytes, at most {MAX_LABEL_BYTES}", text.len())));
    }
    if let Some(c) = text.chars().find(|c| deceives(*c)) {
        let message = format!("holds the control or invisible character U+{:04X}", c as u32);
        findings.push(Finding::error(place, message).hint("write plain text on one line"));
    }
}

fn limits(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let types: usize = manifest.steps.iter().map(|s| s.entities.len() + s.relationships.len()).sum();
    let cases = manifest.config.values().filter_map(|f| f.derive.as_ref()).map(|d| d.cases.len());
    for (what, count, max) in [
        ("operations", manifest.operations.len(), MAX_OPERATIONS),
        ("steps", manifest.steps.len(), MAX_STEPS),
        ("config fields", manifest.config.len(), MAX_CONFIG_FIELDS),
        ("credential methods", manifest.credentials.len(), MAX_CREDENTIAL_METHODS),
        ("entity and relationship types", types, MAX_TYPES),
        ("mappings", manifest.mappings.len(), MAX_MAPPINGS),
        ("scrub rules", manifest.scrub.len(), MAX_OPERATIONS),
        ("cases of one derived field", cases.max().unwrap_or_default(), MAX_CASES),
    ] {
        if count > max {
            findings.push(Finding::error("manifest", format!("has {count} {what}, at most {max} are accepted")));
        }
    }
    if manifest.steps.is_empty() {
        findings.push(
            Finding::error("manifest", "has no steps").hint("add [[steps]]; a module without steps does nothing"),
        );
    }
    let size = manifest.to_canonical_json().map_or(usize::MAX, |json| json.len());
    if size > MAX_MANIFEST_BYTES {
        findings
            .push(Finding::error("manifest", format!("has {size} bytes, at most {MAX_MANIFEST_BYTES} are accepted")));
    }
}

fn scrub(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for (n, rule) in manifest.scrub.iter().enumerate() {
        let place = format!("scrub {}", n + 1);
        if rule.path.is_empty() || !crate::text::is_json_pointer(&rule.path) {
            findings.push(
                Finding::error(format!("{place}: path"), format!("`{}` is no path into a JSON body", rule.path))
                    .hint("write a JSON pointer, with * for any index or key: `/*/config/secret`"),
            );
        }
        if rule.operations.is_empty() {
            findings.push(Finding::error(format!("{place}: operations"), "names no operation"));
        }
        for id in &rule.operations {
            if manifest.operation(id.as_str()).is_none() {
                unknown(findings, &format!("{place}: operations"), "operation", id, || operation_ids(manifest));
            }
        }
    }
}

fn rate(manifest: &Manifest, findings: &mut Vec<Finding>) {
    let rate = manifest.rate;
    if !(1..=MAX_CONCURRENT).contains(&rate.concurrent) {
        let message = format!("is {}, it must be from 1 to {MAX_CONCURRENT}", rate.concurrent);
        findings.push(Finding::error("rate: concurrent", message));
    }
    if let Some(n) = rate.per_second.filter(|n| !(1..=MAX_PER_SECOND).contains(n)) {
        findings.push(Finding::error("rate: per-second", format!("is {n}, it must be from 1 to {MAX_PER_SECOND}")));
    }
}

fn operation_ids(manifest: &Manifest) -> Vec<&str> {
    manifest.operations.iter().map(|o| o.id.as_str()).collect()
}

/// A name that doesn't exist, and the one that was probably meant. Comparing takes time, so that a manifest with a hundred
/// thousand wrong names gets hints for the first of them.
fn unknown<'a>(
    findings: &mut Vec<Finding>,
    place: &str,
    what: &str,
    id: &(impl Display + ?Sized),
    known: impl FnOnce() -> Vec<&'a str>,
) {
    let id: String = id.to_string().chars().take(MAX_NAME_BYTES).collect();
    let finding = Finding::error(place, format!("names the {what} `{id}`, which doesn't exist"));
    findings.push(match findings.len() < MAX_HINTED {
        true => finding.hint(crate::text::did_you_mean(&id, known())),
        false => finding,
    });
}

/// What occurs a second time.
fn repeated<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let mut again = Vec::new();
    let mut items: Vec<_> = items.into_iter().collect();
    items.reverse();
    while let Some(item) = items.pop() {
        if seen.contains(&item) {
            again.push(item);
        } else {
            seen.insert(item);
        }
    }
    again
}

/// `lower_case_1`, a letter first: names that end up in JSON, SQL and templates.
fn is_identifier(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
