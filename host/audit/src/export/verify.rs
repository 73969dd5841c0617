//! The verification of a log file: what it is held against, and the way from line to line.

use super::line::{self, Line};
use super::report::{FaultKind, Report};
use super::verifier::Verifier;
use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::name::KeyName;
use crate::trust::Trust;
use std::io::BufRead;

/// What to hold a log file against.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom to believe.
    pub trust: Trust,
    /// Which log it has to be. The name of the trusted keys says it too, where they are of one log. Where nothing says
    /// it, any log of the deployment will do: see [`Report::origin`].
    pub origin: Option<KeyName>,
    /// Checkpoints that are known from elsewhere: from the last verification, from a witness, from another copy. The
    /// log has to contain each of them.
    pub known: Vec<Checkpoint>,
    /// The checkpoint that has to be the newest.
    pub newest: Option<Checkpoint>,
    /// Pass over signatures of keys that are not known. The format of checkpoints asks verifiers to; here it is off,
    /// because a signature that nobody checks is a place where bytes can change unnoticed.
    pub allow_unknown_signatures: bool,
}

impl Options {
    /// Believes, and asks for nothing else.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self { trust, origin: None, known: Vec::new(), newest: None, allow_unknown_signatures: false }
    }
}

/// Checks a log file. What is wrong with it stands in the report.
///
/// # Errors
/// When the file can't be read.
pub fn verify(mut reader: impl BufRead, options: &Options) -> Result<Report, AuditError> {
    let mut verifier = Verifier::new(options);
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let number = verifier.next_line();
        let line = line::read(&mut reader, &mut buffer).map_err(|source| AuditError::Read { line: number, source })?;
        let goes_on = match line {
            Line::Whole => verifier.take(&buffer),
            Line::None => false,
            Line::Cut => verifier.stop(FaultKind::Cut),
            Line::TooLong => verifier.stop(FaultKind::LineTooLong),
        };
        if !goes_on {
            return Ok(verifier.finish());
        }
    }
}
