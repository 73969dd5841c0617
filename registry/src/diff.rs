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

use porthole_model::id::{ModuleDigest, Name};
use porthole_model::manifest::{Manifest, ModuleInfo};
use serde::{Deserialize, Serialize};

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

    /// The first version of a module against nothing: all it asks for is wider.
    #[must_use]
    pub fn initial(new: &Manifest) -> Self {
        let change = Change {
            direction: Direction::Wider,
            place: "module".to_owned(),
            what: "there was no version before".to_owned(),
            example: None,
            detail: None,
        };
        Self::of(None, new, vec![change])
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

/// Compares two manifests, both of which passed [`crate::check`].
#[must_use]
pub fn diff(old: &Manifest, new: &Manifest) -> Diff {
    let mut changes = Vec::new();
    let mut section = |place: &str, same: bool| {
        if !same {
            changes.push(Change {
                direction: Direction::Unknown,
                place: place.to_owned(),
                what: "changed".to_owned(),
                example: None,
                detail: None,
            });
        }
    };
    // Taken apart without `..`, so that a new field can't be forgotten.
    let Manifest { schema, module, config, credentials, operations, steps, scrub, rate } = new;
    let ModuleInfo { name, version: _, provider, description } = module;
    section("manifest: schema", *schema == old.schema);
    section("module: name", *name == old.module.name);
    section("module: provider", *provider == old.module.provider);
    section("module: description", *description == old.module.description);
    section("config", *config == old.config);
    section("credentials", *credentials == old.credentials);
    section("operations", *operations == old.operations);
    section("steps", *steps == old.steps);
    section("scrub", *scrub == old.scrub);
    section("rate", *rate == old.rate);
    Diff::of(Some(old), new, changes)
}
