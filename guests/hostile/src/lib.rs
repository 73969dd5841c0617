//! One guest, many attacks. The step's name chooses the attack; each function of `attack` is one, and says what it tries
//! and what must come of it. `manifest.toml` has a step for each.
//!
//! It speaks to the world through raw bindings: the SDK is polite, and an attacker doesn't use it.
#![cfg(target_arch = "wasm32")]

mod attack;

/// The world, as wit-bindgen has it.
#[allow(missing_docs, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ world: "integration", path: "../../wit/integration@0.1.0" });
}

use bindings::exports::porthole::integration::steps::{Guest, StepError};

/// What an attack returns is what it claims.
type Attack = fn(&Task) -> Result<(), StepError>;

/// The step and its partition.
struct Task {
    step: String,
    partition: String,
}

impl Task {
    /// The entity type that is the step's own: one step emits all of a type.
    fn entity_type(&self) -> String {
        format!("hostile_{}", self.step.replace('-', "_"))
    }

    /// A good entity of that type, as a line.
    fn thing(&self, key: &str) -> String {
        let entity_type = self.entity_type();
        format!(r#"{{"e":"{entity_type}","k":"{key}","c":["Record"],"n":"{key}","p":{{}}}}"#) + "\n"
    }
}

struct Hostile;

impl Guest for Hostile {
    fn partitions(step: String) -> Result<Vec<String>, StepError> {
        attack::partitions(&step)
    }

    fn run(step: String, partition: String) -> Result<(), StepError> {
        match attack::ATTACKS.iter().find(|(name, _)| *name == step) {
            Some((_, attack)) => attack(&Task { step, partition }),
            None => Err(StepError::Config(format!("no attack is called `{step}`"))),
        }
    }
}

bindings::export!(Hostile with_types_in bindings);
