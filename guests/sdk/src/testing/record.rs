//! What a guest did.

use super::Key;
use crate::call::Call;
use crate::host::Level;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// An entity that was emitted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmittedEntity {
    /// Its type.
    #[serde(rename = "e")]
    pub entity_type: String,
    /// Its key.
    #[serde(rename = "k")]
    pub key: String,
    /// Its classes.
    #[serde(rename = "c")]
    pub class: Vec<String>,
    /// What people call it.
    #[serde(rename = "n")]
    pub name: String,
    /// Its properties.
    #[serde(rename = "p")]
    pub properties: Map<String, Value>,
}

/// A relationship that was emitted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Line")]
pub struct EmittedRelationship {
    /// Its type.
    pub relationship_type: String,
    /// Its key.
    pub key: String,
    /// The key of the entity that it comes from.
    pub from_key: String,
    /// `HAS`, `OWNS`, …
    pub verb: String,
    /// The key of the entity that it goes to.
    pub to_key: String,
    /// Its far end, if it is a mapped one.
    pub far: Option<EmittedFar>,
    /// Its properties.
    pub properties: Map<String, Value>,
}

/// The far end of a mapped relationship that was emitted. Its key stands in the relationship.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedFar {
    /// Which end it is: `from` or `to`.
    pub end: String,
    /// Its type.
    pub object_type: String,
    /// Its classes.
    pub class: Vec<String>,
}

/// A relationship as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    r: String,
    k: String,
    f: Option<String>,
    v: String,
    t: Option<String>,
    m: Option<LineFar>,
    d: Option<String>,
    p: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineFar {
    k: String,
    t: String,
    c: Vec<String>,
}

impl TryFrom<Line> for EmittedRelationship {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let Line { r, k, f, v, t, m, d, p } = line;
        let (from_key, to_key, far) = match (f, t, m, d) {
            (Some(from), Some(to), None, None) => (from, to, None),
            (Some(from), None, Some(far), Some(end)) if end == "to" => (from, far.k.clone(), Some((end, far))),
            (None, Some(to), Some(far), Some(end)) if end == "from" => (far.k.clone(), to, Some((end, far))),
            ends => return Err(format!("`{k}` has other ends than a relationship has: {}", given(&ends))),
        };
        let far = far.map(|(end, far)| EmittedFar { end, object_type: far.t, class: far.c });
        Ok(Self { relationship_type: r, key: k, from_key, verb: v, to_key, far, properties: p })
    }
}

/// Which of the fields are there.
fn given((f, t, m, d): &(Option<String>, Option<String>, Option<LineFar>, Option<String>)) -> String {
    let fields = [("f", f.is_some()), ("t", t.is_some()), ("m", m.is_some()), ("d", d.is_some())];
    fields.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// A line of the run log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
}

/// What a guest did.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) entities: Vec<EmittedEntity>,
    pub(super) relationships: Vec<EmittedRelationship>,
    pub(super) batches: Vec<usize>,
    pub(super) calls: Vec<Call>,
    pub(super) most_at_once: usize,
    pub(super) tokens: BTreeMap<u64, (Key, usize)>,
    pub(super) last_token: u64,
    pub(super) logs: Vec<LogLine>,
    pub(super) progress: Option<(u64, Option<u64>)>,
}
