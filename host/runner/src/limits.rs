//! The limits of a run, in one place, as they are stored with the plan.

use porthole_egress::CallLimits;
use porthole_model::stored_reply::MAX_INSTANCE_BYTES;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one run may use.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// What the sandbox holds.
    pub sandbox: porthole_wire::Limits,
    /// What egress holds.
    pub calls: CallLimits,
    /// The longest run. A day's worth would mean that the provider lets us in far too slowly; six hours carry 20,000
    /// requests a second down to one a second.
    pub wall: Duration,
    /// Calls of one run, sent or denied: [`crate::calls::MAX_CALLS`].
    pub max_calls: u64,
    /// Bytes that the instance's stored replies may take in the database: [`MAX_INSTANCE_BYTES`]. At 0 nothing is stored.
    pub stored_reply_bytes: u64,
}

/// The longest single wait. Budgets of providers are mostly by the hour; five minutes more for clocks that differ.
const MAX_WAIT: Duration = Duration::from_secs(65 * 60);
/// All waits of a run together: most of its time, because a large organisation under an hourly budget mostly waits.
const WAIT_BUDGET: Duration = Duration::from_secs(5 * 3600);

impl Default for RunLimits {
    fn default() -> Self {
        let calls = CallLimits { max_wait_one: MAX_WAIT, retry_budget: WAIT_BUDGET, ..CallLimits::default() };
        Self {
            sandbox: porthole_wire::Limits::default(),
            calls,
            wall: Duration::from_secs(6 * 3600),
            max_calls: crate::calls::MAX_CALLS,
            stored_reply_bytes: MAX_INSTANCE_BYTES,
        }
    }
}

impl RunLimits {
    /// By name, the unit last, as the plan shows them.
    #[must_use]
    pub fn named(&self) -> BTreeMap<String, u64> {
        let s = &self.sandbox;
        let pairs = [
            ("step_memory_bytes", s.memory_bytes),
            ("step_cpu_ms", s.cpu_ms),
            ("step_emit_objects", s.emit_objects),
            ("step_emit_bytes", s.emit_bytes),
            ("step_host_calls", s.host_calls),
            ("step_log_lines", s.log_lines),
            ("run_calls", self.max_calls),
            ("run_response_bytes", crate::calls::MAX_RESPONSE_BYTES),
            ("run_objects", crate::index::MAX_INDEX_ROWS as u64),
            ("run_wall_s", self.wall.as_secs()),
            ("run_wait_s", self.calls.retry_budget.as_secs()),
            ("instance_stored_reply_bytes", self.stored_reply_bytes),
            ("call_response_bytes", self.calls.max_body_bytes as u64),
            ("call_attempts", u64::from(self.calls.max_attempts)),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
