//! Landlock: no file, no TCP port, no abstract socket, no signal beyond this process. The system call filter refuses all
//! of it already; this holds where a hole in the filter would be.

use super::LockdownError;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};

/// The newest rules we have read and mean. The crate asks for those of them that the kernel knows.
const WANTED: ABI = ABI::V6;

/// Handles every access there is and allows none. Returns the ABI in force, 0 without landlock.
pub(super) fn deny_everything() -> Result<u32, LockdownError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(WANTED)))
        .and_then(|rules| rules.scope(Scope::from_all(WANTED)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(LockdownError::Landlock)?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi.min(WANTED) as u32,
        (_, _) => 0,
    })
}
