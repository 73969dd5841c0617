//! What the register holds, as far as it concerns the versions of one module.

use crate::approval::Approval;
use crate::diff::Verdict;
use crate::key::{KeyId, PublicKey};
use crate::sign::ModuleSignature;
use jiff::Timestamp;
use porthole_model::id::{ModuleDigest, Name, OperationId};
use std::collections::{BTreeMap, BTreeSet};

/// The end of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When, by the register's clock.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// What the key approved before that doesn't count either: someone else had it.
    pub void: bool,
}

/// A key as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredKey {
    /// The key.
    pub public: PublicKey,
    /// It counts no longer.
    pub ended: Option<Ended>,
}

/// Who may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Its name.
    pub name: Name,
    /// The people behind it, by their names as reviewers: they can't review what it publishes.
    pub people: BTreeSet<String>,
    /// Its keys.
    pub keys: Vec<RegisteredKey>,
}

/// Who may approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewer {
    /// The name.
    pub name: Name,
    /// The keys.
    pub keys: Vec<RegisteredKey>,
}

/// An approval, and when the register got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What it says.
    pub approval: Approval,
    /// When it was recorded, by the register's clock. The time in the approval is whatever its author wrote.
    pub at: Timestamp,
}

/// A version that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Yank {
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// One published version of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its identity.
    pub digest: ModuleDigest,
    /// The module's name.
    pub name: Name,
    /// The version.
    pub version: String,
    /// Whose it is.
    pub publisher: String,
    /// Who published it, without the kind of actor: `ada`.
    pub published_by: String,
    /// When.
    pub published_at: Timestamp,
    /// What it asks for, for messages; what it may do is decided by [`Book::verdicts`].
    pub operations: BTreeSet<OperationId>,
    /// Its signatures.
    pub signatures: Vec<ModuleSignature>,
    /// Its approvals, oldest first.
    pub approvals: Vec<Recorded>,
    /// It was taken back.
    pub yank: Option<Yank>,
}

impl Version {
    /// As people call it: `NAME@VERSION`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// The register, as far as it concerns the versions of one module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// All publishers.
    pub publishers: BTreeMap<Name, Publisher>,
    /// All reviewers.
    pub reviewers: BTreeMap<Name, Reviewer>,
    /// The versions of the module, newest first.
    pub versions: Vec<Version>,
    /// How much the second may do against the first, from their bytes. What isn't here is wider.
    pub verdicts: BTreeMap<(ModuleDigest, ModuleDigest), Verdict>,
}

impl Book {
    /// A version by its digest.
    #[must_use]
    pub fn version(&self, digest: ModuleDigest) -> Option<&Version> {
        self.versions.iter().find(|v| v.digest == digest)
    }

    /// Who has a key: a publisher or a reviewer.
    #[must_use]
    pub fn holder(&self, key: KeyId) -> Option<&str> {
        let has = |keys: &[RegisteredKey]| keys.iter().any(|k| k.public.id() == key);
        let publisher = self.publishers.values().find(|p| has(&p.keys)).map(|p| p.name.as_str());
        publisher.or_else(|| self.reviewers.values().find(|r| has(&r.keys)).map(|r| r.name.as_str()))
    }

    /// How much `new` may do against `old`.
    #[must_use]
    pub fn verdict(&self, old: ModuleDigest, new: ModuleDigest) -> Verdict {
        if old == new { Verdict::Equal } else { self.verdicts.get(&(old, new)).copied().unwrap_or(Verdict::Wider) }
    }

    /// Pairs of versions that have to be compared before anyone is asked about this module: whatever an approval of it,
    /// or of what it builds on, claims to be no wider than.
    #[must_use]
    pub fn comparisons(&self, module: ModuleDigest) -> BTreeSet<(ModuleDigest, ModuleDigest)> {
        let (mut pairs, mut todo, mut seen) = (BTreeSet::new(), vec![module], BTreeSet::new());
        while let Some(next) = todo.pop() {
            let Some(version) = self.version(next).filter(|v| seen.insert(v.digest)) else { continue };
            if super::standing::people(self, version).len() >= super::REVIEWERS_OF_WIDER {
                continue;
            }
            for basis in version.approvals.iter().filter_map(|r| r.approval.statement.basis) {
                if basis != next && self.version(basis).is_some_and(|b| b.publisher == version.publisher) {
                    pairs.insert((basis, next));
                    todo.push(basis);
                }
            }
        }
        pairs
    }
}
