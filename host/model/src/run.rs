//! Runs: states, outcomes, counts, whose fault a failure is.

use crate::id::{InstanceId, Partition, RunId, StepId, TenantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// As it stands in the database, in `--json` and on the screen.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(s: &str) -> Result<Self, UnknownWord> {
                match s { $($text => Ok(Self::$variant),)* _ => Err(UnknownWord(s.chars().take(40).collect())) }
            }
        }
    };
}

pub(crate) use text_enum;

/// A word that is none of an enum's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of the words expected here")]
pub struct UnknownWord(pub(crate) String);

text_enum!(
    /// Where a run stands.
    RunState {
        /// Waiting for a worker.
        Queued = "queued",
        /// Claimed by a worker that holds its lease.
        Running = "running",
        /// Collected, but it would delete an unusual share; waits for a person.
        Held = "held",
        /// Over; see its outcome.
        Finished = "finished",
    }
);

text_enum!(
    /// How a run or a step ended.
    Outcome {
        /// Everything was collected and reconciled.
        Succeeded = "succeeded",
        /// Reconciled, but some slices are incomplete and were not swept.
        Partial = "partial",
        /// Nothing was reconciled.
        Failed = "failed",
        /// Not allowed to start.
        Denied = "denied",
        /// Its worker was lost or its time was over.
        TimedOut = "timed-out",
        /// A person stopped it.
        Cancelled = "cancelled",
        /// Switched off by the grant; only for steps.
        Skipped = "skipped",
    }
);

text_enum!(
    /// Whose failure it was.
    Fault {
        /// The module's code.
        Guest = "guest",
        /// The outside system.
        Provider = "provider",
        /// The tenant's configuration, grant or credential.
        Tenant = "tenant",
        /// Porthole or its operator.
        Host = "host",
    }
);

text_enum!(
    /// What becomes of the graph at the end of a run.
    RunMode {
        /// Reconcile.
        Apply = "apply",
        /// Show the diff, commit nothing.
        Plan = "plan",
    }
);

/// What a reconcile did to one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCounts {
    /// New objects.
    pub created: u64,
    /// Objects whose content changed.
    pub updated: u64,
    /// Objects that were seen and are as they were: neither sent nor rewritten.
    pub unchanged: u64,
    /// Objects that a complete slice no longer contained.
    pub deleted: u64,
}

impl TypeCounts {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
    }
}

/// Counts by type, sorted.
pub type Counts = BTreeMap<String, TypeCounts>;

/// A slice: what one step collects for one partition. The unit of completeness.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SliceKey {
    /// The step.
    pub step: StepId,
    /// The partition.
    pub partition: Partition,
}

impl fmt::Display for SliceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.partition.as_str().is_empty() {
            write!(f, "{}", self.step)
        } else {
            write!(f, "{}/{}", self.step, self.partition)
        }
    }
}

/// Which run, and the claim under which a worker holds it. A worker whose lease was swept has an older fence and can
/// finish nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The tenant.
    pub tenant: TenantId,
    /// The instance.
    pub instance: InstanceId,
    /// The run.
    pub run: RunId,
    /// Counts claims of this run.
    pub fence: i64,
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
