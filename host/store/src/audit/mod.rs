//! The audit logs in the database: what is pending, what is sequenced, where each log stands.
//!
//! Start reading at [`append`]: a record is written in the transaction of the change it tells of, so that there is never
//! one without the other. [`sequence`] is the way from pending into the log, [`read`] the way out. The mathematics of
//! the log, and its signatures, are in `porthole-audit`; here are rows only.
//!
//! Who appends takes no lock that another appender would wait for: records get a number from one sequence, and a
//! sequencer brings them into line later. Two transactions that run at the same moment may be numbered either way; one
//! appender's records keep their order, and an effect that was seen has its record before that of whoever saw it.

mod append;
mod config;
pub mod read;
pub mod sequence;

pub use append::{append, append_all};
pub(crate) use append::{begin_log, leaves};
pub use config::record_config;

use porthole_model::audit::Log;
use uuid::Uuid;

/// Where a log's rows are: the same columns in two sets of tables.
#[derive(Debug, Clone, Copy)]
struct Rows {
    prefix: &'static str,
    id: Uuid,
}

impl Rows {
    fn of(log: Log) -> Self {
        match log {
            Log::Platform => Self { prefix: "platform_audit", id: Uuid::nil() },
            Log::Tenant(tenant) => Self { prefix: "audit", id: tenant.0 },
        }
    }
}
