//! `[config.NAME]`: a field that a tenant fills in, or one that follows from another.

use super::table::Table;
use porthole_model::manifest::{ConfigField, Derive};
use porthole_model::rule::Rule;

pub(super) fn read(table: &Table<'_>) -> Option<ConfigField> {
    let label = table.optional_text("label").unwrap_or_default();
    let description = table.optional_text("description").unwrap_or_default();
    let rule = rule(table);
    let default = table.optional_text("default");
    let derive = table.inner("derive").and_then(|t| derive(&t));
    table.finish();
    Some(ConfigField { label, description, rule, default, derive })
}

fn rule(table: &Table<'_>) -> Option<Rule> {
    let pattern = table.optional_text("pattern");
    let rule = table.optional_text("rule");
    let (key, text) = match (pattern, rule) {
        (Some(_), Some(_)) => {
            table.refuse(Some("rule"), "is given beside `pattern`", "one of them says it");
            return None;
        }
        (Some(pattern), None) if !pattern.starts_with('^') || !pattern.ends_with('$') => {
            let hint = format!("write '^{}$', or `rule` for another notation", pattern.trim_matches(['^', '$']));
            table.refuse(Some("pattern"), "must match the whole value: from ^ to $", hint);
            return None;
        }
        (Some(pattern), None) => ("pattern", pattern),
        (None, Some(rule)) => ("rule", rule),
        (None, None) => return None,
    };
    parse_rule(&text).map_err(|(message, hint)| table.refuse(Some(key), message, hint)).ok()
}

fn derive(table: &Table<'_>) -> Option<Derive> {
    let from = table.text("from");
    let mut cases = Vec::new();
    for (pattern, value) in table.pairs("cases") {
        match parse_rule(&pattern) {
            Ok(rule) => cases.push((rule, value)),
            Err((message, hint)) => table.refuse(Some("cases"), message, hint),
        }
    }
    table.finish();
    Some(Derive { from: from?, cases })
}

/// A rule, or what is wrong with it and how to write one.
pub(super) fn parse_rule(text: &str) -> Result<Rule, (String, String)> {
    Rule::parse(text).map_err(|e| {
        let hint = match text.split_once("<=") {
            Some((kind, number)) => {
                let kind = crate::text::closest(kind.trim(), ["text", "int"]).unwrap_or("text");
                format!("such as `{kind}<={}`", number.trim().parse::<u32>().unwrap_or(100))
            }
            None if text.is_empty() => "write the rule".to_owned(),
            None if text.starts_with('^') => "a linear-time regular expression, without look-around".to_owned(),
            None => format!("`={text}` is the fixed value, '^{text}$' the pattern"),
        };
        (e.to_string(), hint)
    })
}
