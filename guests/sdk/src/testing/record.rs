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
#[serde(deny_unknown_fields)]
pub struct EmittedRelationship {
    /// Its type.
    #[serde(rename = "r")]
    pub relationship_type: String,
    /// Its key.
    #[serde(rename = "k")]
    pub key: String,
    /// The key of the entity that it comes from.
    #[serde(rename = "f")]
    pub from_key: String,
    /// `HAS`, `OWNS`, …
    #[serde(rename = "v")]
    pub verb: String,
    /// The key of the entity that it goes to.
    #[serde(rename = "t")]
    pub to_key: String,
    /// Its properties.
    #[serde(rename = "p")]
    pub properties: Map<String, Value>,
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
