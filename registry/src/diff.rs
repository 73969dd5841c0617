//! What a new version of a module may do that the old one could not: operation by operation, argument by argument, and
//! for each thing that got wider a concrete request that only the new version can make.
//!
//! The requests count, not the spelling. A pattern that was written otherwise and matches the same is the same; a header
//! that was added makes every request another one. Whatever can't be decided is [`Direction::Unknown`], which counts as
//! wider. "Not wider" is therefore a proof, and "wider" may be caution.
//!
//! A grant names operations, arguments and steps, so these names have a meaning of their own: an operation may make no
//! request that the *same* operation of the old version could not, and an argument that a tenant may have limited can't
//! vanish without being called wider.
//!
//! The diff is of manifests. It says what the host lets the module do, not what its code does with it.

mod arguments;
mod config;
mod credentials;
mod inclusion;
mod language;
mod mappings;
mod operation;
mod operations;
mod recognise;
mod screen;
mod scrub;
mod steps;
mod template;
mod worlds;

use porthole_model::id::{ModuleDigest, Name};
use porthole_model::manifest::{Manifest, ModuleInfo, Rate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use worlds::Worlds;

pub use screen::render;
pub(crate) use steps::relationship_text;

/// Where a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The new version may do what the old one could not.
    Wider,
    /// Nobody can tell. Counts as wider.
    Unknown,
    /// The old version could do what the new one may not.
    Narrower,
    /// Neither may do what the other could not.
    Different,
}

impl Direction {
    /// Does it take what a wider version takes?
    #[must_use]
    pub fn counts_as_wider(self) -> bool {
        matches!(self, Self::Wider | Self::Unknown)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Change {
    /// Where it goes.
    pub direction: Direction,
    /// The part of the manifest, as findings name it: ``operation `list-users`: query `filter` ``.
    pub place: String,
    /// What happened there, as a short fact.
    pub what: String,
    /// What only the new version can do: a request as it would be sent or, where the change is about no request, what
    /// would happen. Always there for what is [`Direction::Wider`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// More words: what follows from it, or why it can't be decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Change {
    fn new(direction: Direction, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { direction, place: place.into(), what: what.into(), example: None, detail: None }
    }

    fn wider(place: impl Into<String>, what: impl Into<String>, example: impl Into<String>) -> Self {
        Self { example: Some(example.into()), ..Self::new(Direction::Wider, place, what) }
    }

    fn unknown(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Direction::Unknown, place, what)
    }

    fn narrower(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Direction::Narrower, place, what)
    }

    fn different(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Direction::Different, place, what)
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a detail, unless it has one.
    fn or_detail(self, detail: impl Into<String>) -> Self {
        if self.detail.is_some() { self } else { self.detail(detail) }
    }
}

/// All changes in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing but the version changed.
    Equal,
    /// Something got narrower, nothing wider.
    Narrower,
    /// Something changed, and nothing got narrower or wider.
    Different,
    /// Something got wider, or can't be decided.
    Wider,
}

impl Verdict {
    /// As it stands in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Narrower => "narrower",
            Self::Different => "different",
            Self::Wider => "wider",
        }
    }
}

/// Which version is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Side {
    /// The module's name.
    pub name: Name,
    /// Its version.
    pub version: String,
}

impl Side {
    fn of(manifest: &Manifest) -> Self {
        let ModuleInfo { name, version, provider: _, description: _ } = &manifest.module;
        Self { name: name.clone(), version: version.clone() }
    }
}

/// Every change between two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Diff {
    /// The version that was approved. None when this is the first: then everything is wider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Side>,
    /// The version that asks.
    pub new: Side,
    /// All changes in one word.
    pub verdict: Verdict,
    /// The changes: what got wider first, then what is unknown, narrower, different; each in the order of the manifest.
    pub changes: Vec<Change>,
}

impl Diff {
    fn of(old: Option<&Manifest>, new: &Manifest, mut changes: Vec<Change>) -> Self {
        changes.sort_by_key(|c| c.direction);
        Self { old: old.map(Side::of), new: Side::of(new), verdict: verdict(&changes), changes }
    }

    /// The first version of a module against nothing: all it asks for is wider, each operation shown by a request.
    #[must_use]
    pub fn initial(new: &Manifest) -> Self {
        let nothing = Manifest {
            config: BTreeMap::new(),
            credentials: Vec::new(),
            operations: Vec::new(),
            steps: Vec::new(),
            mappings: Vec::new(),
            scrub: Vec::new(),
            ..new.clone()
        };
        let Self { mut changes, .. } = diff(&nothing, new);
        // Even a module that asks for nothing is one that nobody has agreed to.
        let example = format!("{} {} runs at all", new.module.name, new.module.version);
        changes.insert(0, Change::wider("module", "is new: nobody has agreed to a version of it", example));
        Self::of(None, new, changes)
    }

    /// Does this version take what a wider one takes: two people?
    #[must_use]
    pub fn is_wider(&self) -> bool {
        self.verdict == Verdict::Wider
    }

