//! Trust: may this module run? Decided from the register alone: who may publish and review, what was signed, approved and
//! yanked. Pure; the same answer wherever it is asked, and it is asked twice for every run.
//!
//! A module runs when its bytes are the published ones, it isn't yanked, a key of its publisher signed it, and it is
//! approved:
//!
//! - two reviewers approved it, neither of them its publisher; or
//! - one did (or the operator's policy), and it may do nothing that an approved version may not; or
//! - one did in an emergency, which is told wherever the module is shown until a second one has followed up.
//!
//! No statement is believed about itself. An approval counts when its signature verifies under a key that the register
//! has for that reviewer; "nothing got wider" is decided from the two versions and not read from the approval, so a
//! reviewer with a program of their own gains nothing; and what the policy approved counts only where that policy holds.

mod book;
mod standing;
mod untrusted;

pub use book::{Book, Ended, Publisher, Recorded, RegisteredKey, Reviewer, Version, Yank};
pub use standing::{Approvals, Emergency, Standing, approvals, is_publisher, reviewer_of};
pub use untrusted::{Nearest, Untrusted, newest_approved};

use crate::key::KeyId;
use porthole_model::id::{ModuleDigest, Name};
use serde::Serialize;

/// Reviewers who have to approve what may do more than an approved version.
pub const REVIEWERS_OF_WIDER: usize = 2;

/// What the operator decided about approvals: `[approval]` in porthole.toml.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// A version that may do nothing that an approved one may not needs no person.
    pub automatic: bool,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct TrustInput<'a> {
    /// The register.
    pub book: &'a Book,
    /// The operator's policy.
    pub policy: Policy,
    /// The module that is meant.
    pub module: ModuleDigest,
    /// What the bytes at hand are.
    pub found: ModuleDigest,
}

/// A module that may run, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trusted {
    /// Who signed it.
    pub publisher: Name,
    /// With which key.
    pub key: KeyId,
    /// Who approved it.
    pub reviewers: Vec<Name>,
    /// One person let it run, and nobody has followed up.
    pub emergency: Option<Emergency>,
}

/// May this module run?
///
/// # Errors
/// The reason why not, and what to do.
pub fn decide(input: TrustInput<'_>) -> Result<Trusted, Untrusted> {
    let TrustInput { book, policy, module, found } = input;
    if module != found {
        return Err(Untrusted::Changed { module, found });
    }
    let version = book.version(module).ok_or(Untrusted::Unknown(module))?;
    if let Some(yank) = &version.yank {
        return Err(untrusted::yanked(book, policy, version, yank));
    }
    let (publisher, key) = signer(book, version)?;
    let Approvals { reviewers, standing } = approvals(book, policy, version);
    let emergency = match standing {
        Standing::Approved => None,
        Standing::Emergency(emergency) => Some(emergency),
        Standing::Open { need, policy_off } => {
            return Err(untrusted::not_approved(book, policy, version, reviewers, need, policy_off));
        }
    };
    Ok(Trusted { publisher, key, reviewers, emergency })
}

/// Who signed a version, with a key that counts today.
///
/// # Errors
/// Nobody did, or with a key that isn't the publisher's or was ended.
pub fn signer(book: &Book, version: &Version) -> Result<(Name, KeyId), Untrusted> {
    let mut refused = None;
    for signature in &version.signatures {
        match signed(book, version, signature) {
            Ok(()) => return Ok((signature.publisher.clone(), signature.key)),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    Err(refused.unwrap_or_else(|| Untrusted::Unsigned { version: version.label() }))
}

/// One signature of a version.
///
/// # Errors
/// Why it doesn't count.
pub fn signed(book: &Book, version: &Version, signature: &crate::sign::ModuleSignature) -> Result<(), Untrusted> {
    let label = || version.label();
    let Some(publisher) = book.publishers.get(&signature.publisher) else {
        return Err(Untrusted::UnknownPublisher { version: label(), publisher: signature.publisher.to_string() });
    };
    let Some(key) = publisher.keys.iter().find(|k| k.public.id() == signature.key) else {
        let holder = book.holder(signature.key).map(str::to_owned);
        return Err(Untrusted::ForeignKey {
            version: label(),
            publisher: publisher.name.clone(),
            key: signature.key,
            holder,
        });
    };
    if signature.module != version.digest || !signature.is_by(&key.public) {
        return Err(Untrusted::Forged { version: label(), publisher: publisher.name.clone(), key: signature.key });
    }
    if let Some(ended) = &key.ended {
        return Err(Untrusted::EndedKey {
            version: label(),
            publisher: publisher.name.clone(),
            key: signature.key,
            reason: ended.reason.clone(),
        });
    }
    // Its name belongs to whoever published it first; the register says who that is.
    if version.publisher != publisher.name.as_str() {
        let of = version.publisher.clone();
        return Err(Untrusted::OtherPublisher { version: label(), publisher: publisher.name.clone(), of });
    }
    Ok(())
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
