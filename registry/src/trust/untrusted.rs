//! Why a module doesn't run, said so that someone can act on it.

use super::Policy;
use super::book::{Book, Version, Yank};
use super::standing::{self, Standing};
use crate::key::KeyId;
use jiff::Timestamp;
use porthole_model::id::{ModuleDigest, Name, OperationId};
use std::fmt;

/// How many names a message lists.
const LISTED_NAMES: usize = 8;

/// Why a module doesn't run. Each message says what is wrong and then what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The bytes are others than those that were published.
    #[error(
        "the stored bytes of {module} are {found}: they were changed after they were published; find out who can write \
         to the database, and publish the module again as a new version"
    )]
    Changed {
        /// What was meant.
        module: ModuleDigest,
        /// What is there.
        found: ModuleDigest,
    },
    /// There is no such module.
    #[error("{0} was never published here; `porthole module publish FILE` does that")]
    Unknown(ModuleDigest),
    /// Nobody signed it.
    #[error(
        "{version} is not signed; its publisher signs it (`porthole module sign FILE --key KEY --publisher NAME`), then \
         `porthole module publish FILE` records the signature"
    )]
    Unsigned {
        /// `NAME@VERSION`.
        version: String,
    },
    /// The register doesn't know the publisher.
    #[error(
        "{version} is signed by `{publisher}`, who is no publisher here; if you trust them, `porthole publisher add \
         {publisher} --key THEIR-KEY.pub`"
    )]
    UnknownPublisher {
        /// `NAME@VERSION`.
        version: String,
        /// Who says to have signed.
        publisher: String,
    },
    /// The key isn't the publisher's.
    #[error(
        "{version} says it is signed by {publisher}, but the key {} {}; have {publisher} sign it with a key of their own",
        key.short(), held(holder.as_deref())
    )]
    ForeignKey {
        /// `NAME@VERSION`.
        version: String,
        /// Who says to have signed.
        publisher: Name,
        /// The key.
        key: KeyId,
        /// Whose it is.
        holder: Option<String>,
    },
    /// The module belongs to someone else.
    #[error(
        "{version} is signed by {publisher}, but it is {of}'s; publish it under a name of {publisher}'s own, or have \
         {of} sign it"
    )]
    OtherPublisher {
        /// `NAME@VERSION`.
        version: String,
        /// Who signed.
        publisher: Name,
        /// Whose it is.
        of: String,
    },
    /// The signature isn't one of these bytes by this key.
    #[error(
        "the signature of {version} is not {publisher}'s (key {}) for these bytes: the file or the signature was \
         changed; get both from {publisher} again",
        key.short()
    )]
    Forged {
        /// `NAME@VERSION`.
        version: String,
        /// Who says to have signed.
        publisher: Name,
        /// The key.
        key: KeyId,
    },
    /// The key counts no longer.
    #[error(
        "{version} is signed with a key of {publisher} that was ended (key {}: {reason}); have {publisher} sign it with \
         a current key, then `porthole module publish FILE` records that",
        key.short()
    )]
    EndedKey {
        /// `NAME@VERSION`.
        version: String,
        /// Who signed.
        publisher: Name,
        /// The key.
        key: KeyId,
        /// Why it was ended.
        reason: String,
    },
    /// Not enough people have approved it.
    #[error(
        "{version} is not approved: {} of {need} approvals{}{}{}; `porthole module approve {version} --key KEY --reviewer NAME \
         --reason TEXT`",
        have.len(), by(have), policy(*policy_off), nearest.as_ref().map(ToString::to_string).unwrap_or_default()
    )]
    NotApproved {
        /// `NAME@VERSION`.
        version: String,
        /// Who has.
        have: Vec<Name>,
        /// How many it takes.
        need: usize,
        /// The policy approved it once and doesn't any more.
        policy_off: bool,
        /// The approved version that it should be compared with.
        nearest: Option<Box<Nearest>>,
    },
    /// It was taken back.
    #[error("{version} was yanked by {by} on {at}: {reason}{}", instead(instead_of.as_deref()))]
    Yanked {
        /// `NAME@VERSION`.
        version: String,
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
        /// The newest version that may run.
        instead_of: Option<String>,
    },
}

