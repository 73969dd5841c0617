//! May this module run? Reads the register and asks [`porthole_registry::trust`]. It is asked when a run is planned and
//! again when the code is handed to the sandbox, and both times the register is read anew: between the two, a version can
//! be yanked, a key ended, a byte changed.

use jiff::Timestamp;
use porthole_model::id::{ModuleDigest, Name};
use porthole_model::manifest::Manifest;
use porthole_registry::approval::Approval;
use porthole_registry::diff::{Verdict, diff};
use porthole_registry::key::{KeyId, PublicKey};
use porthole_registry::pack::{digest, manifest_of};
use porthole_registry::sign::ModuleSignature;
use porthole_registry::trust::{
    self, Book, Ended, Policy, Publisher, Recorded, RegisteredKey, Reviewer, Standing, TrustInput, Trusted, Untrusted,
    Version, Yank,
};
use porthole_store::modules::{self, Module};
use porthole_store::signing_keys::SigningKey;
use porthole_store::tx::AnyTx;
use porthole_store::{Store, StoreError, approvals, publishers, reviewers};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Why a key of the register doesn't count.
const NOT_PINNED: &str = "it is none of those that `[approval] keys` of porthole.toml names";

/// Asks the register, under the operator's policy.
#[derive(Debug, Default)]
pub struct Judge {
    policy: Policy,
    /// The only keys that count, if the operator names any: whoever can write to the register can't add to these.
    pinned: BTreeSet<KeyId>,
    /// What was compared already. Both sides are known by their digests, so an answer stays right.
    verdicts: Mutex<BTreeMap<(ModuleDigest, ModuleDigest), Verdict>>,
}

/// Reading failed, or the module may not run.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The module may not run.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
}

impl Judge {
    /// A judge under a policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, pinned: BTreeSet::new(), verdicts: Mutex::default() }
    }

    /// Only these keys of publishers and reviewers count, whatever else the register has. None named: all of the
    /// register's.
    #[must_use]
    pub fn pinned(self, keys: BTreeSet<KeyId>) -> Self {
        Self { pinned: keys, ..self }
    }

    /// The operator's policy.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// May this module run, of which these are the bytes?
    ///
    /// # Errors
    /// Why not and what to do, or the database failed.
    pub async fn check(&self, store: &Store, module: ModuleDigest, bytes: &[u8]) -> Result<Trusted, CheckError> {
        self.decide(&mut store.begin().await?, module, digest(bytes)).await
    }

    /// May this module run? `found` is what the bytes at hand are.
    ///
    /// # Errors
    /// As [`Judge::check`].
    pub async fn decide(
        &self,
        tx: &mut impl AnyTx,
        module: ModuleDigest,
        found: ModuleDigest,
    ) -> Result<Trusted, CheckError> {
        let name = match modules::get(tx, module).await {
            Ok(row) => row.name,
            Err(e) if e.is_not_found() => return Err(Untrusted::Unknown(module).into()),
            Err(e) => return Err(e.into()),
        };
        let book = self.book(tx, &name, Some(module)).await?;
        Ok(trust::decide(TrustInput { book: &book, policy: self.policy, module, found })?)
    }

    /// The register, with whatever has to be compared to judge one version of a module, or all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn book(
        &self,
        tx: &mut impl AnyTx,
        name: &Name,
        about: Option<ModuleDigest>,
    ) -> Result<Book, StoreError> {
        let mut book = read(tx, name, &self.pinned).await?;
        let about: Vec<_> = book.versions.iter().map(|v| v.digest).filter(|d| about.is_none_or(|a| a == *d)).collect();
        for module in &about {
            for (old, new) in book.comparisons(*module) {
                self.compare(tx, &mut book, old, new).await?;
            }
        }
        // What isn't approved is shown against what is.
        for module in about {
            let Some(version) = book.version(module) else { continue };
            if matches!(trust::approvals(&book, self.policy, version).standing, Standing::Approved) {
                continue;
            }
            if let Some(old) = trust::newest_approved(&book, self.policy, version).map(|v| v.digest) {
                self.compare(tx, &mut book, old, module).await?;
            }
        }
        Ok(book)
    }

    async fn compare(
        &self,
        tx: &mut impl AnyTx,
        book: &mut Book,
        old: ModuleDigest,
        new: ModuleDigest,
    ) -> Result<(), StoreError> {
        let pair = (old, new);
        let known = self.verdicts.lock().ok().and_then(|known| known.get(&pair).copied());
        let verdict = match known {
            Some(verdict) => Some(verdict),
            None => match (manifest(tx, old).await?, manifest(tx, new).await?) {
                // Comparing computes, for moments or longer; others of this thread go on.
                (Some(old), Some(new)) => tokio::task::spawn_blocking(move || diff(&old, &new).verdict).await.ok(),
                _ => None,
            },
        };
        // What can't be compared isn't in the book, and so it is wider.
        if let Some(verdict) = verdict {
            book.verdicts.insert(pair, verdict);
            if let Ok(mut known) = self.verdicts.lock() {
                known.insert(pair, verdict);
            }
        }
        Ok(())
    }
}

