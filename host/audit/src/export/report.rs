//! What a verification found, each fault with its place.

use super::MAX_FAULTS;
use crate::error::AuditError;
use crate::name::KeyName;
use crate::tree::Hash;
use crate::trust::SignedCheckpoint;
use porthole_model::audit::RecordError;
use std::fmt;
use std::ops::RangeInclusive;

/// What a verification found.
#[derive(Debug, Default)]
pub struct Report {
    /// Which log it is.
    pub origin: Option<KeyName>,
    /// How many leaves there are.
    pub leaves: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many leaves, from the first on, a checkpoint with the right root and signature covers.
    pub covered: u64,
    /// The newest checkpoint whose signature and root are right. Whoever keeps it can ask for it next time.
    pub newest: Option<SignedCheckpoint>,
    /// How many runs the records tell of.
    pub runs: u64,
    /// What shows that the file or the log was tampered with, or isn't the one that was asked for. In the order of the
    /// file, except for what only its end can show.
    pub faults: Vec<Fault>,
    /// Faults beyond those that are told one by one.
    pub faults_left_out: u64,
    /// What is signed and yet doesn't fit together: the log was written wrongly, or something was never recorded.
    pub oddities: Vec<Fault>,
    /// Oddities beyond those that are told one by one.
    pub oddities_left_out: u64,
}

impl Report {
    /// Nobody has tampered with it: signatures, tree and form hold, and it is the log that was asked for.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        self.faults.is_empty()
    }

    /// It is authentic, and what its records tell fits together.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is_authentic() && self.oddities.is_empty()
    }

    pub(super) fn fault(&mut self, place: Place, kind: FaultKind) {
        let list = if kind.is_oddity() {
            (&mut self.oddities, &mut self.oddities_left_out)
        } else {
            (&mut self.faults, &mut self.faults_left_out)
        };
        if list.0.len() < MAX_FAULTS {
            list.0.push(Fault { place, kind });
        } else {
            *list.1 += 1;
        }
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.kind)?;
        let mut source = std::error::Error::source(&self.kind);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Where a fault is. A root covers many leaves, so all that can be said of some faults is between which lines they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Lines of the file, the first is 1.
    pub lines: RangeInclusive<u64>,
    /// Leaves of the log, the first is 0; none where no leaf is concerned.
    pub leaves: Option<RangeInclusive<u64>>,
}

impl Place {
    pub(super) fn line(line: u64) -> Self {
        Self { lines: line..=line, leaves: None }
    }

    /// What comes after a line, up to and with another.
    pub(super) fn since(after: u64, line: u64, leaves: Option<RangeInclusive<u64>>) -> Self {
        Self { lines: (after + 1).min(line)..=line, leaves }
    }

