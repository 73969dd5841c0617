//! What a caller gives: the act, its object, and what there is to count or to hold on to. Every text is cut and cleaned
//! on its way in, so that whatever a guest or a provider wrote, a record is bounded and safe to show.

use super::action::{Action, Decision};
use super::batch::{CallEnded, CallMade};
use super::record::{Record, SALT_BYTES, VERSION, commitment};
use crate::context::OpContext;
use crate::id::{InstanceId, ModuleDigest, Name, RunId, TenantId};
use crate::run::SliceKey;
use crate::text::shown_bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// The longest word (a map's key, a layer, a step), in bytes.
pub(super) const MAX_WORD_BYTES: usize = 64;
/// The longest name (an operation, a partition, an object's id, an actor), in bytes.
pub(super) const MAX_NAME_BYTES: usize = 256;
/// The longest text of a fact or a digest, in bytes.
const MAX_FACT_BYTES: usize = 256;
/// The longest reason, in bytes: a person's sentence or two.
const MAX_REASON_BYTES: usize = 1_024;
/// The most counts: four for each type of the widest module in use, and some.
const MAX_COUNTS: usize = 256;
/// The most facts, and the most digests.
const MAX_FACTS: usize = 32;
/// Counts what didn't fit, so that a cut record says that it is one.
const LEFT_OUT: &str = "left-out";

/// What was acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Which one.
    pub id: String,
    /// What it is: `run`, `instance`, `module`, …
    pub kind: String,
}

impl Object {
    /// Any object. The kind is one of our words.
    #[must_use]
    pub fn new(kind: &'static str, id: impl fmt::Display) -> Self {
        Self { id: cut(&id.to_string(), MAX_NAME_BYTES), kind: kind.to_owned() }
    }

    /// A run.
    #[must_use]
    pub fn run(id: RunId) -> Self {
        Self::new("run", id)
    }

    /// An instance.
    #[must_use]
    pub fn instance(id: InstanceId) -> Self {
        Self::new("instance", id)
    }

    /// A tenant.
    #[must_use]
    pub fn tenant(id: TenantId) -> Self {
        Self::new("tenant", id)
    }

    /// A module.
    #[must_use]
    pub fn module(digest: ModuleDigest) -> Self {
        Self::new("module", digest)
    }

    /// A credential slot of an instance.
    #[must_use]
    pub fn slot(instance: InstanceId, slot: &str) -> Self {
        Self::new("credential", format_args!("{instance}/{slot}"))
    }
}

/// A value that a record holds on to without telling it.
#[derive(Clone)]
struct Untold(Vec<u8>);

impl fmt::Debug for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

/// A record to be. Only what is set appears in it.
#[derive(Debug, Clone)]
pub struct Entry {
    action: Action,
    object: Object,
    instance: Option<InstanceId>,
    run: Option<RunId>,
    slice: Option<SliceKey>,
    operation: Option<String>,
    decision: Option<Decision>,
    layer: Option<String>,
    reason: String,
    counts: BTreeMap<String, u64>,
    digests: BTreeMap<String, String>,
    facts: BTreeMap<String, String>,
    committed: BTreeMap<String, Untold>,
    calls: Vec<CallMade>,
    ends: Vec<CallEnded>,
}

