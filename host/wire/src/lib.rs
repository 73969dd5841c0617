//! The frames between the broker (a worker) and the sandbox process of one run.
//!
//! A frame is a little-endian `u32` length and that many bytes of postcard. Both directions are closed enums; neither
//! side holds a type for a secret. The broker treats everything it reads here as hostile: the sandbox may have been
//! taken over by its guest.
//!
//! The dance: broker sends [`ToSandbox::Start`]; sandbox answers [`FromSandbox::Ready`] (it is locked down now); broker
//! sends [`ToSandbox::Load`] and right behind that frame the code, as plain bytes; sandbox answers
//! [`FromSandbox::Loaded`]; then any number of [`ToSandbox::Task`], each ended by [`FromSandbox::Done`]; while tasks run,
//! the guest's host calls arrive as [`FromSandbox::Ask`] and are answered by [`ToSandbox::Answer`]. Closing the socket
//! ends the sandbox.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of these frames. Both binaries come from one build; a mismatch is refused at the start.
pub const PROTOCOL: u32 = 2;
/// The most compiled code, in bytes: a component of 64 MiB compiled (the Python guest's code is about 50 MiB), with room.
pub const MAX_CODE_BYTES: u32 = 120 * 1024 * 1024;
/// The longest frame, in bytes: the answer to [`MAX_CALLS_AT_ONCE`] calls.
pub const MAX_TO_SANDBOX_BYTES: usize = 128 * 1024 * 1024;
/// The longest frame that a sandbox may send, in bytes: 64 calls of 100 kB of arguments, or one batch of 1 MiB, with room.
pub const MAX_FROM_SANDBOX_BYTES: usize = 8 * 1024 * 1024;
/// The longest batch of emitted objects, in bytes: some thousand objects, small enough to be held several times over.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// The longest line of a batch, in bytes: one object.
pub const MAX_LINE_BYTES: usize = 256 * 1024;
/// The longest buffer for frames that is kept for the next one, in bytes: a page or a batch, with room.
const MAX_KEPT_BYTES: usize = 2 * 1024 * 1024;
/// The most calls of one `call-many`.
pub const MAX_CALLS_AT_ONCE: usize = 64;
/// The longest log message, in bytes; the rest is cut.
pub const MAX_LOG_BYTES: usize = 8 * 1024;
/// Batches that one task may have under way before `emit` waits for the broker.
pub const EMIT_WINDOW: usize = 4;

/// One task: a step for one partition, or the question for a step's partitions. Unique within a run.
pub type TaskId = u32;
/// One question of a task, counted from 0 in the order in which the guest asked. So a replay numbers the same.
pub type AskId = u64;

/// Limits that the sandbox holds. All of them per task but `memory_bytes`, which is the sum over a task's memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Linear memory of one task, in bytes, summed over its memories and tables.
    pub memory_bytes: u64,
    /// CPU time of one task, in milliseconds.
    pub cpu_ms: u64,
    /// Objects that one task may emit.
    pub emit_objects: u64,
    /// Bytes that one task may emit.
    pub emit_bytes: u64,
    /// Host calls of one task, of any kind.
    pub host_calls: u64,
    /// Log lines of one task; later ones are dropped and counted.
    pub log_lines: u64,
    /// Credential and other handles alive at once.
    pub handles: u32,
    /// Tasks that run at once, each on a thread of its own.
    pub lanes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A page of any provider is far below this, and a guest works page by page.
            memory_bytes: 256 * 1024 * 1024,
            // Ten minutes of computing for a step is a guest gone wrong: the prototype converts 300,000 objects a second.
            cpu_ms: 600_000,
            emit_objects: 10_000_000,
            emit_bytes: 16 * 1024 * 1024 * 1024,
            host_calls: 5_000_000,
            log_lines: 10_000,
            handles: 64,
            lanes: 4,
        }
    }
}

/// What the broker sends.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToSandbox {
    /// First frame.
    Start {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The limits of this run.
        limits: Limits,
        /// Go on where the kernel lacks landlock or seccomp.
        allow_weak_isolation: bool,
    },
    /// Compiled code, whose seal the broker has checked. The code itself follows the frame as plain bytes: it is megabytes,
    /// and inside a frame it would be copied once more on either side.
    Load {
        /// How many bytes follow, at most [`MAX_CODE_BYTES`].
        length: u32,
    },
    /// Begin a task.
    Task(Task),
    /// The answer to an [`FromSandbox::Ask`].
    Answer {
        /// The task that asked.
        task: TaskId,
        /// Its question.
        ask: AskId,
        /// The answer, of the kind that belongs to the question.
        answer: Answer,
    },
    /// The run was cancelled: `cancelled` is true from now on, and questions are answered with `Cancelled`.
    Cancel,
}

