//! Did the run go as its record says? An auditor needs three things for the answer: the module's file, the transcript, and
//! the record of the run (`porthole runs show RUN --json`).

use super::offline::{self, Input, Module, ReplayError, Replayed, Tools, steps_of};
use super::replayer::Replayer;
use super::strict::Strict;
use crate::answers::Answers;
use crate::limits::RunLimits;
use crate::sink::Sink;
use crate::transcript::{Header, Transcript};
use jiff::Timestamp;
use porthole_model::id::{ModuleDigest, RunId};
use serde::Deserialize;
use std::sync::Arc;

/// What a run's record says, as far as a replay can check it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub id: RunId,
    /// Its module.
    pub module: ModuleDigest,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// What it collected.
    pub graph_digest: Option<String>,
    /// What it asked and got.
    pub transcript_digest: Option<String>,
}

/// Both forms in which the record of a run is printed.
#[derive(Deserialize)]
#[serde(untagged)]
enum Printed {
    Shown { run: RunRecord },
    Run(RunRecord),
}

impl RunRecord {
    /// Reads what `porthole runs show RUN --json` or `porthole run --json` printed.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(|printed| match printed {
            Printed::Shown { run } | Printed::Run(run) => run,
        })
    }

    /// Where the transcript speaks of another run. `graph` and `transcript` are what was found here.
    #[must_use]
    pub fn differences(&self, header: &Header, graph: &str, transcript: &str) -> Vec<Difference> {
        let started = self.started_at.map(|at| at.as_millisecond().to_string());
        let rows = [
            ("run", Some(self.id.to_string()), header.run.map_or_else(|| "none".to_owned(), |run| run.to_string())),
            ("module", Some(self.module.to_string()), header.module.to_string()),
            ("started-at-ms", started, header.started_at_ms.to_string()),
            ("graph digest", self.graph_digest.clone(), graph.to_owned()),
            ("transcript digest", self.transcript_digest.clone(), transcript.to_owned()),
        ];
        let differs = |(what, recorded, found): (&'static str, Option<String>, String)| {
            let recorded = recorded.unwrap_or_else(|| "none".to_owned());
            (recorded != found).then_some(Difference { what, recorded, found })
        };
        rows.into_iter().filter_map(differs).collect()
    }
}

/// Something that isn't as it was expected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// What.
    pub what: &'static str,
    /// As the record has it.
    pub recorded: String,
    /// As it was found.
    pub found: String,
}

/// Replays a transcript with the module that ran. What the guest asks must be what it asked, in its order.
///
/// # Errors
/// When the module is another one, or asks for something else: the fault names step, call and operation.
pub async fn replay(tools: &Tools, module: &Module, transcript: Transcript) -> Result<Replayed, ReplayError> {
    replay_into(tools, module, Arc::new(transcript), Sink::Nowhere).await
}

/// The same, with a place for the objects.
pub(super) async fn replay_into(
    tools: &Tools,
    module: &Module,
    transcript: Arc<Transcript>,
    sink: Sink,
) -> Result<Replayed, ReplayError> {
    let header = transcript.header().clone();
    if header.module != module.digest {
        return Err(ReplayError::WrongModule { transcript: header.module, file: module.digest });
    }
    let steps = steps_of(&module.manifest, &header.steps)?;
    let answers = Answers::Replay(Arc::new(Replayer::Strict(Strict::new(Arc::clone(&transcript)))));
    let wall = RunLimits::default().wall;
    offline::run(tools, module, Input { header, steps, answers, sink, wall }).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn both_printed_forms_of_a_run_are_read_and_each_difference_is_named() {
        let run = RunId::new();
        let digest = ModuleDigest([1; 32]);
        let json = serde_json::json!({
            "id": run, "module": digest, "started_at": "2026-01-02T03:04:05.678901Z", "graph_digest": "blake3:aa",
            "transcript_digest": "sha256:bb", "state": "finished", "more": [1, 2],
        });
        let record = RunRecord::parse(json.to_string().as_bytes()).unwrap();
        let shown = serde_json::json!({ "run": json, "slices": [] });
        assert_eq!(RunRecord::parse(shown.to_string().as_bytes()).unwrap(), record);
        assert!(RunRecord::parse(b"[]").is_err());

        let mut header = Header::new(digest, BTreeMap::new(), &porthole_wire::Limits::default());
        header.run = Some(run);
        header.started_at_ms = 1_767_323_045_678;
        assert_eq!(record.differences(&header, "blake3:aa", "sha256:bb"), []);
        header.started_at_ms += 1;
        let found = record.differences(&header, "blake3:ab", "sha256:bb");
        assert_eq!(found.iter().map(|d| d.what).collect::<Vec<_>>(), ["started-at-ms", "graph digest"]);
    }
}
