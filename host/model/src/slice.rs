//! The completeness ledger: whether a slice (one step, one partition) was collected whole. It is kept by the host from
//! what it saw on the wire; what a guest says can make a slice incomplete, never complete.
//!
//! The story behind it: one permission is taken away, a list comes back with a 403, the step goes on without it, and
//! everything the list used to show is deleted as "gone". Nothing is deleted on doubt; this file is where doubt is kept.

use crate::grant::Denial;
use crate::id::{Partition, StepId};
use crate::run::Outcome;
use crate::text::shown_bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The share of a slice's objects that may be bad before the step fails. One in a hundred is odd data; more is a broken
/// guest, or a provider that changed.
pub const TOLERATED_REJECTED_SHARE: f64 = 0.01;
/// Bad objects that are tolerated however few objects there are, in objects: a slice of five shouldn't fail over one.
pub const TOLERATED_REJECTED_OBJECTS: u64 = 10;
/// How much of a message is kept, in bytes: the first lines of a trap.
pub const MAX_MESSAGE_BYTES: usize = 2_000;

/// A failed call, as far as it explains why a slice is incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FaultNote {
    code: String,
    message: String,
}

/// What happened while one slice was collected.
#[derive(Debug, Clone, Default)]
pub struct SliceLedger {
    calls: u64,
    denials: u64,
    first_denial: Option<Denial>,
    faults: u64,
    first_fault: Option<FaultNote>,
    missing_permission: Option<String>,
    cuts: u64,
    first_cut: Option<String>,
    /// Tokens of pages that exist and were not asked for yet.
    open_pages: BTreeSet<u64>,
    accepted: u64,
    rejected: u64,
    unidentified: u64,
    cancelled: bool,
    /// A step that this one builds on and that is incomplete.
    unfounded: Option<StepId>,
    ended: Option<Result<(), String>>,
}

/// Whether a slice is complete, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Everything there is was seen: what the slice doesn't contain may be deleted.
    pub complete: bool,
    /// Why it isn't complete: the first cause, for a person.
    pub reason: Option<String>,
    /// What the provider's administrator has to grant, if that is what was missing.
    pub missing_permission: Option<String>,
}

impl SliceLedger {
    /// An empty ledger: incomplete until the guest has ended well.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A call begun, page or first request.
    pub fn called(&mut self) {
        self.calls += 1;
    }

    /// A call was denied.
    pub fn denied(&mut self, denial: &Denial) {
        self.denials += 1;
        self.first_denial.get_or_insert_with(|| denial.clone());
    }

    /// A call failed: sent or tried, retried as often as it is worth, and still no answer to build on.
    pub fn faulted(&mut self, code: &str, message: &str, permission: Option<&str>) {
        self.faults += 1;
        self.first_fault.get_or_insert_with(|| FaultNote {
            code: shown_bytes(code, 64),
            message: shown_bytes(message, MAX_MESSAGE_BYTES),
        });
        if let Some(permission) = permission {
            self.missing_permission.get_or_insert_with(|| shown_bytes(permission, MAX_MESSAGE_BYTES));
        }
    }

    /// Something was cut short: a body, or the step's calls, bytes, objects or time. `what` names the limit.
    pub fn cut(&mut self, what: &str) {
        self.cuts += 1;
        self.first_cut.get_or_insert_with(|| shown_bytes(what, MAX_MESSAGE_BYTES));
    }

    /// A response has a next page, handed to the guest as this token.
    pub fn page_opened(&mut self, token: u64) {
        self.open_pages.insert(token);
    }

    /// The guest asked for that page. False when there is no such page, or it was asked for before.
    pub fn page_followed(&mut self, token: u64) -> bool {
        self.open_pages.remove(&token)
    }

    /// Adds what a task emitted: good objects, bad ones that were set aside, and those of the bad ones that nobody can
    /// identify, because their line has no readable key. One of those may be an object that is stored, so the slice is
    /// incomplete; of the others, what is stored under their key is kept.
    pub fn emitted(&mut self, accepted: u64, rejected: u64, unidentified: u64) {
        self.accepted += accepted;
        self.rejected += rejected;
        self.unidentified += unidentified;
    }