impl Untrusted {
    /// The reason in one word, for tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "changed",
            Self::Unknown(_) => "unknown",
            Self::Unsigned { .. } => "unsigned",
            Self::UnknownPublisher { .. } => "unknown publisher",
            Self::ForeignKey { .. } => "foreign key",
            Self::OtherPublisher { .. } => "other publisher",
            Self::Forged { .. } => "forged",
            Self::EndedKey { .. } => "ended key",
            Self::NotApproved { .. } => "not approved",
            Self::Yanked { .. } => "yanked",
        }
    }
}

/// The approved version that one that isn't approved is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The approved one: `NAME@VERSION`.
    pub version: String,
    /// The one that isn't.
    pub new: String,
    /// Operations that it asks for on top.
    pub more: Vec<OperationId>,
    /// It may do more than the approved one.
    pub wider: bool,
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, new, more, wider } = self;
        let shown = format!("`porthole module diff {version} {new}` shows it");
        match (more.as_slice(), wider) {
            ([], false) => write!(f, "; it may do nothing that {version} may not"),
            ([], true) => write!(f, "; it may do more than {version}, which is approved: {shown}"),
            (more, _) => {
                let noun = if more.len() == 1 { "operation" } else { "operations" };
                write!(f, "; it asks for {} {noun} more than {version}, which is approved: ", more.len())?;
                write!(f, "{} ({shown})", listed(more))
            }
        }
    }
}

fn listed<T: fmt::Display>(names: &[T]) -> String {
    let mut text: Vec<String> = names.iter().take(LISTED_NAMES).map(ToString::to_string).collect();
    if names.len() > LISTED_NAMES {
        text.push("…".to_owned());
    }
    text.join(", ")
}

fn held(holder: Option<&str>) -> String {
    match holder {
        Some(holder) => format!("is {holder}'s"),
        None => "is nobody's here".to_owned(),
    }
}

fn by(have: &[Name]) -> String {
    if have.is_empty() { String::new() } else { format!(" (by {})", listed(have)) }
}

fn policy(off: bool) -> &'static str {
    if off { "; the policy approved it once, and `[approval] automatic` is off now" } else { "" }
}

fn instead(version: Option<&str>) -> String {
    match version {
        Some(version) => format!("; use {version}: `porthole instance set INSTANCE --module {version}`"),
        None => "; no other version of it may run: publish and approve one".to_owned(),
    }
}

/// The newest version of the same publisher, beside this one, that may run without anyone having to follow up.
#[must_use]
pub fn newest_approved<'a>(book: &'a Book, policy: Policy, beside: &Version) -> Option<&'a Version> {
    let others = book.versions.iter().filter(|v| {
        v.digest != beside.digest && v.publisher == beside.publisher && v.name == beside.name && v.yank.is_none()
    });
    others
        .into_iter()
        .find(|v| super::signer(book, v).is_ok() && standing::approvals(book, policy, v).standing == Standing::Approved)
}

pub(super) fn yanked(book: &Book, policy: Policy, version: &Version, yank: &Yank) -> Untrusted {
    Untrusted::Yanked {
        version: version.label(),
        by: yank.by.clone(),
        at: yank.at,
        reason: yank.reason.clone(),
        instead_of: newest_approved(book, policy, version).map(Version::label),
    }
}

pub(super) fn not_approved(
    book: &Book,
    policy: Policy,
    version: &Version,
    have: Vec<Name>,
    need: usize,
    policy_off: bool,
) -> Untrusted {
    let nearest = newest_approved(book, policy, version).map(|approved| {
        Box::new(Nearest {
            version: approved.label(),
            new: version.label(),
            more: version.operations.difference(&approved.operations).cloned().collect(),
            wider: book.verdict(approved.digest, version.digest) == crate::diff::Verdict::Wider,
        })
    });
    Untrusted::NotApproved { version: version.label(), have, need, policy_off, nearest }
}