/// A task to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What to do.
    pub kind: TaskKind,
    /// The step.
    pub step: String,
    /// The partition; empty for steps without.
    pub partition: String,
    /// The configuration, a JSON object.
    pub config: String,
    /// When the run started, in milliseconds since 1970.
    pub started_at_ms: u64,
}

/// The export to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// `steps.run`.
    Run,
    /// `steps.partitions`.
    Partitions,
}

/// What the sandbox sends.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromSandbox {
    /// Locked down, nothing loaded yet.
    Ready {
        /// What holds.
        isolation: Isolation,
    },
    /// The component is loaded and its imports are within the world.
    Loaded,
    /// The component can't be loaded. The last frame.
    LoadFailed {
        /// Why.
        message: String,
    },
    /// A guest asks and waits (for `Emit`, only when the window is full).
    Ask {
        /// The task.
        task: TaskId,
        /// Its question.
        ask: AskId,
        /// The question.
        question: Question,
    },
    /// A log line. No answer.
    Log {
        /// The task.
        task: TaskId,
        /// 0 debug, 1 info, 2 warn, 3 error.
        level: u8,
        /// At most [`MAX_LOG_BYTES`].
        message: String,
    },
    /// Progress. No answer.
    Progress {
        /// The task.
        task: TaskId,
        /// Done so far.
        done: u64,
        /// Of so many.
        total: Option<u64>,
    },
    /// A task ended.
    Done {
        /// The task.
        task: TaskId,
        /// How.
        end: TaskEnd,
        /// What it used.
        usage: Usage,
    },
}