    /// A step that this one needs is incomplete. What the guest starts from (the repositories whose collaborators it asks
    /// for) may be missing something, so this slice may too, however well its own calls went.
    pub fn builds_on_incomplete(&mut self, step: &StepId) {
        self.unfounded.get_or_insert_with(|| step.clone());
    }

    /// The run was cancelled while this slice was collected.
    pub fn cancelled(&mut self) {
        self.cancelled = true;
    }

    /// The guest returned, or was stopped: its error, its trap, or the limit that ended it.
    pub fn ended(&mut self, result: Result<(), &str>) {
        self.ended = Some(result.map_err(|message| shown_bytes(message, MAX_MESSAGE_BYTES)));
    }

    /// Calls begun.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Calls denied.
    #[must_use]
    pub fn denials(&self) -> u64 {
        self.denials
    }

    /// Calls failed.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Objects set aside.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.rejected
    }

    /// More objects are bad than is tolerated: the step fails.
    #[must_use]
    pub fn rejected_too_many(&self) -> bool {
        let share = (self.accepted + self.rejected) as f64 * TOLERATED_REJECTED_SHARE;
        // Nothing but bad objects is no odd data, however few they are.
        let all = self.accepted == 0 && self.rejected > 0;
        all || (self.rejected > TOLERATED_REJECTED_OBJECTS && self.rejected as f64 > share)
    }

    /// Whether the slice is complete. The reason is the cause that lies deepest: a guest that gives up after a 403 failed
    /// because of the 403.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let reason = self.reason();
        let missing_permission = self.missing_permission.clone().filter(|_| reason.is_some());
        Verdict { complete: reason.is_none(), reason, missing_permission }
    }

    fn reason(&self) -> Option<String> {
        if self.cancelled {
            return Some("the run was cancelled".to_owned());
        }
        if let Some(denial) = &self.first_denial {
            return Some(with_more(denial.to_string(), self.denials, "denied calls"));
        }
        if let Some(fault) = &self.first_fault {
            return Some(with_more(format!("{}: {}", fault.code, fault.message), self.faults, "failed calls"));
        }
        if let Some(what) = &self.first_cut {
            return Some(with_more(format!("cut short: {what}"), self.cuts, "cuts"));
        }
        if let Some(Err(message)) = &self.ended {
            return Some(format!("the guest failed: {message}"));
        }
        if self.rejected_too_many() {
            let all = self.accepted + self.rejected;
            return Some(format!("{} of {all} objects were bad, more than is tolerated", self.rejected));
        }
        if self.unidentified > 0 {
            return Some(format!("{} bad objects had no readable key", self.unidentified));
        }
        if !self.open_pages.is_empty() {
            return Some(format!("{} lists were not followed to their last page", self.open_pages.len()));
        }
        if self.ended.is_none() {
            return Some("the guest didn't end".to_owned());
        }
        self.unfounded.as_ref().map(|step| format!("step `{step}`, which it builds on, is incomplete"))
    }

    /// How the step ended for this partition.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.cancelled {
            Outcome::Cancelled
        } else if self.rejected_too_many() || !matches!(self.ended, Some(Ok(()))) {
            Outcome::Failed
        } else if self.verdict().complete {
            Outcome::Succeeded
        } else {
            Outcome::Partial
        }
    }
}

fn with_more(first: String, count: u64, what: &str) -> String {
    if count > 1 { format!("{first} (the first of {count} {what})") } else { first }
}

/// The partitions that are gone: known before, and not in a listing that is known to be complete. An incomplete listing
/// retires nothing.
#[must_use]
pub fn retired_partitions(known: &[Partition], listed: &[Partition], listing_complete: bool) -> Vec<Partition> {
    if !listing_complete {
        return Vec::new();
    }
    let listed: BTreeSet<_> = listed.iter().collect();
    let gone: BTreeSet<_> = known.iter().filter(|p| !listed.contains(p)).cloned().collect();
    gone.into_iter().collect()
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
