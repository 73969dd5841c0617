//! The configuration of an instance: what a tenant gave, checked against the manifest's fields, with defaults and
//! derived values filled in. And the same fields as a JSON Schema, for forms.

use crate::finding::Finding;
use crate::text::did_you_mean;
use porthole_model::manifest::{ConfigField, Manifest};
use porthole_model::operation::Config;
use porthole_model::rule::Rule;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Checks what a tenant gave and fills in what follows.
///
/// # Errors
/// A finding for every field that is unknown, missing, derived, or outside its rule.
pub fn resolve_config(manifest: &Manifest, given: &BTreeMap<String, String>) -> Result<Config, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut config = Config::default();
    let settable = || manifest.config.iter().filter(|(_, f)| f.derive.is_none()).map(|(name, _)| name.as_str());
    for name in given.keys() {
        match manifest.config.get(name) {
            None => {
                let name = name.chars().take(80).collect::<String>();
                let hint = did_you_mean(&name, settable().collect::<Vec<_>>());
                findings.push(Finding::error(place(&name), "is no field of this module").hint(hint));
            }
            Some(field) => {
                if let Some(derive) = &field.derive {
                    let message = format!("follows from `{}` and can't be set", derive.from);
                    findings.push(Finding::error(place(name), message));
                }
            }
        }
    }
    for (name, field) in manifest.config.iter().filter(|(_, f)| f.derive.is_none()) {
        match value_of(name, field, given.get(name)) {
            Ok(value) => {
                config.values.insert(name.clone(), value);
            }
            Err(finding) => findings.push(finding),
        }
    }
    for (name, field) in &manifest.config {
        let Some(derive) = &field.derive else { continue };
        // Without the source there is a finding about the source already.
        let Some(source) = config.values.get(&derive.from) else { continue };
        match derive.cases.iter().find(|(rule, _)| rule.allows(source)) {
            Some((_, value)) => {
                let value = value.clone();
                config.values.insert(name.clone(), value);
                config.derived.insert(name.clone());
            }
            None => findings.push(
                Finding::error(place(&derive.from), format!("no case of the derived field `{name}` fits {source:?}"))
                    .hint("the module's author has to add a case"),
            ),
        }
    }
    if findings.is_empty() { Ok(config) } else { Err(findings) }
}

fn value_of(name: &str, field: &ConfigField, given: Option<&String>) -> Result<String, Finding> {
    let Some(value) = given.or(field.default.as_ref()) else {
        let label = if field.label.is_empty() { String::new() } else { format!(" ({})", field.label) };
        return Err(Finding::error(place(name), format!("must be filled in{label}")).hint(rule_hint(field)));
    };
    // A manifest that passed `check` has a rule for every field a tenant can set.
    if field.rule.as_ref().is_some_and(|rule| rule.allows(value)) {
        return Ok(value.clone());
    }
    let shown: String = value.chars().take(80).collect();
    Err(Finding::error(place(name), format!("{shown:?} is outside its rule")).hint(rule_hint(field)))
}

fn rule_hint(field: &ConfigField) -> String {
    let rule = field.rule.as_ref().map(ToString::to_string).unwrap_or_default();
    match field.description.as_str() {
        "" => format!("it must match `{rule}`"),
        description => format!("{description}; it must match `{rule}`"),
    }
}

fn place(name: &str) -> String {
    format!("config `{name}`")
}

/// The fields that a tenant can set, as a JSON Schema (2020-12). Values are strings, because rules speak of texts.
#[must_use]
pub fn config_schema(manifest: &Manifest) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, field) in manifest.config.iter().filter(|(_, f)| f.derive.is_none()) {
        properties.insert(name.clone(), field_schema(field));
        if field.default.is_none() {
            required.push(json!(name));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{} configuration", manifest.module.provider),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn field_schema(field: &ConfigField) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("string"));
    for (key, text) in [("title", &field.label), ("description", &field.description)] {
        if !text.is_empty() {
            schema.insert(key.to_owned(), json!(text));
        }
    }
    if let Some(default) = &field.default {
        schema.insert("default".to_owned(), json!(default));
    }
    match &field.rule {
        Some(Rule::Fixed(value)) => drop(schema.insert("const".to_owned(), json!(value))),
        Some(Rule::Pattern(pattern)) => {
            // `^a|b$` anchors one branch each; the schema has to say what the rule means.
            let source = pattern.source();
            let inner = source.strip_prefix('^').and_then(|s| s.strip_suffix('$')).unwrap_or(source);
            drop(schema.insert("pattern".to_owned(), json!(format!("^(?:{inner})$"))));
        }
        Some(Rule::Text(max)) => {
            schema.insert("minLength".to_owned(), json!(1));
            schema.insert("maxLength".to_owned(), json!(max));
        }
        Some(Rule::Int(_)) => drop(schema.insert("pattern".to_owned(), json!("^(?:0|[1-9][0-9]*)$"))),
        Some(Rule::Bool) => drop(schema.insert("enum".to_owned(), json!(["true", "false"]))),
        None => {}
    }
    Value::Object(schema)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
