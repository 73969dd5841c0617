//! Counts what a step had to leave out.

use crate::error::StepError;
use std::fmt::Display;

/// Reasons that are kept word for word; after that only the count grows.
const MAX_REASONS: usize = 3;

/// What a step had to leave out, because the provider's reply lacked something that an object needs.
///
/// The host can't see that a guest skipped an object; it would hold the slice for complete and delete the object. So
/// the step goes on to the end, and then [`Skipped::finish`] makes it fail.
#[derive(Debug, Default)]
pub struct Skipped {
    count: u64,
    reasons: Vec<String>,
}

impl Skipped {
    /// The object, or `None` after taking note of what was missing.
    pub fn unless<T, E: Display>(&mut self, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(reason) => {
                self.add(reason);
                None
            }
        }
    }

    /// Takes note of something left out.
    pub fn add(&mut self, reason: impl Display) {
        self.count += 1;
        let reason = reason.to_string();
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// How many were left out.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Fails when anything was left out.
    ///
    /// # Errors
    /// [`StepError::Unexpected`] with the count and the first different reasons.
    pub fn finish(self) -> Result<(), StepError> {
        if self.count == 0 {
            return Ok(());
        }
        Err(StepError::Unexpected(format!("{} left out, for example: {}", self.count, self.reasons.join("; "))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_step_that_left_something_out_fails_with_the_reasons() {
        assert_eq!(Skipped::default().finish(), Ok(()));
        let mut skipped = Skipped::default();
        assert_eq!(skipped.unless(Ok::<_, &str>(1)), Some(1));
        for reason in ["no id", "no id", "no name", "a", "b"] {
            assert_eq!(skipped.unless(Err::<u8, _>(reason)), None);
        }
        let message = skipped.finish().unwrap_err().to_string();
        assert_eq!(message, "5 left out, for example: no id; no name; a");
    }
}
