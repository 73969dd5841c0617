//! `porthole runs`: the ledger.

use crate::context::{Cx, Database, InstancePath};
use crate::{output, watch};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use porthole_model::id::RunId;
use porthole_store::tenants::Tenant;
use porthole_store::{calls, log, rejections, run_slices, runs};
use std::process::ExitCode;
use std::str::FromStr;

/// Log lines and calls that are read at a time.
const PAGE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// The newest runs.
    List {
        /// Of this instance only: TENANT/NAME.
        instance: Option<InstancePath>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One run: outcome, counts, slices, denials, what held around the guest.
    Show(Show),
    /// The log of a run.
    Log {
        /// A run's id, or TENANT/NAME for the newest run of an instance.
        run: Which,
        /// JSON Lines instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Every call of a run, in order.
    Calls {
        /// A run's id, or TENANT/NAME for the newest run of an instance.
        run: Which,
        /// JSON Lines instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// End a run.
    Cancel {
        /// A run's id, or TENANT/NAME for the newest run of an instance.
        run: Which,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A run's id, or TENANT/NAME for the newest run of an instance.
    run: Which,
    /// Only what was denied.
    #[arg(long)]
    denied: bool,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// A run, as people name it.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    Run(RunId),
    NewestOf(InstancePath),
}

impl FromStr for Which {
    type Err = porthole_model::id::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(id) => Ok(Self::Run(id)),
            Err(_) => text.parse().map(Self::NewestOf),
        }
    }
}

impl Runs {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let db = cx.database().await?;
        match self {
            Self::List { instance, limit, json } => list(&cx, &db, instance, limit, json).await?,
            Self::Show(show) => show.run(&cx, &db).await?,
            Self::Log { run, json } => read_log(&cx, &db, run, json).await?,
            Self::Calls { run, json } => read_calls(&cx, &db, run, json).await?,
            Self::Cancel { run } => {
                let (tenant, run) = find(&cx, &db, run).await?;
                let mut tx = db.store.tenant(tenant.id).await?;
                let run = runs::request_cancel(&cx.op(), &mut tx, run).await?;
                tx.commit().await?;
                output::line(match run.outcome {
                    Some(outcome) => format!("run {} is over: {outcome}", run.id),
                    None => format!("run {} ends with its worker's next heartbeat", run.id),
                });
            }
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

pub(crate) async fn find(cx: &Cx, db: &Database, which: Which) -> Result<(Tenant, RunId)> {
    match which {
        Which::NewestOf(path) => {
            let (tenant, mut tx, instance) = cx.open(db, &path).await?;
            let name = &instance.name;
            let newest = runs::list(&mut tx, Some(instance.id), 1).await?.into_iter().next();
            let newest = newest.with_context(|| format!("instance `{name}` has no run yet"))?;
            Ok((tenant, newest.id))
        }
        Which::Run(run) => {
            let tenant = cx.the_tenant(db).await?;
            // A run without calls and no such run are two things.
            runs::get(&mut db.store.tenant(tenant.id).await?, run).await?;
            Ok((tenant, run))
        }
    }
}

async fn list(cx: &Cx, db: &Database, instance: Option<InstancePath>, limit: u32, json: bool) -> Result<()> {
    let (tenant, instance) = match instance {
        Some(path) => {
            let (tenant, _, instance) = cx.open(db, &path).await?;
            (tenant, Some(instance.id))
        }
        None => (cx.the_tenant(db).await?, None),
    };
    let mut tx = db.store.tenant(tenant.id).await?;
    let all = runs::list(&mut tx, instance, limit).await?;
    if json {
        return output::json(&all);
    }
    output::table(
        &["run", "instance", "state", "outcome", "queued", "by", "message"],
        all.into_iter().map(|r| {
            let outcome = r.outcome.map(|o| o.to_string()).unwrap_or_default();
            let queued = r.queued_at.strftime("%Y-%m-%d %H:%M:%S").to_string();
            let message = r.message.chars().take(80).collect();
            vec![
                r.id.to_string(),
                r.instance_name.to_string(),
                r.state.to_string(),
                outcome,
                queued,
                r.requested_by,
                message,
            ]
        }),
    );
    Ok(())
}

impl Show {
    async fn run(self, cx: &Cx, db: &Database) -> Result<()> {
        let (tenant, id) = find(cx, db, self.run).await?;
        let mut tx = db.store.tenant(tenant.id).await?;
        let run = runs::get(&mut tx, id).await?;
        let denials = calls::denials(&mut tx, id).await?;
        if self.denied {
            if self.json {
                return output::json(&denials);
            }
            watch::denied(&denials);
            return Ok(());
        }
        let slices = run_slices::list(&mut tx, id).await?;
        let operations = calls::by_operation(&mut tx, id).await?;
        if self.json {
            let set_aside = rejections::list(&mut tx, id, 0, PAGE).await?;
            return output::json(&serde_json::json!({
                "run": run, "slices": slices, "operations": operations, "denials": denials, "set_aside": set_aside,
            }));
        }
        tx.commit().await?;
        watch::summary(&db.store, tenant.id, &run).await?;
        output::table(
            &["  operation", "calls", "denied", "faults", "received", "waited"],
            operations.into_iter().map(|o| {
                vec![
                    format!("  {}", o.operation),
                    output::number(o.allowed),
                    output::number(o.denied),
                    output::number(o.faults),
                    output::bytes(o.response_bytes),
                    format!("{:.1} s", o.waited_ms as f64 / 1000.0),
                ]
            }),
        );
        if let Some(isolation) = &run.isolation {
            output::line(format!("  isolation: {isolation}"));
        }
        if let Some(peaks) = run.usage.as_ref().and_then(|u| u.get("peak_memory_bytes")) {
            let peak = |name: &str| output::bytes(peaks.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0));
            output::line(format!("  peak memory: sandbox {}, worker {}", peak("sandbox"), peak("worker")));
        }
        if let Some(digest) = &run.graph_digest {
            output::line(format!("  graph digest: {digest}"));
        }
        if let Some(digest) = &run.transcript_digest {
            output::line(format!("  transcript digest: {digest}"));
        }
        Ok(())
    }
}

async fn read_log(cx: &Cx, db: &Database, run: Which, json: bool) -> Result<()> {
    let (tenant, run) = find(cx, db, run).await?;
    let mut after = 0;
    loop {
        let mut tx = db.store.tenant(tenant.id).await?;
        let lines = log::read(&mut tx, run, after, PAGE).await?;
        tx.commit().await?;
        let Some(last) = lines.last() else { return Ok(()) };
        after = last.seq;
        for line in lines {
            if json {
                output::json_line(&line)?;
                continue;
            }
            let at = line.at.strftime("%H:%M:%S%.3f");
            let place = match (line.step.as_str(), line.partition.as_str()) {
                ("", _) => String::new(),
                (step, "") => format!(" {step}"),
                (step, partition) => format!(" {step}/{}", output::plain(partition)),
            };
            output::line(format!("{at} {:<5} {:<5}{place}: {}", line.level, line.source, output::plain(&line.message)));
        }
    }
}

async fn read_calls(cx: &Cx, db: &Database, run: Which, json: bool) -> Result<()> {
    let (tenant, run) = find(cx, db, run).await?;
    let mut after = 0;
    loop {
        let mut tx = db.store.tenant(tenant.id).await?;
        let calls = calls::list(&mut tx, run, after, PAGE).await?;
        tx.commit().await?;
        let Some(last) = calls.last() else { return Ok(()) };
        after = last.seq;
        if json {
            calls.iter().try_for_each(output::json_line)?;
            continue;
        }
        let rows = calls.into_iter().map(|c| {
            let status = c.status.map(|s| s.to_string()).unwrap_or_default();
            let status = if c.reused { format!("{status}, stored reply") } else { status };
            let fault = c.fault_code.unwrap_or_default();
            let took = format!("{} ms", c.elapsed_ms);
            vec![c.seq.to_string(), c.slice.to_string(), c.operation, c.decision, status, fault, took]
        });
        output::table(&["#", "slice", "operation", "decision", "status", "fault", "took"], rows);
    }
}
