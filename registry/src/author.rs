//! Reading what an author wrote: TOML in, a manifest out, or everything that is wrong with it, each with its line.
//!
//! The author form is for people: one table per thing, rules as short texts, keys in kebab-case. It has no meaning of its
//! own; [`porthole_model::manifest::Manifest`] has. Reading collects findings instead of stopping at the first, then runs
//! the checks and the read-only proof and finds the lines of what they found.

mod credential;
mod field;
mod mapping;
mod operation;
mod operation_table;
mod step;
mod table;

use crate::check::judge;
use crate::finding::{Finding, Position};
use crate::pack::MAX_MANIFEST_BYTES;
pub use operation_table::ReadFile;
use porthole_model::manifest::{MANIFEST_SCHEMA, Manifest, ModuleInfo, Rate, ScrubRule};
use table::{Reader, Table};
use toml::de::DeTable;

/// A manifest that may be packed, and what someone should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authored {
    /// The manifest.
    pub manifest: Manifest,
    /// What isn't wrong but looks so.
    pub warnings: Vec<Finding>,
}

/// Reads an author's manifest that stands alone.
///
/// # Errors
/// Everything that is wrong with it, by line.
pub fn read_manifest(toml_text: &str) -> Result<Manifest, Vec<Finding>> {
    read(toml_text, &|name| Err(format!("`{name}` can't be read: this manifest stands alone"))).map(|a| a.manifest)
}

/// Reads an author's manifest with the files that it names, and keeps the warnings.
///
/// # Errors
/// Everything that is wrong with it, warnings included, by line.
pub fn read(toml_text: &str, files: ReadFile<'_>) -> Result<Authored, Vec<Finding>> {
    if toml_text.len() > MAX_MANIFEST_BYTES {
        let size = toml_text.len();
        return Err(vec![Finding::error(
            "manifest",
            format!("has {size} bytes, at most {MAX_MANIFEST_BYTES} are read"),
        )]);
    }
    let (document, errors) = DeTable::parse_recoverable(toml_text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|e| syntax(toml_text, e)).collect());
    }
    let reader = Reader::new(toml_text);
    let read = manifest(&Table::top(&reader, document.get_ref()), files);
    let mut findings = reader.take_findings();
    // Checks of a manifest with holes would speak of the holes.
    if let (Some(manifest), true) = (read, findings.is_empty()) {
        (findings, _) = judge(&manifest);
        reader.locate(&manifest, &mut findings);
        findings.sort_by_key(|f| f.position);
        if !findings.iter().any(Finding::is_error) {
            return Ok(Authored { manifest, warnings: findings });
        }
    }
    findings.sort_by_key(|f| f.position);
    Err(findings)
}

fn syntax(text: &str, error: &toml::de::Error) -> Finding {
    let finding = Finding::error("", error.message().to_owned());
    match error.span() {
        Some(span) => finding.at(Position::of(text, span.start)),
        None => finding,
    }
}

/// The manifest, or none where a finding says why not.
fn manifest(top: &Table<'_>, files: ReadFile<'_>) -> Option<Manifest> {
    let module = top.table("module", "module").map(|t| module(&t));
    if module.is_none() && !top.has("module") {
        top.missing("module");
    }
    let config = top.tables_by_name("config", |name| format!("config `{name}`"), field::read);
    let credentials = top.list("credentials", credential::read);
    let mut operations = top.list("operations", operation::read);
    let tables = top.list("operation-tables", |table, _| Some(operation_table::read(table, files)));
    operations.extend(tables.into_iter().flatten());
    let steps = top.list("steps", step::read);
    let mappings = top.list("mappings", mapping::read);
    let scrub = top.list("scrub", scrub);
    let rate = top.table("rate", "rate").map_or_else(Rate::default, |t| rate(&t));
    top.finish();
    let schema = MANIFEST_SCHEMA;
    Some(Manifest { schema, module: module??, config, credentials, operations, steps, mappings, scrub, rate })
}

fn module(table: &Table<'_>) -> Option<ModuleInfo> {
    let name = table.named("name");
    let version = table.text("version");
    let provider = table.text("provider");
    let description = table.text("description");
    table.finish();
    Some(ModuleInfo { name: name?, version: version?, provider: provider?, description: description? })
}

fn scrub(table: &mut Table<'_>, index: usize) -> Option<ScrubRule> {
    table.rename(&format!("scrub {}", index + 1));
    let operations = table.names("operations");
    let path = table.text("path");
    table.finish();
    Some(ScrubRule { operations, path: path? })
}

fn rate(table: &Table<'_>) -> Rate {
    let usual = Rate::default();
    let concurrent = table.optional_number("concurrent").unwrap_or(usual.concurrent);
    let per_second = table.optional_number("per-second");
    table.finish();
    Rate { concurrent, per_second }
}

#[cfg(test)]
#[path = "author_tests.rs"]
mod tests;
