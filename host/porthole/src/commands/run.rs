//! `porthole run`: queue a run, work on it here unless a worker is faster, and watch it.

use crate::commands::up::{Sequencing, WorkerFlags, parts, record_config, stop_on_signal, worker_name};
use crate::context::{Cx, InstancePath};
use crate::{output, watch};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use porthole_model::id::{RunId, TenantId};
use porthole_model::run::{Outcome, RunMode, RunState};
use porthole_runner::worker;
use porthole_store::runs::{self, NewRun, Run as RunRow};
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long another worker may have a run before this process looks whether it could claim it.
const CLAIM_EVERY: Duration = Duration::from_millis(500);

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
            None => {
                let path = self.instance.as_ref().context("say which instance: TENANT/NAME")?;
                let (tenant, mut tx, instance) = cx.open(&db, path).await?;
                let mode = if self.plan { RunMode::Plan } else { RunMode::Apply };
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
        let code = match &ended {
            Ok(run) if json => output::json(run).map(|()| code(run)),
            Ok(run) => {
                let shown = watch::summary(&db.store, tenant, run).await;
                if run.mode == RunMode::Plan {
                    output::line("  a plan: nothing was committed");
                }
                shown.map(|()| code(run))
            }
            Err(_) => Ok(ExitCode::FAILURE),
        };
        db.close().await;
        ended?;
        code
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

/// 0: succeeded. 2: over, and something is missing. 3: held. 1: everything else.
fn code(run: &RunRow) -> ExitCode {
    match (run.state, run.outcome) {
        (_, Some(Outcome::Succeeded)) => ExitCode::SUCCESS,
        (_, Some(Outcome::Partial)) => ExitCode::from(2),
        (RunState::Held, _) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
