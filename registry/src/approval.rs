//! Approvals: what a reviewer says about a version, as a statement under the reviewer's own key. A login name is anyone's
//! to claim; a signature isn't.
//!
//! An approval says what was approved (a digest), what the reviewer was shown (the version it was compared with, the
//! digest of that diff, and its verdict), why, and when. Nothing of it is believed when it counts: [`crate::trust`]
//! compares the versions again.

use crate::diff::Verdict;
use crate::error::{RegistryError, Result};
use crate::key::{KeyId, PublicKey, Signature, SigningKey};
use jiff::Timestamp;
use porthole_model::id::{ModuleDigest, Name};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest reason, in bytes: a paragraph and a link. What is longer belongs where the link leads.
pub const MAX_REASON_BYTES: usize = 2048;
/// The longest approval, in bytes.
pub const MAX_APPROVAL_BYTES: usize = 16 * 1024;

const FORMAT: &str = "porthole module approval";
const VERSION: u32 = 1;

/// Why a version may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalKind {
    /// A reviewer read it.
    Normal,
    /// The operator's policy, because nothing got wider.
    Automatic,
    /// One reviewer in an emergency: it runs at once, and stays open until a second person follows up.
    Emergency,
    /// The second person after an emergency.
    FollowUp,
}

impl ApprovalKind {
    /// As it stands in records and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Automatic => "automatic",
            Self::Emergency => "emergency",
            Self::FollowUp => "follow-up",
        }
    }
}

impl fmt::Display for ApprovalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is approved, and what was known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Statement {
    /// The version that is approved.
    pub module: ModuleDigest,
    /// The version that it was compared with; none for the first one.
    pub basis: Option<ModuleDigest>,
    /// The digest of the diff that the reviewer was shown: `sha256:…`.
    pub diff: String,
    /// What the diff came to.
    pub verdict: Verdict,
    /// Why it may run.
    pub kind: ApprovalKind,
    /// Who approves; nobody when the policy does.
    pub reviewer: Option<Name>,
    /// With which key.
    pub key: Option<KeyId>,
    /// Why.
    pub reason: String,
    /// When, by the reviewer's clock.
    pub at: Timestamp,
}

/// A statement and its proof. What the policy approves has none: nobody signed it, and everyone can check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// What is said.
    pub statement: Statement,
    /// The proof.
    pub signature: Option<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    statement: Statement,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    signature: Option<Signature>,
}

/// What a reviewer decides; the rest of the statement follows from the key and the clock.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The version.
    pub module: ModuleDigest,
    /// The version that it was compared with.
    pub basis: Option<ModuleDigest>,
    /// The digest of the diff.
    pub diff: String,
    /// What the diff came to.
    pub verdict: Verdict,
    /// Why it may run.
    pub kind: ApprovalKind,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Approval {
    /// A reviewer's approval.
    ///
    /// # Errors
    /// When the reason is empty, too long, or would show something else than it says; or the kind isn't a person's.
    pub fn by(key: &SigningKey, reviewer: &Name, decision: Decision) -> Result<Self> {
        if decision.kind == ApprovalKind::Automatic {
            return Err(refuse("a person's approval isn't automatic"));
        }
        let statement = decision.statement(Some(reviewer.clone()), Some(key.public().id()));
        statement.check()?;
        let signature = key.sign(&statement.signed_bytes()?);
        Ok(Self { statement, signature: Some(signature) })
    }

    /// What the operator's policy approves: nobody signs it.
    ///
    /// # Errors
    /// When the reason is too long, or the version got wider.
    pub fn automatic(decision: Decision) -> Result<Self> {
        let statement = Decision { kind: ApprovalKind::Automatic, ..decision }.statement(None, None);
        statement.check()?;
        Ok(Self { statement, signature: None })
    }

    /// True when the owner of this key signed this statement.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey) -> bool {
        let (Some(signature), Ok(bytes)) = (&self.signature, self.statement.signed_bytes()) else { return false };
        self.statement.key == Some(key.id()) && key.verifies(&bytes, signature)
    }

    /// As it is stored and passed on.
    #[must_use]
    pub fn to_file(&self) -> String {
        let file = File {
            format: FORMAT.to_owned(),
            version: VERSION,
            statement: self.statement.clone(),
            signature: self.signature,
        };
        crate::text::json_file(&file)
    }

    /// Reads what [`Approval::to_file`] wrote. It is read, not verified: see [`Approval::is_by`].
    ///
    /// # Errors
    /// When it is no approval, of another version, spelled otherwise, or says what no approval says.
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_APPROVAL_BYTES {
            return Err(refuse(format!("it has {} bytes, at most {MAX_APPROVAL_BYTES} are read", bytes.len())));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(refuse(format!("it is not a `{FORMAT}` of version {VERSION}")));
        }
        let read = Self { statement: file.statement, signature: file.signature };
        read.statement.check()?;
        if read.signature.is_some() != read.statement.reviewer.is_some() {
            return Err(refuse("a reviewer and a signature come together"));
        }
        if read.to_file().as_bytes() == bytes { Ok(read) } else { Err(refuse("it isn't in canonical form")) }
    }
}

impl Decision {
    fn statement(self, reviewer: Option<Name>, key: Option<KeyId>) -> Statement {
        let Self { module, basis, diff, verdict, kind, reason, at } = self;
        Statement { module, basis, diff, verdict, kind, reviewer, key, reason, at }
    }
}

impl Statement {
    /// What holds for every approval, whoever made it.
    fn check(&self) -> Result<()> {
        let by_policy = self.kind == ApprovalKind::Automatic;
        if self.reviewer.is_some() == by_policy || self.key.is_some() == by_policy {
            return Err(refuse("a person's approval has a reviewer with a key, an automatic one has neither"));
        }
        if self.basis.is_none() && self.verdict != Verdict::Wider {
            return Err(refuse("against nothing, every version is wider"));
        }
        if by_policy && self.verdict == Verdict::Wider {
            return Err(refuse("a version that got wider isn't approved automatically"));
        }
        if self.reason.trim().is_empty() {
            return Err(refuse("the reason is empty; say why, for whoever asks in a year"));
        }
        if self.reason.len() > MAX_REASON_BYTES {
            return Err(refuse(format!("the reason has {} bytes, at most {MAX_REASON_BYTES}", self.reason.len())));
        }
        if self.reason.chars().any(|c| crate::text::deceives(c) && c != '\n') {
            return Err(refuse("the reason holds characters that nobody would see"));
        }
        if self.diff.parse::<ModuleDigest>().is_err() {
            return Err(refuse("the digest of the diff is none"));
        }
        Ok(())
    }

    /// The bytes that are signed: words of their own, then the statement with its fields in their one order.
    fn signed_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = format!("{FORMAT} v{VERSION}\n").into_bytes();
        serde_json::to_writer(&mut bytes, self).map_err(|e| refuse(e.to_string()))?;
        Ok(bytes)
    }
}

fn refuse(rule: impl Into<String>) -> RegistryError {
    RegistryError::Document { what: "approval", rule: rule.into() }
}

#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;