    pub(super) fn leaf(line: u64, leaf: u64) -> Self {
        Self { lines: line..=line, leaves: Some(leaf..=leaf) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        range(f, "line", &self.lines)?;
        match &self.leaves {
            Some(leaves) => {
                f.write_str(" (")?;
                range(f, "leaf", leaves)?;
                f.write_str(")")
            }
            None => Ok(()),
        }
    }
}

fn range(f: &mut fmt::Formatter<'_>, what: &str, range: &RangeInclusive<u64>) -> fmt::Result {
    let plural = if what == "leaf" { "leaves" } else { "lines" };
    if range.start() == range.end() {
        write!(f, "{what} {}", range.start())
    } else {
        write!(f, "{plural} {} to {}", range.start(), range.end())
    }
}

/// What can be wrong with a log file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// The first line is not a log file's.
    #[error("the first line should say what this file is")]
    NoHeader,
    /// A second first line.
    #[error("a line that belongs at the start of a log file")]
    SecondHeader,
    /// A line of ours that isn't right.
    #[error("this line can't be read: {0}")]
    Control(&'static str),
    /// The file is of another log.
    #[error("this is the log `{found}`, not `{wanted}`")]
    OtherLog {
        /// The origin that was wanted.
        wanted: String,
        /// The origin that was found.
        found: String,
    },
    /// Two lines that should tell of one log don't.
    #[error("the first line contradicts itself: log `{log}` is not the end of origin `{origin}`")]
    LogName {
        /// What it says the log is.
        log: String,
        /// What it says the origin is.
        origin: String,
    },
    /// A key that isn't trusted.
    #[error("the file names a key that is not trusted here: `{0}`; a file's own word for its key proves nothing")]
    ForeignKey(String),
    /// The key in the first line didn't sign the newest checkpoint.
    #[error("the key in the first line has not signed the newest checkpoint")]
    HeaderKey,
    /// A line that is longer than any may be.
    #[error("this line is longer than any of a log file; what follows was not read")]
    LineTooLong,
    /// The file ends inside a line.
    #[error("the file ends inside this line")]
    Cut,
    /// A line that is neither a leaf nor ours.
    #[error("this line is neither a record nor a line of a log file")]
    Neither,
    /// A leaf that is no record, or not in its one spelling.
    #[error("this is no record")]
    Record(#[source] RecordError),
    /// A record that was there already.
    #[error("the record {0} was in this log before")]
    Doubled(String),
    /// A checkpoint that isn't one, or that nobody trusted has signed.
    #[error("this checkpoint doesn't hold")]
    Checkpoint(#[source] AuditError),
    /// A signature that nobody here knows.
    #[error("a signature by a key that is not known here: `{0}`; name the witness, or allow unknown signatures")]
    UnknownSignature(String),
    /// Signed lines that nobody audits.
    #[error("this checkpoint carries lines beyond its root; our logs write none")]
    Extension,
    /// Checkpoints are missing or moved.
    #[error("this is called checkpoint {found}, and it should be {expected}: checkpoints are missing or moved")]
    CheckpointNumber {
        /// The number that should follow.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// A checkpoint of a size that isn't larger than the last.
    #[error("this checkpoint is of {size} leaves, and the one before it of {before}: it doesn't go on")]
    NotGrowing {
        /// The one before.
        before: u64,
        /// This one.
        size: u64,
    },
    /// A checkpoint in the wrong place: leaves were dropped, inserted or moved.
    #[error("this checkpoint is of {size} leaves and stands after {stands_after}: leaves are missing or were added")]
    CheckpointPlace {
        /// What it says.
        size: u64,
        /// Leaves before it in the file.
        stands_after: u64,
    },
    /// The leaves are not those that were signed.
    #[error("one of these leaves is not the one that was signed: their root is {found}, and {signed} was signed")]
    Root {
        /// The root that was signed.
        signed: Hash,
        /// The root of the leaves in the file.
        found: Hash,
    },
    /// Leaves that no checkpoint covers.
    #[error("no checkpoint that holds covers these leaves")]
    Uncovered,
    /// Nothing is signed.
    #[error("there is no checkpoint: nothing vouches for this file")]
    NoCheckpoint,
    /// The file ends without its last line.
    #[error("the last line is missing: the file was cut off")]
    NoEnd,
    /// Something stands after the last line.
    #[error("the file goes on after its last line; what follows was not read")]
    AfterEnd,
    /// The last line counts something else.
    #[error("the last line tells of {said} {what}, and the file has {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// What the line says.
        said: u64,
        /// What there is.
        found: u64,
    },
    /// The digest in the last line is of other bytes.
    #[error("the file is not the one that was written: its digest is another")]
    Digest,
    /// A checkpoint that is known from elsewhere has another root: two histories.
    #[error("FORK: a known checkpoint of {size} leaves has the root {known}, and here it is {found}")]
    Fork {
        /// Leaves.
        size: u64,
        /// The root that is known.
        known: Hash,
        /// The root of the leaves in the file.
        found: Hash,
    },
    /// The log was longer already.
    #[error("this is an older copy: the log had {known} leaves already, and here are {found}")]
    Older {
        /// Leaves of the checkpoint that is known.
        known: u64,
        /// Leaves in the file.
        found: u64,
    },
    /// The log is longer than it should be.
    #[error("the newest checkpoint should be of {wanted} leaves, and it is of {found}")]
    NotNewest {
        /// Leaves that were expected.
        wanted: u64,
        /// Leaves of the newest checkpoint.
        found: u64,
    },
    /// Too few witnesses.
    #[error("the newest checkpoint is not witnessed as demanded")]
    Witnesses(#[source] AuditError),
    /// What is signed doesn't fit together.
    #[error(transparent)]
    Oddity(crate::semantics::Oddity),
}

impl FaultKind {
    /// Signed, and yet wrong.
    fn is_oddity(&self) -> bool {
        matches!(self, Self::Oddity(_))
    }
}