    /// The diff as it is hashed and recorded: JSON without spaces, fields in the order of this file.
    ///
    /// # Errors
    /// Never: there is no map in it, and no number.
    pub fn to_canonical_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// What an approval records of the diff that was shown: `sha256:` and the SHA-256 of the canonical form, in
    /// hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        // Texts always serialise; the digest of nothing would at least match no diff.
        let ModuleDigest(digest) = crate::pack::digest(&self.to_canonical_json().unwrap_or_default());
        format!("sha256:{}", hex::encode(digest))
    }
}

fn verdict(changes: &[Change]) -> Verdict {
    let any = |direction: Direction| changes.iter().any(|c| c.direction == direction);
    if changes.iter().any(|c| c.direction.counts_as_wider()) {
        Verdict::Wider
    } else if any(Direction::Narrower) {
        Verdict::Narrower
    } else if any(Direction::Different) {
        Verdict::Different
    } else {
        Verdict::Equal
    }
}

/// What every comparison sees.
struct Cx<'a> {
    old: &'a Manifest,
    new: &'a Manifest,
    /// None when one of them can't be configured at all; then there are no examples, and what needs one is unknown.
    worlds: Option<Worlds<'a>>,
}

/// Compares two manifests, both of which passed [`mod@crate::check`].
#[must_use]
pub fn diff(old: &Manifest, new: &Manifest) -> Diff {
    let mut changes = Vec::new();
    if old == new {
        return Diff::of(Some(old), new, changes);
    }
    let cx = Cx { old, new, worlds: Worlds::new(old, new) };
    // Taken apart without `..`, so that a new field can't be forgotten.
    let Manifest { schema, module, config, credentials, operations, steps, mappings, scrub, rate } = new;
    if *schema != old.schema {
        changes.push(Change::unknown("manifest", format!("has schema {schema} instead of {}", old.schema)));
    }
    info(&old.module, module, &mut changes);
    section(&mut changes, "config", *config == old.config, |changes| config::compare(&cx, changes));
    section(&mut changes, "credentials", *credentials == old.credentials, |changes| {
        credentials::compare(&cx, changes);
    });
    // Scrub rules are compared with the operations whose replies they blank.
    let same = *operations == old.operations && *scrub == old.scrub;
    let mut renamed = operations::Renamed::new();
    section(&mut changes, "operations", same, |changes| renamed = operations::compare(&cx, changes));
    section(&mut changes, "steps", *steps == old.steps, |changes| steps::compare(&cx, &renamed, changes));
    section(&mut changes, "mappings", *mappings == old.mappings, |changes| mappings::compare(&cx, changes));
    section(&mut changes, "rate", *rate == old.rate, |changes| rates(old.rate, *rate, changes));
    Diff::of(Some(old), new, changes)
}

/// A part of the manifest. One that changed and has no change to show for it would be a hole in the comparison.
fn section(changes: &mut Vec<Change>, place: &str, same: bool, compare: impl FnOnce(&mut Vec<Change>)) {
    let before = changes.len();
    if !same {
        compare(changes);
        if changes.len() == before {
            changes.push(Change::different(place, "written otherwise").detail("every part of it means the same"));
        }
    }
}

fn info(old: &ModuleInfo, new: &ModuleInfo, changes: &mut Vec<Change>) {
    // The version is what a new version changes.
    let ModuleInfo { name, version: _, provider, description } = new;
    if *name != old.name {
        changes.push(Change::different("module: name", format!("`{}` became `{name}`", old.name)));
    }
    if *provider != old.provider {
        changes.push(Change::different("module: provider", format!("{:?} became {provider:?}", old.provider)));
    }
    if *description != old.description {
        changes.push(Change::different("module: description", format!("{:?} became {description:?}", old.description)));
    }
}

fn rates(old: Rate, new: Rate, changes: &mut Vec<Change>) {
    let Rate { concurrent, per_second } = new;
    if concurrent != old.concurrent {
        let what = format!("{concurrent} requests at once instead of {}", old.concurrent);
        let example = format!("{concurrent} requests under way at once");
        changes.push(match concurrent > old.concurrent {
            true => Change::wider("rate: concurrent", what, example),
            false => Change::narrower("rate: concurrent", what),
        });
    }
    if per_second != old.per_second {
        let text = |n: Option<u32>| n.map_or_else(|| "any number of requests".to_owned(), |n| format!("{n} requests"));
        let what = format!("{} a second instead of {}", text(per_second), text(old.per_second));
        let limit = |n: Option<u32>| n.unwrap_or(u32::MAX);
        let example = format!("{} within a second", text(per_second));
        changes.push(match limit(per_second) > limit(old.per_second) {
            true => Change::wider("rate: per-second", what, example),
            false => Change::narrower("rate: per-second", what),
        });
    }
}

#[cfg(test)]
#[path = "diff/tests.rs"]
mod tests;
