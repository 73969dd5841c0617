//! `porthole replay`: a run once more, from its transcript. No network, no database, and no data folder.

use crate::commands::module::read;
use crate::commands::up::WorkerFlags;
use crate::context::Cx;
use crate::output::{self, number, plain};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use porthole_runner::compile::Compiler;
use porthole_runner::replay::offline::{Module, Replayed, Tools, told};
use porthole_runner::replay::verify::{self, Difference, RunRecord};
use porthole_runner::transcript::{Header, Transcript};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The exit status of a replay that isn't what was expected.
const DIFFERS: u8 = 2;

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 when everything is as expected, 2 when something differs, 1 when it can't be \
                        replayed. A transcript that agrees with itself proves nothing about its run: compare it with \
                        the run's record (--run) or with digests from it (--expect).")]
pub(crate) struct Replay {
    /// The transcript, as `porthole run --record` wrote it.
    file: PathBuf,
    /// The module that ran: its packed file.
    #[arg(long, value_name = "MODULE.porthole")]
    module: PathBuf,
    /// The graph digest (blake3:…) or the transcript digest (sha256:…) that must come out; may be given twice.
    #[arg(long, value_name = "DIGEST")]
    expect: Vec<String>,
    /// The run's record that it must agree with: what `porthole runs show RUN --json` printed.
    #[arg(long, value_name = "RUN.json")]
    run: Option<PathBuf>,
    /// Print what the guest and the host logged, the first thousand lines.
    #[arg(long)]
    log: bool,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    worker: WorkerFlags,
}

/// What a replay came to. No time and no place is in it: two replays print the same bytes.
#[derive(Debug, Serialize)]
struct Report {
    module: String,
    module_digest: String,
    run: Option<String>,
    slices: usize,
    complete: usize,
    calls: u64,
    objects: u64,
    graph_digest: Option<String>,
    transcript_digest: String,
    /// What the guest did otherwise than in the run, if that ended the replay.
    fault: Option<String>,
    differences: Vec<Difference>,
}

impl Replay {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        for digest in &self.expect {
            if !digest.starts_with("blake3:") && !digest.starts_with("sha256:") {
                bail!("`{digest}` is no digest: blake3:… is a graph's, sha256:… a transcript's");
            }
        }
        let record = self.record()?;
        let module = Module::admit(read(&self.module)?).with_context(|| self.module.display().to_string())?;
        let transcript = Transcript::open(&self.file)?;
        let header = transcript.header().clone();
        let mut report = Report {
            module: module.name(),
            module_digest: module.digest.to_string(),
            run: header.run.map(|run| run.to_string()),
            slices: 0,
            complete: 0,
            calls: transcript.calls(),
            objects: 0,
            graph_digest: None,
            transcript_digest: transcript.digest().to_owned(),
            fault: None,
            differences: Vec::new(),
        };
        let workshop = Workshop::new(&cx, &self.worker)?;
        match verify::replay(&workshop.tools, &module, transcript).await {
            Ok(replayed) => {
                report.ran(&replayed);
                report.differences = self.differences(record.as_ref(), &header, &replayed);
                if self.log {
                    show_log(&replayed);
                }
            }
            Err(e) if e.is_difference() => report.fault = Some(told(&e)),
            Err(e) => return Err(e.into()),
        }
        if self.json {
            output::json(&report)?;
        } else {
            self.show(&report);
        }
        let same = report.fault.is_none() && report.differences.is_empty();
        Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
    }

    fn record(&self) -> Result<Option<RunRecord>> {
        let Some(path) = &self.run else { return Ok(None) };
        let what = || format!("{} is no record of a run, as `porthole runs show RUN --json` prints it", path.display());
        RunRecord::parse(&read(path)?).with_context(what).map(Some)
    }

    fn differences(&self, record: Option<&RunRecord>, header: &Header, replayed: &Replayed) -> Vec<Difference> {
        let Replayed { graph_digest: graph, transcript_digest: transcript, .. } = replayed;
        let mut differences = record.map(|r| r.differences(header, graph, transcript)).unwrap_or_default();
        for expected in &self.expect {
            let (what, found) = match expected.starts_with("blake3:") {
                true => ("graph digest", graph),
                false => ("transcript digest", transcript),
            };
            if found != expected {
                differences.push(Difference { what, recorded: expected.clone(), found: found.clone() });
            }
        }
        differences
    }

    fn show(&self, report: &Report) {
        let Report { slices, complete, .. } = report;
        output::line(format!("replayed {} ({})", report.module, report.module_digest));
        if let Some(run) = &report.run {
            output::line(format!("  run: {run}"));
        }
        output::line(format!("  {} calls, none of them sent", number(report.calls)));
        if let Some(fault) = &report.fault {
            output::line(format!("  DIFFERS: {}", plain(fault)));
            return;
        }
        output::line(format!("  {} objects in {slices} slices, {complete} of them complete", number(report.objects)));
        if let Some(graph) = &report.graph_digest {
            output::line(format!("  graph digest:      {graph}"));
        }
        output::line(format!("  transcript digest: {}", report.transcript_digest));
        for difference in &report.differences {
            let Difference { what, recorded, found } = difference;
            output::line(format!("  DIFFERS: {what}: expected {}, found {}", plain(recorded), plain(found)));
        }
        if !report.differences.is_empty() {
            return;
        }
        match (&self.run, self.expect.is_empty()) {
            (Some(path), _) => output::line(format!("  as {} says: run, module, start, digests", path.display())),
            (None, false) => output::line("  as expected"),
            (None, true) => {
                output::note("compared with nothing: --run RUN.json or --expect DIGEST says what it must be")
            }
        }
    }
}

impl Report {
    fn ran(&mut self, replayed: &Replayed) {
        let slices = &replayed.collected.slices;
        self.slices = slices.len();
        self.complete = slices.iter().filter(|s| s.verdict.complete).count();
        self.objects = replayed.objects();
        self.graph_digest = Some(replayed.graph_digest.clone());
        self.transcript_digest.clone_from(&replayed.transcript_digest);
    }
}

fn show_log(replayed: &Replayed) {
    for line in &replayed.lines {
        let place = line.slice.as_ref().map(|s| format!(" {}", plain(&s.to_string()))).unwrap_or_default();
        let (level, source) = (line.level.as_str(), line.source.as_str());
        output::note(format!("{level:<5} {source:<5}{place}: {}", plain(&line.message)));
    }
}

/// The programs that run a module here, and a place for compiled code.
pub(crate) struct Workshop {
    pub(crate) tools: Tools,
    /// Where there is no data folder that can be written to: an auditor's machine has none.
    _folder: Option<tempfile::TempDir>,
}

impl Workshop {
    pub(crate) fn new(cx: &Cx, flags: &WorkerFlags) -> Result<Self> {
        let settings = &cx.settings;
        let kept = settings.data.is_dir().then(|| Compiler::new(&settings.bin_dir, &settings.data).ok()).flatten();
        let (compiler, folder) = match kept {
            Some(compiler) => (compiler, None),
            None => {
                let folder = tempfile::tempdir().context("no folder for compiled code")?;
                (Compiler::new(&settings.bin_dir, folder.path())?, Some(folder))
            }
        };
        let tools = Tools {
            compiler: Arc::new(compiler),
            sandbox: settings.bin_dir.join("porthole-sandbox"),
            allow_weak_isolation: flags.allow_weak_isolation,
        };
        Ok(Self { tools, _folder: folder })
    }
}
