//! What a smoke run showed, as admission takes it.

use super::smoke;
use porthole_registry::evidence::{CompileEvidence, Evidence, SmokeEvidence};

/// The evidence of a smoke run. Code that didn't compile has run nowhere, so that is all there is to say of it.
#[must_use]
pub fn evidence(smoke: &smoke::Evidence) -> Evidence {
    // Taken apart without `..`, so that a new field can't be forgotten.
    let smoke::Evidence {
        compiled,
        code_bytes: _,
        component_bytes: _,
        isolated: _,
        tasks: _,
        missing_steps,
        answers_undeclared,
        digests,
        error,
    } = smoke;
    if !compiled {
        let why = error.clone().unwrap_or_else(|| "nobody compiled it".to_owned());
        return Evidence { compile: Some(CompileEvidence::Refused { why }), smoke: None };
    }
    Evidence {
        compile: Some(CompileEvidence::Compiled),
        smoke: Some(SmokeEvidence {
            missing_steps: missing_steps.clone(),
            answers_undeclared: *answers_undeclared,
            digests: digests.clone(),
            error: error.clone(),
        }),
    }
}