impl Entry {
    /// An act on an object.
    #[must_use]
    pub fn new(action: Action, object: Object) -> Self {
        Self {
            action,
            object,
            instance: None,
            run: None,
            slice: None,
            operation: None,
            decision: None,
            layer: None,
            reason: String::new(),
            counts: BTreeMap::new(),
            digests: BTreeMap::new(),
            facts: BTreeMap::new(),
            committed: BTreeMap::new(),
            calls: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The instance it happened to.
    #[must_use]
    pub fn instance(mut self, id: InstanceId) -> Self {
        self.instance = Some(id);
        self
    }

    /// The run it happened in: `audit show RUN` finds it by this.
    #[must_use]
    pub fn run(mut self, id: RunId) -> Self {
        self.run = Some(id);
        self
    }

    /// The step and partition it happened in.
    #[must_use]
    pub fn slice(mut self, slice: &SliceKey) -> Self {
        self.slice = Some(slice.clone());
        self
    }

    /// The operation it is about.
    #[must_use]
    pub fn operation(mut self, operation: &str) -> Self {
        self.operation = Some(cut(operation, MAX_NAME_BYTES));
        self
    }

    /// It was allowed.
    #[must_use]
    pub fn allowed(mut self) -> Self {
        self.decision = Some(Decision::Allowed);
        self
    }

    /// It was refused, by this layer.
    #[must_use]
    pub fn denied(mut self, layer: &str) -> Self {
        self.decision = Some(Decision::Denied);
        self.layer = Some(cut(layer, MAX_WORD_BYTES));
        self
    }

    /// Why, in words: a person's, or ours. Nothing that quotes a payload or a secret.
    #[must_use]
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = cut(reason.trim(), MAX_REASON_BYTES);
        self
    }

    /// How many. The same word twice adds up.
    #[must_use]
    pub fn count(mut self, what: &str, n: u64) -> Self {
        let key = word(what);
        let fits = self.counts.len() < MAX_COUNTS || self.counts.contains_key(&key);
        let (key, n) = if fits { (key, n) } else { (LEFT_OUT.to_owned(), 1) };
        let count = self.counts.entry(key).or_default();
        *count = count.saturating_add(n);
        self
    }

    /// A digest of something that isn't secret, with its algorithm in front: `sha256:…`.
    #[must_use]
    pub fn digest(mut self, what: &str, digest: impl fmt::Display) -> Self {
        let (key, text) = (word(what), cut(&digest.to_string(), MAX_FACT_BYTES));
        if self.digests.len() + self.committed.len() < MAX_FACTS || self.digests.contains_key(&key) {
            self.digests.insert(key, text);
            return self;
        }
        self.count(LEFT_OUT, 1)
    }

    /// The digest of a value's JSON: `blake3:…` of the canonical form. For what isn't secret and what an auditor has to
    /// recognise in other records: a plan, a grant.
    #[must_use]
    pub fn digest_json(self, what: &str, value: &impl Serialize) -> Self {
        let text = canonical(value);
        self.digest(what, format_args!("blake3:{}", blake3::hash(text.as_bytes()).to_hex()))
    }

    /// Holds on to a value without telling it: the record carries [`commitment`], and the database its key.
    #[must_use]
    pub fn commit(mut self, what: &str, value: impl Into<Vec<u8>>) -> Self {
        let key = word(what);
        if self.digests.len() + self.committed.len() < MAX_FACTS || self.committed.contains_key(&key) {
            self.committed.insert(key, Untold(value.into()));
            return self;
        }
        self.count(LEFT_OUT, 1)
    }

    /// The same for a value's canonical JSON.
    #[must_use]
    pub fn commit_json(self, what: &str, value: &impl Serialize) -> Self {
        let text = canonical(value);
        self.commit(what, text)
    }

    /// A short text of ours or of a person: a name, a version, an outcome.
    #[must_use]
    pub fn fact(mut self, what: &str, text: impl fmt::Display) -> Self {
        let (key, text) = (word(what), cut(&text.to_string(), MAX_FACT_BYTES));
        if self.facts.len() < MAX_FACTS || self.facts.contains_key(&key) {
            self.facts.insert(key, text);
            return self;
        }
        self.count(LEFT_OUT, 1)
    }

    /// The same, if there is one.
    #[must_use]
    pub fn fact_if(self, what: &str, text: Option<impl fmt::Display>) -> Self {
        match text {
            Some(text) => self.fact(what, text),
            None => self,
        }
    }

    /// What it is called, beside its id.
    #[must_use]
    pub fn name(self, name: &Name) -> Self {
        self.fact("name", name)
    }

    /// Calls; at most one of [`super::made_in_batches`]' parts.
    #[must_use]
    pub fn calls(mut self, calls: Vec<CallMade>) -> Self {
        self.calls = calls;
        self
    }

    /// Ends of calls; at most one of [`super::ended_in_batches`]' parts.
    #[must_use]
    pub fn ends(mut self, ends: Vec<CallEnded>) -> Self {
        self.ends = ends;
        self
    }

    /// The run, if one was given.
    #[must_use]
    pub fn run_id(&self) -> Option<RunId> {
        self.run
    }

    /// True when it holds on to a value, so that its record needs a salt.
    #[must_use]
    pub fn has_commitments(&self) -> bool {
        !self.committed.is_empty()
    }

    /// The record: with who acted, when, its id, and the salt of its commitments.
    #[must_use]
    pub fn into_record(mut self, ctx: &OpContext, id: Uuid, at: Timestamp, salt: &[u8; SALT_BYTES]) -> Record {
        for (what, value) in std::mem::take(&mut self.committed) {
            self.digests.insert(what, commitment(salt, &value.0));
        }
        let (step, partition) = match self.slice {
            Some(slice) => (Some(slice.step.to_string()), Some(slice.partition.to_string())),
            None => (None, None),
        };
        Record {
            action: self.action,
            actor: cut(&ctx.actor.to_string(), MAX_NAME_BYTES),
            at,
            calls: self.calls,
            counts: self.counts,
            decision: self.decision,
            digests: self.digests,
            ends: self.ends,
            facts: self.facts,
            id,
            instance: self.instance,
            layer: self.layer,
            object: self.object,
            operation: self.operation,
            partition: partition.filter(|p| !p.is_empty()),
            reason: self.reason,
            request: ctx.request,
            run: self.run,
            step,
            v: VERSION,
        }
    }
}

/// The canonical JSON of a value of ours. What can't be written at all is written as null: the digest then matches
/// nothing.
fn canonical(value: &impl Serialize) -> String {
    let text = serde_json::to_vec(value).unwrap_or_default();
    crate::json::canonical(&text).unwrap_or_else(|_| String::from_utf8(text).unwrap_or_else(|_| "null".to_owned()))
}

/// At most so many bytes, without controls and marks that turn text around.
pub(super) fn cut(text: &str, max_bytes: usize) -> String {
    shown_bytes(text, max_bytes)
}

/// A map's key: 1 to 64 of A-Z, a-z, 0-9 and `- _ . : /`; other characters become `_`.
fn word(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:/".contains(c) { c } else { '_' };
    let word: String = text.chars().map(plain).take(MAX_WORD_BYTES).collect();
    if word.is_empty() { "_".to_owned() } else { word }
}
