//! The brake: a run that would delete an unusual share of a type waits for a person. Completeness is proved from the
//! wire, but a provider can answer 200 with an empty list.

use crate::run::Counts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The share of a type that may go in one run without anyone asking.
pub const DEFAULT_BRAKE_SHARE: f64 = 0.30;
/// Deletions of a type that never brake, in objects: three of a team's four members may well leave in one week.
pub const DEFAULT_BRAKE_FLOOR: u64 = 50;

/// A type of which too much would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldType {
    /// The entity or relationship type.
    pub object_type: String,
    /// Objects that would be deleted.
    pub deleted: u64,
    /// Objects there are before the run.
    pub existing: u64,
}

/// Why a run is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrakeReason {
    /// The types, sorted by name; at least one.
    pub types: Vec<HeldType>,
}

impl fmt::Display for BrakeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run would delete ")?;
        for (i, held) in self.types.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{} of {} {}", held.deleted, held.existing, held.object_type)?;
        }
        Ok(())
    }
}

/// Does this run have to wait for a person? For some type it deletes at least `floor` objects and more than `share` of
/// what there is. A type whose stock isn't known counts as if all of it went; a `share` that is no number counts as the
/// default.
#[must_use]
pub fn brake(counts: &Counts, existing: &BTreeMap<String, u64>, share: f64, floor: u64) -> Option<BrakeReason> {
    let share = if share.is_nan() { DEFAULT_BRAKE_SHARE } else { share };
    let types: Vec<_> = counts
        .iter()
        .map(|(name, counts)| HeldType {
            object_type: name.clone(),
            deleted: counts.deleted,
            existing: existing.get(name).copied().unwrap_or(counts.deleted),
        })
        .filter(|t| t.deleted > 0 && t.deleted >= floor && t.deleted as f64 > share * t.existing as f64)
        .collect();
    (!types.is_empty()).then_some(BrakeReason { types })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::run::TypeCounts;

    fn held(deleted: u64, existing: Option<u64>, share: f64, floor: u64) -> bool {
        let counts = Counts::from([("user".to_owned(), TypeCounts { deleted, ..TypeCounts::default() })]);
        let existing = existing.map(|n| ("user".to_owned(), n)).into_iter().collect();
        brake(&counts, &existing, share, floor).is_some()
    }

    #[test]
    fn holds_above_share_and_floor_and_not_just_below() {
        let share = DEFAULT_BRAKE_SHARE;
        assert!(held(31, Some(100), share, 10) && !held(30, Some(100), share, 10));
        assert!(held(50, Some(50), share, 50) && !held(49, Some(49), share, 50));
        assert!(held(1, Some(1), share, 0) && !held(0, Some(0), share, 0));
    }

    #[test]
    fn doubt_holds() {
        assert!(held(60, None, DEFAULT_BRAKE_SHARE, 50));
        assert!(held(60, Some(100), f64::NAN, 50));
        assert!(held(60, Some(10), DEFAULT_BRAKE_SHARE, 50), "more deleted than there is");
    }

    #[test]
    fn a_share_of_one_never_holds_a_known_stock() {
        assert!(!held(100, Some(100), 1.0, 50));
    }

    #[test]
    fn one_type_holds_even_if_the_sum_is_small() {
        let gone = |deleted| TypeCounts { deleted, ..TypeCounts::default() };
        let counts = Counts::from([("repo".to_owned(), gone(0)), ("team".to_owned(), gone(80))]);
        let existing = BTreeMap::from([("repo".to_owned(), 1_000_000), ("team".to_owned(), 90)]);
        let reason = brake(&counts, &existing, DEFAULT_BRAKE_SHARE, DEFAULT_BRAKE_FLOOR).unwrap();
        assert_eq!(reason.to_string(), "the run would delete 80 of 90 team");
    }
}
