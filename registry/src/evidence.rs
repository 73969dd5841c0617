//! What was seen of a module's code when it was compiled and run, and what of that stands in the way of admission. The
//! bytes alone can't show it: someone has to compile them and run them twice (`porthole_runner::replay::smoke` does). The
//! judgement is here and is pure.

use crate::finding::Finding;
use porthole_model::id::StepId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How often a smoke run runs the module: twice, to compare.
pub const SMOKE_RUNS: usize = 2;

/// What was seen. Nothing, where nobody has looked: a part that is missing stands in no way, so whoever needs it asks for
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Evidence {
    /// How compiling went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile: Option<CompileEvidence>,
    /// How a run without a provider went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smoke: Option<SmokeEvidence>,
}

/// How compiling went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CompileEvidence {
    /// Within the compiler's limits of time, memory and size.
    Compiled,
    /// The compiler refused, crashed, or reached a limit.
    Refused {
        /// What it said.
        why: String,
    },
}

/// How a run without a provider went, twice on the same input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SmokeEvidence {
    /// Declared steps that the code doesn't have.
    pub missing_steps: BTreeSet<StepId>,
    /// The code finishes a step that the manifest doesn't declare.
    pub answers_undeclared: bool,
    /// A digest over everything that the module asked and emitted, of each run.
    pub digests: Vec<String>,
    /// Why it couldn't be run to the end.
    pub error: Option<String>,
}

impl Evidence {
    /// What stands in the way of admission.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        // Taken apart without `..`, so that a new field can't be forgotten.
        let Self { compile, smoke } = self;
        let mut findings = Vec::new();
        if let Some(CompileEvidence::Refused { why }) = compile {
            findings.push(
                Finding::error("component: compile", format!("doesn't compile within the limits: {}", shown(why)))
                    .hint("make the code smaller, or split the module"),
            );
        }
        if let Some(smoke) = smoke {
            findings.extend(smoke.findings());
        }
        findings
    }
}

impl SmokeEvidence {
    fn findings(&self) -> Vec<Finding> {
        let Self { missing_steps, answers_undeclared, digests, error } = self;
        let mut findings = Vec::new();
        for step in missing_steps {
            findings.push(
                Finding::error(format!("step `{step}`"), "is declared, and the code has no such step")
                    .hint("add it to the code, or take it out of the manifest"),
            );
        }
        if *answers_undeclared {
            findings.push(
                Finding::error("component: steps", "finishes a step that the manifest doesn't declare")
                    .hint("refuse unknown steps, as the SDK does"),
            );
        }
        match (error, digests.as_slice()) {
            (Some(error), _) => {
                findings.push(Finding::error("smoke run", format!("couldn't be run to the end: {}", shown(error))));
            }
            (None, digests) if digests.len() != SMOKE_RUNS => {
                let message =
                    format!("has {} of {SMOKE_RUNS} runs, so nothing shows that they are the same", digests.len());
                findings.push(Finding::error("smoke run", message));
            }
            (None, digests) => {
                if let Some((first, other)) = digests.first().zip(digests.iter().find(|d| Some(*d) != digests.first()))
                {
                    let message = format!("two runs of the same input differ: {} and {}", shown(first), shown(other));
                    findings.push(Finding::error("smoke run", message).hint(
                        "a run has to be repeatable: look for maps without an order and for addresses used as values",
                    ));
                }
            }
        }
        findings
    }
}

/// One line of what a compiler or a guest said.
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if crate::text::deceives(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::Findings;
    use crate::admit::{admit, admit_with};
    use crate::fixture::packed;

    fn same() -> SmokeEvidence {
        SmokeEvidence { digests: vec!["blake3:aa".to_owned(); SMOKE_RUNS], ..SmokeEvidence::default() }
    }

    fn refusal(evidence: Evidence) -> String {
        Findings(admit_with(&packed().bytes, &evidence).unwrap_err()).to_string()
    }

    #[test]
    fn evidence_in_order_admits() {
        let evidence = Evidence { compile: Some(CompileEvidence::Compiled), smoke: Some(same()) };
        assert_eq!(admit_with(&packed().bytes, &evidence), admit(&packed().bytes));
        assert_eq!(admit_with(&packed().bytes, &Evidence::default()), admit(&packed().bytes));
    }

    #[test]
    fn each_failure_is_a_finding_with_its_place() {
        let compile = CompileEvidence::Refused { why: "memory\u{202e} limit".to_owned() };
        let text = refusal(Evidence { compile: Some(compile), smoke: None });
        assert!(text.starts_with("component: compile: doesn't compile within the limits: memory  limit"), "{text}");
        let smoke = |smoke| refusal(Evidence { compile: None, smoke: Some(smoke) });
        let missing = BTreeSet::from([StepId::new("users").unwrap()]);
        assert!(smoke(SmokeEvidence { missing_steps: missing, ..same() }).starts_with("step `users`: is declared"));
        assert!(smoke(SmokeEvidence { answers_undeclared: true, ..same() }).starts_with("component: steps: finishes"));
        let other = vec!["blake3:aa".to_owned(), "blake3:bb".to_owned()];
        assert!(smoke(SmokeEvidence { digests: other, ..same() }).contains("differ: blake3:aa and blake3:bb"));
        assert!(smoke(SmokeEvidence { digests: vec![], ..same() }).contains("has 0 of 2 runs"));
        assert!(smoke(SmokeEvidence { error: Some("trap".to_owned()), ..same() }).contains("run to the end: trap"));
    }
}
