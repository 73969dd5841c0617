//! How a version stands with its reviewers.

use super::book::{Book, Recorded, Version};
use super::{Policy, REVIEWERS_OF_WIDER};
use crate::approval::ApprovalKind;
use crate::diff::Verdict;
use jiff::Timestamp;
use porthole_model::id::{ModuleDigest, Name};
use serde::Serialize;
use std::collections::BTreeSet;

/// An approval by one person in an emergency that nobody has followed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Emergency {
    /// Who approved.
    pub reviewer: Name,
    /// Why.
    pub reason: String,
    /// When it was recorded.
    pub at: Timestamp,
}

/// How a version stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Standing {
    /// It may run.
    Approved,
    /// It may run, and a second person has to follow up.
    Emergency(Emergency),
    /// It may not run.
    Open {
        /// How many reviewers it takes.
        need: usize,
        /// The policy approved it once and doesn't any more.
        policy_off: bool,
    },
}

/// Who approved a version, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approvals {
    /// The reviewers whose approval counts.
    pub reviewers: Vec<Name>,
    /// What that comes to.
    pub standing: Standing,
}

/// How a version stands with its reviewers.
#[must_use]
pub fn approvals(book: &Book, policy: Policy, version: &Version) -> Approvals {
    let people = people(book, version);
    let standing = if is_approved(book, policy, version) {
        Standing::Approved
    } else if let Some(emergency) = emergency(book, version) {
        Standing::Emergency(emergency)
    } else {
        let bound = bases(book, version).any(|b| is_approved(book, policy, b));
        let policy_off = !policy.automatic && version.approvals.iter().any(|r| automatic(r).is_some());
        Standing::Open { need: if bound { 1 } else { REVIEWERS_OF_WIDER }, policy_off }
    };
    Approvals { reviewers: people.into_iter().cloned().collect(), standing }
}

/// Two reviewers approved it; or one (or the policy) approved it as no wider than a version of which the same holds. That
/// is a walk from version to version, and each is visited once: approvals that point at each other lead nowhere.
fn is_approved(book: &Book, policy: Policy, version: &Version) -> bool {
    let (mut todo, mut seen) = (vec![version], BTreeSet::new());
    while let Some(version) = todo.pop() {
        if !seen.insert(version.digest) {
            continue;
        }
        if people(book, version).len() >= REVIEWERS_OF_WIDER {
            return true;
        }
        // Whoever approved in an emergency hasn't compared, and doesn't follow up on themselves.
        if emergency(book, version).is_some() {
            continue;
        }
        let one = version.approvals.iter().filter(|r| match r.approval.statement.kind {
            ApprovalKind::Normal | ApprovalKind::FollowUp => reviewer_of(book, version, r).is_some(),
            ApprovalKind::Automatic => policy.automatic,
            ApprovalKind::Emergency => false,
        });
        let claimed: BTreeSet<ModuleDigest> = one.filter_map(|r| r.approval.statement.basis).collect();
        todo.extend(bases(book, version).filter(|b| claimed.contains(&b.digest)));
    }
    false
}

/// Versions of the same publisher that this one is no wider than. That one of them was yanked since says nothing about
/// what its reviewers read.
fn bases<'a>(book: &'a Book, version: &'a Version) -> impl Iterator<Item = &'a Version> {
    let of_same = book.versions.iter().filter(|b| b.publisher == version.publisher && b.digest != version.digest);
    of_same.filter(|b| book.verdict(b.digest, version.digest) != Verdict::Wider)
}

/// The people whose approval of a version counts.
pub(super) fn people<'a>(book: &Book, version: &'a Version) -> BTreeSet<&'a Name> {
    version.approvals.iter().filter_map(|r| reviewer_of(book, version, r)).collect()
}

/// The reviewer of an approval that counts: known, with a key of their own that was good when it was recorded, and not
/// the publisher under another name.
#[must_use]
pub fn reviewer_of<'a>(book: &Book, version: &Version, recorded: &'a Recorded) -> Option<&'a Name> {
    let statement = &recorded.approval.statement;
    let name = statement.reviewer.as_ref().filter(|_| statement.module == version.digest)?;
    let key = book.reviewers.get(name)?.keys.iter().find(|k| Some(k.public.id()) == statement.key)?;
    let good = key.ended.as_ref().is_none_or(|ended| !ended.void && recorded.at < ended.at);
    let by_publisher = is_publisher(book, version, name)
        || book.publishers.values().flat_map(|p| &p.keys).any(|k| k.public == key.public);
    (good && !by_publisher && recorded.approval.is_by(&key.public)).then_some(name)
}

/// True for a person of the publisher, and for whoever published the version: their approval doesn't count.
#[must_use]
pub fn is_publisher(book: &Book, version: &Version, name: &Name) -> bool {
    let name = name.as_str();
    let of = book.publishers.values().find(|p| p.name.as_str() == version.publisher);
    name == version.published_by || name == version.publisher || of.is_some_and(|p| p.people.contains(name))
}

fn emergency(book: &Book, version: &Version) -> Option<Emergency> {
    let open = version.approvals.iter().filter(|r| r.approval.statement.kind == ApprovalKind::Emergency);
    open.filter_map(|r| {
        let reviewer = reviewer_of(book, version, r)?.clone();
        Some(Emergency { reviewer, reason: r.approval.statement.reason.clone(), at: r.at })
    })
    .next()
}

fn automatic(recorded: &Recorded) -> Option<ModuleDigest> {
    let statement = &recorded.approval.statement;
    statement.basis.filter(|_| statement.kind == ApprovalKind::Automatic)
}
