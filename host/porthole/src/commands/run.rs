//! `porthole run`: queue a run, work on it here unless a worker is faster, and watch it.

use crate::commands::up::{Sequencing, WorkerFlags, parts, record_config, stop_on_signal, worker_name};
use crate::context::{Cx, Database, InstancePath};
use crate::{output, watch};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use porthole_model::id::{RunId, TenantId};
use porthole_model::run::{Outcome, RunMode, RunState};
use porthole_runner::worker;
use porthole_store::runs::{self, NewRun, Run as RunRow};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long another worker may have a run before this process looks whether it could claim it.
const CLAIM_EVERY: Duration = Duration::from_millis(500);
/// How often a run that is to be recorded is tried again while another run of its instance is active.
const WAIT_FOR_OTHER: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Run {
    #[command(subcommand)]
    command: Option<RunCommand>,
    /// TENANT/NAME.
    #[arg(required = true)]
    instance: Option<InstancePath>,
    /// Show what would change; commit nothing.
    #[arg(long)]
    plan: bool,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    reason: String,
    /// Leave the run to a worker; don't wait.
    #[arg(long)]
    detach: bool,
    /// Keep what the module asks and gets in this file, for `porthole replay` and `porthole module compare`. The run is
    /// worked on here, by no other worker. No secret is in it; what the provider answers is.
    #[arg(long, value_name = "FILE", conflicts_with = "detach")]
    record: Option<PathBuf>,
    /// The run as JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    worker: WorkerFlags,
}

#[derive(Debug, Subcommand)]
enum RunCommand {
    /// Apply a run that was held because it would delete an unusual share.
    Confirm {
        /// The run.
        run: RunId,
        /// The run as JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl Run {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        if let Some(file) = &self.record {
            // Before anything is asked of a provider in vain.
            if file.exists() {
                bail!("{} is there already; nothing is overwritten", file.display());
            }
        }
        let db = cx.database().await?;
        let (tenant, run, json) = match &self.command {
            Some(RunCommand::Confirm { run, json }) => {
                let tenant = runs::queued_tenant(&db.store, *run).await?;
                let tenant = tenant.with_context(|| format!("no run `{run}` waits for anything"))?;
                let mut tx = db.store.tenant(tenant).await?;
                runs::confirm(&cx.op(), &mut tx, *run).await?;
                tx.commit().await?;
                (tenant, *run, *json)
            }
            None if self.record.is_some() => return self.record(&cx, db).await,
            None => {
                let (tenant, mut tx, instance) = cx.open(&db, self.path()?).await?;
                let mode = self.mode();
                let new = NewRun { instance: instance.id, mode, reason: &self.reason };
                let run = runs::create(&cx.op(), &mut tx, new).await?;
                tx.commit().await?;
                (tenant.id, run.id, self.json)
            }
        };
        if self.detach {
            output::line(run.to_string());
            db.close().await;
            return Ok(ExitCode::SUCCESS);
        }
        record_config(&cx, &db.store).await?;
        let sequencing = Sequencing::start(&cx, &db.store).await;
        let ended = self.watch(&cx, &db.store, tenant, run, json).await;
        sequencing.finish().await;
        let code = show_end(&db.store, tenant, &ended, json).await;
        db.close().await;
        ended?;
        code
    }

    fn path(&self) -> Result<&InstancePath> {
        self.instance.as_ref().context("say which instance: TENANT/NAME")
    }

    fn mode(&self) -> RunMode {
        if self.plan { RunMode::Plan } else { RunMode::Apply }
    }

    /// Runs the instance here, and keeps the transcript.
    async fn record(&self, cx: &Cx, db: Database) -> Result<ExitCode> {
        let file = self.record.as_deref().context("say where: --record FILE")?;
        record_config(cx, &db.store).await?;
        let sequencing = Sequencing::start(cx, &db.store).await;
        let (tenant, tx, instance) = cx.open(&db, self.path()?).await?;
        tx.rollback().await?;
        let new = NewRun { instance: instance.id, mode: self.mode(), reason: &self.reason };
        let ended = self.record_run(cx, &db.store, tenant.id, new, file).await;
        sequencing.finish().await;
        let code = show_end(&db.store, tenant.id, &ended, self.json).await;
        db.close().await;
        ended?;
        match file.metadata() {
            Ok(kept) => output::note(format!("transcript: {} ({})", file.display(), output::bytes(kept.len()))),
            Err(_) => output::note("no transcript: the run didn't come to the end of its steps"),
        }
        code
    }

    async fn record_run(
        &self,
        cx: &Cx,
        store: &porthole_store::Store,
        tenant: TenantId,
        new: NewRun<'_>,
        file: &Path,
    ) -> Result<RunRow> {
        let parts = parts(cx, store.clone(), &self.worker)?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        let (name, op) = (worker_name(), cx.op());
        let claimed = loop {
            if let Some(claimed) = runs::create_claimed(&op, store, tenant, new, &name, parts.lease).await? {
                break claimed;
            }
            output::note("another run of the instance is active; waiting for its end");
            tokio::select! {
                () = stop.cancelled() => bail!("interrupted; nothing was queued"),
                () = tokio::time::sleep(WAIT_FOR_OTHER) => {}
            }
        };
        let run = claimed.run.id;
        let (ended, ()) = tokio::join!(
            watch::follow(store, tenant, run, self.json),
            worker::record(&parts, claimed, stop.clone(), file)
        );
        ended
    }

    async fn watch(
        &self,
        cx: &Cx,
        store: &porthole_store::Store,
        tenant: TenantId,
        run: RunId,
        json: bool,
    ) -> Result<RunRow> {
        let parts = parts(cx, store.clone(), &self.worker)?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        let name = worker_name();
        let work = async {
            // A worker may have it already, or another run of the instance may be active: then look again.
            while !worker::work_on(&parts, &name, run, stop.clone()).await? {
                tokio::time::sleep(CLAIM_EVERY).await;
            }
            // What is left to do is to see the end of it.
            std::future::pending::<Result<RunRow>>().await
        };
        let interrupted = async {
            stop.cancelled().await;
            // A run that this process has ends in order; one that a worker has goes on without us.
            tokio::time::sleep(Duration::from_secs(20)).await;
            anyhow::bail!("interrupted; `porthole runs cancel {run}` ends the run")
        };
        tokio::select! {
            ended = watch::follow(store, tenant, run, json) => ended,
            failed = work => failed,
            interrupted = interrupted => interrupted,
        }
    }
}

/// Shows what a run came to, and says with which status to exit.
async fn show_end(
    store: &porthole_store::Store,
    tenant: TenantId,
    ended: &Result<RunRow>,
    json: bool,
) -> Result<ExitCode> {
    let Ok(run) = ended else { return Ok(ExitCode::FAILURE) };
    if json {
        return output::json(run).map(|()| code(run));
    }
    watch::summary(store, tenant, run).await?;
    if run.mode == RunMode::Plan {
        output::line("  a plan: nothing was committed");
    }
    Ok(code(run))
}

/// 0: succeeded. 2: over, and something is missing. 3: held. 1: everything else.
fn code(run: &RunRow) -> ExitCode {
    match (run.state, run.outcome) {
        (_, Some(Outcome::Succeeded)) => ExitCode::SUCCESS,
        (_, Some(Outcome::Partial)) => ExitCode::from(2),
        (RunState::Held, _) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
