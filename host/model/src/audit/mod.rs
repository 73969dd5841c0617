//! Audit records: who did what to which thing, with which decision, and how much of it. One fact each; never changed.
//!
//! Start reading at [`Record`], the leaf of a log as it stands in the database, in an export and under a signature:
//! JSON with one spelling only. An [`Entry`] is what a caller gives; the store adds who, when and the record's id, and
//! writes it in the same transaction as the change it tells of.
//!
//! Nothing secret and no payload is ever in a record: no argument value, no part of a response, no configuration value.
//! Where a record has to hold on to such a value (what a configuration was before and after), it carries a commitment
//! ([`commitment`]): a keyed hash whose random key stays in the database beside the record and is in no export. Whoever
//! is shown the value and the key can check that this was the value; whoever has only the log can't find it by
//! guessing, however few values it could have.

mod action;
mod batch;
mod entry;
mod record;

pub use action::{Action, Decision};
pub use batch::{CallEnded, CallMade, ended_in_batches, made_in_batches};
pub use entry::{Entry, Object};
pub use record::{Record, RecordError, SALT_BYTES, commitment};

use crate::id::TenantId;
use std::fmt;

/// The longest record, in bytes of its canonical form: batches are split to fit. It bounds what a verifier has to hold
/// of one record, and what one row takes to prove.
pub const MAX_LEAF_BYTES: usize = 64 * 1024;

/// A log: one for each tenant, and one for what concerns all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Log {
    /// Modules, publishers, tenants, keys, the operator's configuration.
    Platform,
    /// What a tenant configured, and what ran for it.
    Tenant(TenantId),
}

impl Log {
    /// The last part of the log's origin, behind the name of the installation: `platform`, or `tenant/ID`.
    #[must_use]
    pub fn path(self) -> String {
        self.to_string()
    }

    /// The tenant, if it is a tenant's.
    #[must_use]
    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Platform => None,
            Self::Tenant(tenant) => Some(tenant),
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("platform"),
            Self::Tenant(tenant) => write!(f, "tenant/{tenant}"),
        }
    }
}

#[cfg(test)]
#[path = "../audit_tests.rs"]
mod tests;