/// A question of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// `credentials.open`. Answered by [`Answer::Open`].
    Open {
        /// The slot.
        slot: String,
    },
    /// `operations.call` and `call-many`. Answered by [`Answer::Calls`], one result for each call.
    Calls(Vec<Call>),
    /// `graph.emit`. Answered by [`Answer::Emitted`].
    Emit(#[serde(with = "serde_bytes")] Vec<u8>),
    /// `graph.entities`. Answered by [`Answer::Entities`].
    Entities {
        /// The type.
        entity_type: String,
        /// Where to go on.
        cursor: u64,
    },
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// A new request.
    Begin {
        /// The operation's id.
        operation: String,
        /// Arguments in the guest's order.
        arguments: Vec<(String, String)>,
        /// The slot of the credential that the guest passed.
        credential: Option<String>,
    },
    /// The next page.
    Next {
        /// The token.
        token: u64,
    },
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Open`].
    Open(Result<(), OpenError>),
    /// To [`Question::Calls`].
    Calls(Vec<Result<Response, CallError>>),
    /// To [`Question::Emit`].
    Emitted(Result<(), EmitError>),
    /// To [`Question::Entities`].
    Entities(Result<EntityPage, ReadError>),
}

/// Why a credential can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenError {
    /// The manifest declares no such slot.
    UnknownSlot,
    /// Nothing is bound to it.
    NotBound,
}

/// A response as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The declared headers.
    pub headers: Vec<(String, String)>,
    /// The body, scrubbed.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// The status is one of the operation's `empty-on`.
    pub empty: bool,
    /// The next page's token.
    pub next: Option<u64>,
}

/// Why a call has no response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallError {
    /// Refused.
    Denied {
        /// 0 requested, 1 granted, 2 ceiling.
        layer: u8,
        /// Why.
        reason: String,
        /// What would allow it.
        remedy: String,
    },
    /// Sent, or tried, and failed.
    Fault {
        /// The HTTP status.
        status: Option<u16>,
        /// The stable code.
        code: String,
        /// What happened.
        message: String,
        /// What the provider's administrator has to grant.
        permission: Option<String>,
    },
    /// A limit of the run.
    Limit(String),
    /// No page token of this task.
    BadToken,
    /// The run was cancelled.
    Cancelled,
}

/// Why a batch was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmitError {
    /// The batch or a line of it is too long.
    TooLarge(String),
    /// The task may emit no more.
    Limit(String),
    /// The run was cancelled.
    Cancelled,
}

/// A page of entities read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityPage {
    /// JSON Lines.
    #[serde(with = "serde_bytes")]
    pub lines: Vec<u8>,
    /// Where to go on.
    pub next: Option<u64>,
}

/// Why entities can't be read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadError {
    /// Not in the step's `reads`.
    Undeclared,
    /// Anything else.
    Other(String),
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskEnd {
    /// `steps.run` returned ok.
    Finished,
    /// `steps.partitions` returned ok.
    Partitions(Vec<String>),
    /// The export returned an error.
    Failed {
        /// `call`, `unexpected`, `config` or `other`.
        kind: String,
        /// Its text, cut to [`MAX_LOG_BYTES`].
        message: String,
    },
    /// The guest trapped.
    Trapped {
        /// The trap and the guest's stack, cut to [`MAX_LOG_BYTES`].
        message: String,
    },
    /// A limit of the sandbox ended it.
    Limit {
        /// Which: `memory`, `cpu`, `host-calls`, `handles`, …
        limit: String,
        /// In words.
        message: String,
    },
}

/// What a task used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// Highest linear memory, in bytes.
    pub memory_bytes: u64,
    /// Host calls.
    pub host_calls: u64,
    /// Emitted objects (lines).
    pub emit_objects: u64,
    /// Emitted bytes.
    pub emit_bytes: u64,
    /// Log lines that the limit dropped.
    pub log_dropped: u64,
}

/// What holds around the guest's address space.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// The landlock ABI in force; 0 without.
    pub landlock_abi: u32,
    /// The seccomp filter is on, for all threads.
    pub seccomp: bool,
    /// `PR_SET_NO_NEW_PRIVS` is on.
    pub no_new_privs: bool,
    /// Resource limits are set.
    pub rlimits: bool,
    /// Open descriptors, which must be the socket alone.
    pub descriptors: Vec<i32>,
}

impl Isolation {
    /// Everything holds.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.landlock_abi > 0 && self.seccomp && self.no_new_privs && self.rlimits && self.descriptors.len() == 1
    }
}

/// Why a frame can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than its direction allows.
    #[error("a frame of {0} bytes is longer than the {1} allowed")]
    TooLong(usize, usize),
    /// Not a frame of this protocol.
    #[error("malformed frame")]
    Malformed(#[source] postcard::Error),
}

/// A frame with its length in front.
///
/// # Errors
/// When the frame is longer than `max` bytes.
pub fn encode<T: Serialize>(frame: &T, max: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    encode_into(frame, max, &mut bytes)?;
    Ok(bytes)
}

/// The same, into a buffer whose room is used again: frames of a megabyte in new memory each would have the kernel clear
/// it every time.
///
/// # Errors
/// As [`encode`].
pub fn encode_into<T: Serialize>(frame: &T, max: usize, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    buffer.clear();
    buffer.extend_from_slice(&[0; 4]);
    *buffer = postcard::to_extend(frame, std::mem::take(buffer)).map_err(FrameError::Malformed)?;
    let length = buffer.len() - 4;
    let too_long = FrameError::TooLong(length, max);
    match (u32::try_from(length), buffer.first_chunk_mut::<4>()) {
        (Ok(n), Some(head)) if length <= max => *head = n.to_le_bytes(),
        _ => return Err(too_long),
    }
    Ok(())
}

/// Lets go of the room of a buffer that held an unusually long frame.
pub fn keep_room(buffer: &mut Vec<u8>) {
    if buffer.capacity() > MAX_KEPT_BYTES {
        *buffer = Vec::new();
    }
}

/// Checks the length in front of a frame.
///
/// # Errors
/// When it is longer than `max` bytes.
pub fn length(head: [u8; 4], max: usize) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(head) as usize;
    if length > max { Err(FrameError::TooLong(length, max)) } else { Ok(length) }
}

/// Reads a frame's bytes. Bytes after the frame are an error.
///
/// # Errors
/// When the bytes are no frame of type `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(bytes) {
        Ok((frame, [])) => Ok(frame),
        Ok(_) => Err(FrameError::Malformed(postcard::Error::DeserializeBadEncoding)),
        Err(e) => Err(FrameError::Malformed(e)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_comes_back() {
        let sent = FromSandbox::Progress { task: 7, done: 3, total: Some(9) };
        let bytes = encode(&sent, MAX_FROM_SANDBOX_BYTES).unwrap();
        let n = length(*bytes.first_chunk().unwrap(), MAX_FROM_SANDBOX_BYTES).unwrap();
        assert_eq!(n, bytes.len() - 4);
        let back: FromSandbox = decode(&bytes[4..]).unwrap();
        assert!(matches!(back, FromSandbox::Progress { task: 7, done: 3, total: Some(9) }));
    }

    #[test]
    fn long_frames_and_trailing_bytes_are_refused() {
        let frame = Question::Emit(vec![0; 100]);
        assert!(matches!(encode(&frame, 50), Err(FrameError::TooLong(..))));
        assert!(length([255, 255, 255, 255], MAX_FROM_SANDBOX_BYTES).is_err());
        let mut bytes = encode(&frame, 1000).unwrap();
        bytes.push(0);
        assert!(decode::<Question>(&bytes[4..]).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<FromSandbox>(&bytes);
            let _ = decode::<ToSandbox>(&bytes);
        }
    }
}
