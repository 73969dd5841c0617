//! From an item to an entity and its relationships, as a [`Resource`] says. Pure.

use crate::path::{self, Scope};
use crate::spec::{Link, Resource};
use crate::time;
use porthole_sdk::{Entity, Relationship};
use serde_json::Value;

/// Seconds since 1970 are below this, milliseconds above: the year 5138 in one, 1973 in the other.
const SECONDS_BELOW: f64 = 1e11;

/// Whether a resource is made of what is at hand.
#[must_use]
pub fn is_wanted(scope: &Scope<'_>, when: &str) -> bool {
    let (path, values, wanted) = match (when.split_once("!="), when.split_once('=')) {
        (Some((path, values)), _) => (path, values, false),
        (None, Some((path, values))) => (path, values, true),
        (None, None) => return true,
    };
    let text = scope.text(path).unwrap_or_default();
    let means =
        |value: &str| if value.starts_with('{') { scope.fill(value).unwrap_or_default() } else { value.to_owned() };
    values.split(',').any(|value| means(value) == text) == wanted
}

/// The entity.
#[must_use]
pub fn entity(resource: &Resource, scope: &Scope<'_>) -> Entity {
    let tags = tags(scope, resource.tags);
    let name = name(scope, resource.name, &tags);
    let mut entity = Entity::new(resource.kind, scope.key).name(name.as_deref().unwrap_or(scope.key));
    for class in resource.class {
        entity = entity.class(*class);
    }
    if !scope.names.region.is_empty() {
        entity = entity.prop("region", &scope.names.region);
    }
    for spec in resource.props.split_whitespace() {
        let (property, value) = property(scope, spec);
        entity = entity.prop(property, value);
    }
    for (tag, value) in tags {
        entity = entity.prop(format!("tag.{tag}"), value);
    }
    entity
}

/// The relationship; `None` when its other end isn't named.
#[must_use]
pub fn relationship(kind: &'static str, link: &Link, scope: &Scope<'_>) -> Option<Relationship> {
    // `{KEY}` in a link is the entity's, so both ends are known here.
    let other = scope.fill(link.key).ok()?;
    let ends = if link.inward { (other.as_str(), scope.key) } else { (scope.key, other.as_str()) };
    let mut edge = crate::carried::relationship(kind, link, ends.0, ends.1);
    if !link.apart.is_empty() {
        let apart = scope.fill(link.apart).ok()?;
        edge = edge.with_key(format!("{}|{}|{}|{apart}", ends.0, link.verb, ends.1));
    }
    for spec in link.props.split_whitespace() {
        let (property, value) = property(scope, spec);
        edge = edge.prop(property, value);
    }
    Some(edge)
}

/// The first of the names that there is; `tag` is the tag `Name`.
fn name(scope: &Scope<'_>, names: &str, tags: &[(String, String)]) -> Option<String> {
    names.split('|').filter(|path| !path.is_empty()).find_map(|path| match path {
        "tag" => tags.iter().find(|(name, value)| name == "Name" && !value.is_empty()).map(|(_, value)| value.clone()),
        path => scope.text(path).map(Into::into),
    })
}

/// The name and value of a property. See [`Resource::props`].
fn property(scope: &Scope<'_>, spec: &str) -> (String, Value) {
    let kind = spec.chars().next().filter(|c| "?#@*".contains(*c));
    let spec = spec.trim_start_matches(['?', '#', '@', '*']);
    let (name, path) = spec.split_once('=').map_or_else(|| (small(spec), spec), |(name, path)| (name.to_owned(), path));
    let text = || scope.text(path);
    let value = match kind {
        Some('?') => text().and_then(|t| yes_or_no(&t)).map(Value::Bool),
        Some('#') => text().and_then(|t| number(&t)),
        Some('@') => text().map(|t| Value::String(moment(&t))),
        Some('*') => list(scope, path),
        _ => text().map(|t| Value::String(t.into_owned())),
    };
    (name, value.unwrap_or(Value::Null))
}

fn small(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path).trim_start_matches(['^', '_']);
    let mut chars = last.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "enabled" | "yes" | "on" => Some(true),
        "false" | "disabled" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<i64>().ok().map(Value::from);
    whole.or_else(|| text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from))
}

/// A time as AWS wrote it, or, of one in seconds or milliseconds since 1970, in the form of RFC 3339.
fn moment(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => {
            let seconds = if number < SECONDS_BELOW { number } else { number / 1000.0 };
            time::rfc3339(seconds as u64)
        }
        _ => text.to_owned(),
    }
}

/// Texts, each once and sorted: AWS promises no order, and an order that changes is a change of the object.
fn list(scope: &Scope<'_>, path: &str) -> Option<Value> {
    let texts = scope.each(path).into_iter().filter_map(|v| path::text(v, ".")).map(|t| Value::String(t.into_owned()));
    let mut texts: Vec<_> = texts.collect();
    texts.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    texts.dedup();
    (!texts.is_empty()).then_some(Value::Array(texts))
}

/// Names and values of tags; those of AWS itself (`aws:…`) too: they say what made the resource.
fn tags(scope: &Scope<'_>, spec: &str) -> Vec<(String, String)> {
    let mut words = spec.split(' ');
    let path = words.next().unwrap_or_default();
    if path.is_empty() {
        return Vec::new();
    }
    let found = scope.each(path);
    let Some((name, value)) = words.next().zip(words.next()) else {
        let fields = found.into_iter().filter_map(Value::as_object).flatten();
        return fields.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    };
    let tag = |tag: &Value| {
        Some((path::text(tag, name)?.into_owned(), path::text(tag, value).unwrap_or_default().into_owned()))
    };
    found.into_iter().filter_map(tag).collect()
}

/// Takes the values at a path out of a value, which stays.
#[must_use]
pub fn remove(value: &mut Value, path: &str) -> Vec<Value> {
    let (name, rest) = path.split_once('/').unwrap_or((path, "."));
    let part = value.as_object_mut().and_then(|fields| fields.remove(name)).unwrap_or(Value::Null);
    path::take(part, rest)
}
