//! The transcript of a run: everything that its guest could perceive of the world, and nothing secret, because what is
//! written down is what the guest asked and got; credentials are added after that, in a process that never writes here.
//!
//! # The file
//! JSON Lines, each line a gzip member of its own (RFC 1952 allows any number of members, so `zcat FILE` shows it), in
//! five forms:
//!
//! 1. `{"begin": …}` once, first: the version of this format, the run, the module's digest, the configuration, the time
//!    at which the run started, the steps that were on, the slots that had a credential, the limits that a guest can
//!    notice.
//! 2. `{"call": …}` for each call of a task, in the task's order: step, partition, what the task was (`run` or
//!    `partitions`), the number of the question and the place in it, the call, and its answer with the SHA-256 of its
//!    body. Lines of different tasks mix as they came.
//! 3. `{"body": …}` right after a call whose answer has a body: `text` when it is UTF-8, else `base64`.
//! 4. `{"task": …}` when a task ended: how, how many calls it made, and the SHA-256 over its call lines, each with its
//!    line break.
//! 5. `{"end": …}` once, last: how many tasks and calls, and the transcript's digest.
//!
//! # The digest
//! SHA-256 over the `begin` line and then the `task` lines, sorted by step, partition and task, each with its line break.
//! It doesn't depend on which of two tasks was faster, and it is in the record of every run, whether a file was kept or
//! not. Bodies are in it by their hash: that costs a run next to nothing.
//!
//! What a guest reads back of its own objects (`graph.entities`), and whether a slot can be opened, isn't written down: it
//! follows from what is. The one thing that a transcript can't repeat is a limit of CPU time.
//!
//! [`Recording`] writes, [`Transcript`] reads.

mod line;
mod reader;
mod recording;
mod writer;

pub(crate) use line::{Ended, layer_of};
pub use line::{Header, Limits, TaskKey, TaskWork};
pub use reader::{Answered, Transcript, TranscriptError};
pub(crate) use recording::Heard;
pub use recording::{RecordError, Recording};

/// The version of the format.
pub const TRANSCRIPT_VERSION: u32 = 1;
/// The longest line, in bytes: a body of 16 MiB, the longest that a call may bring, whose every byte takes six when it is
/// escaped, and room for the rest.
pub const MAX_LINE_BYTES: usize = 112 * 1024 * 1024;
/// The most lines of one transcript: the calls of a run and as many tasks.
pub const MAX_LINES: u64 = 2 * crate::calls::MAX_CALLS;
