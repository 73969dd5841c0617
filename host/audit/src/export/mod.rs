//! A log in a file that anybody can check: no database, no network, only the log's public key.
//!
//! JSON Lines. A line that is an object is a leaf, byte for byte what was hashed; a line that is a list is ours. Records
//! are objects, so the two can't be taken for each other, and a leaf needs no wrapping that would change its bytes.
//!
//! ```text
//! ["porthole-log",1,{"log":"tenant/0190…","origin":"porthole.example/tenant/0190…","vkey":"porthole.example/…"}]
//! {"action":"tenant.created",…}
//! {"action":"instance.created",…}
//! ["checkpoint",1,"porthole.example/tenant/0190…\n2\nCsUYap…\n\n— porthole.example/tenant/0190… Az3g…\n"]
//! {"action":"run.queued",…}
//! ["checkpoint",2,"…"]
//! ["end",{"checkpoints":2,"leaves":3,"sha256":"…"}]
//! ```
//! A checkpoint stands right after the last leaf that it covers; the last line but one is one, so that every leaf is
//! covered. Each line has one spelling.
//!
//! What vouches for what: the signatures vouch for the leaves, their order and their number, up to the newest checkpoint.
//! The last line's digest finds damage (a lost line, a flipped bit in a place that no signature covers); it is no defence
//! against somebody who writes a new one. Two things can't be seen from a file alone, because such a file is as good as
//! any: that it is an older copy of the log, and that checkpoints between the first and the last were left out. Both
//! are found by whoever kept a checkpoint and gives it to [`verify()`].

mod control;
mod line;
mod report;
mod verifier;
mod verify;
mod write;

pub use report::{Fault, FaultKind, Place, Report};
pub use verify::{Options, verify};
pub use write::Writer;

use crate::note::MAX_NOTE_BYTES;

/// The version of this form.
pub const VERSION: u32 = 1;
/// The longest line, in bytes without its newline: a checkpoint's note, in which each character may need an escape.
const MAX_LINE_BYTES: usize = 2 * MAX_NOTE_BYTES + 1024;
/// The most faults that a report tells one by one: who has that many needs no longer list.
const MAX_FAULTS: usize = 64;

#[cfg(test)]
mod tamper_tests;
#[cfg(test)]
mod tests;