/// The manifest in a module's bytes. The row has one too, which nothing vouches for.
async fn manifest(tx: &mut impl AnyTx, module: ModuleDigest) -> Result<Option<Manifest>, StoreError> {
    let bytes = modules::component(tx, module).await?;
    Ok(manifest_of(&bytes).ok().filter(|_| digest(&bytes) == module))
}

/// Everything the register says about a module's versions. A row that doesn't say what this program writes counts for
/// nothing, which can only make less run.
async fn read(tx: &mut impl AnyTx, name: &Name, pinned: &BTreeSet<KeyId>) -> Result<Book, StoreError> {
    let mut book = Book::default();
    let keys = |rows: &[SigningKey]| keys(rows, pinned);
    for row in publishers::list(tx).await? {
        let publisher =
            Publisher { name: row.name.clone(), people: row.people.into_iter().collect(), keys: keys(&row.keys) };
        book.publishers.insert(row.name, publisher);
    }
    for row in reviewers::list(tx).await? {
        book.reviewers.insert(row.name.clone(), Reviewer { keys: keys(&row.keys), name: row.name });
    }
    book.versions = modules::versions(tx, name).await?.into_iter().map(version).collect();
    for row in modules::signatures(tx, name).await? {
        let read = ModuleSignature::from_file(row.document.as_bytes());
        let of = book.versions.iter_mut().find(|v| v.digest == row.module);
        match (read, of) {
            (Ok(signature), Some(version)) => version.signatures.push(signature),
            (Err(e), _) => tracing::warn!(module = %row.module, error = %e, "a signature can't be read"),
            _ => {}
        }
    }
    for row in approvals::of_name(tx, name).await? {
        let read = Approval::from_file(row.document.as_bytes());
        let of = book.versions.iter_mut().find(|v| v.digest == row.module);
        match (read, of) {
            (Ok(approval), Some(version)) => version.approvals.push(Recorded { approval, at: row.recorded_at }),
            (Err(e), _) => tracing::warn!(module = %row.module, error = %e, "an approval can't be read"),
            _ => {}
        }
    }
    for row in approvals::yanks_of_name(tx, name).await? {
        if let Some(version) = book.versions.iter_mut().find(|v| v.digest == row.module) {
            version.yank = Some(Yank { by: person(&row.by), at: row.at, reason: row.reason });
        }
    }
    Ok(book)
}

fn keys(rows: &[SigningKey], pinned: &BTreeSet<KeyId>) -> Vec<RegisteredKey> {
    let read = |row: &SigningKey| {
        // A row whose id isn't its key's was changed by someone.
        let public = PublicKey::from_pem(row.public_key.as_bytes()).ok().filter(|k| k.id().to_string() == row.id);
        let ended = row.ended.as_ref().map(|e| Ended { at: e.at, reason: e.reason.clone(), void: e.void });
        if public.is_none() {
            tracing::warn!(key = row.id, "a public key can't be read");
        }
        let public = public?;
        // As if it had never counted; so every message that names an ended key names this reason.
        let stray = !pinned.is_empty() && !pinned.contains(&public.id());
        let ended = if stray {
            Some(Ended { at: Timestamp::UNIX_EPOCH, reason: NOT_PINNED.to_owned(), void: true })
        } else {
            ended
        };
        Some(RegisteredKey { public, ended })
    };
    rows.iter().filter_map(read).collect()
}

fn version(row: Module) -> Version {
    Version {
        digest: row.digest,
        name: row.name,
        version: row.version,
        publisher: row.publisher,
        published_by: person(&row.added_by),
        published_at: row.added_at,
        operations: row.manifest.operations.into_iter().map(|o| o.id).collect(),
        signatures: Vec::new(),
        approvals: Vec::new(),
        yank: None,
    }
}

/// The name of an actor, without its kind.
fn person(actor: &str) -> String {
    actor.split_once(':').map_or(actor, |(_, name)| name).to_owned()
}

/// How a run's record tells of an approval that nobody has followed up.
pub(crate) fn exception(module: &str, trusted: &Trusted) -> Option<String> {
    let open = trusted.emergency.as_ref()?;
    Some(format!(
        "{module} was approved in an emergency by {} ({}), and nobody has followed up",
        open.reviewer, open.reason
    ))
}
