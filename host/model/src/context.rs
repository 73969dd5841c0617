//! Who acts: handed down as the first argument of whatever changes something, so that every change can say who made it.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum Actor {
    /// A person at the command line, by login name.
    Person(String),
    /// A worker process, by its name.
    Worker(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Worker(name) => write!(f, "worker:{name}"),
        }
    }
}

/// The circumstances of one act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpContext {
    /// Who acts.
    pub actor: Actor,
    /// Ties together what one request did.
    pub request: Uuid,
}

impl OpContext {
    /// A new act of this actor.
    #[must_use]
    pub fn new(actor: Actor) -> Self {
        Self { actor, request: Uuid::now_v7() }
    }
}
