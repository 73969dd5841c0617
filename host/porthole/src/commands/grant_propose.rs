//! `porthole grant propose`: the narrower grant that would have sufficed for what the last runs did.

use crate::context::{Cx, InstancePath};
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use porthole_model::grant_proposal::{PROPOSED_VALUES, Proposal, propose};
use porthole_model::run::Outcome;
use porthole_model::usage::RunUse;
use porthole_store::{grants, modules, runs};

#[derive(Debug, Args)]
pub(crate) struct Propose {
    /// TENANT/NAME.
    instance: InstancePath,
    /// How many of the newest successful runs of the current module are looked at.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// The proposed grant as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

impl Propose {
    pub(crate) async fn run(self, cx: &Cx) -> Result<()> {
        let db = cx.database().await?;
        let (tenant, mut tx, instance) = cx.open(&db, &self.instance).await?;
        let name = format!("{}/{}", tenant.name, instance.name);
        let manifest = modules::get(&mut tx, instance.module).await?.manifest;
        let granted = grants::current(&mut tx, instance.id).await?.context("nothing is granted")?;
        let newest = runs::list(&mut tx, Some(instance.id), runs::MAX_LIST).await?;
        tx.rollback().await?;
        db.close().await;

        let good = newest.iter().filter(|r| r.module == instance.module && r.outcome == Some(Outcome::Succeeded));
        let used: Vec<RunUse> = good
            .filter_map(|r| r.usage.clone())
            .take(self.runs as usize)
            .map(|usage| serde_json::from_value(usage).context("what a run used can't be read"))
            .collect::<Result<_>>()?;
        if used.is_empty() {
            bail!("{name} has no successful run of its current module: there is nothing to go by");
        }
        // A configuration that no longer fits fixes nothing; then arguments that it would fix get no limit.
        let config = porthole_registry::resolve_config(&manifest, &instance.config).map(|c| c.values);
        let proposal = propose(&manifest, &config.unwrap_or_default(), &granted.grant, &used);
        if self.json {
            return output::json(&proposal.grant);
        }
        show(&name, &proposal, granted.grant.operations.len());
        match proposal.command(&name, &granted.grant) {
            Some(command) => output::line(command),
            None => output::line("nothing to leave away: everything that is granted was used"),
        }
        Ok(())
    }
}

fn show(name: &str, proposal: &Proposal, granted: usize) {
    let Proposal { grant, unused, stale, limits, idle, runs } = proposal;
    output::line(format!("{name}: {runs} runs used {} of {granted} granted operations", grant.operations.len()));
    for operation in unused {
        output::line(format!("  never used: {operation}"));
    }
    for operation in stale {
        output::line(format!("  granted, and the module doesn't ask for it any more: {operation}"));
    }
    for (argument, values) in limits {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        output::line(format!("  {argument} was always one of: {}", output::plain(&values.join(", "))));
    }
    if !limits.is_empty() {
        output::line(format!(
            "  (a value that is new tomorrow would be denied; arguments with more than {PROPOSED_VALUES} values get no limit)"
        ));
    }
    for step in idle {
        output::line(format!("  step {step} found nothing so far; it stays on"));
    }
}
