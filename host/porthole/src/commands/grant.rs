//! `porthole grant`: what a tenant lets an instance do.

use crate::commands::grant_check::GrantCheck;
use crate::commands::grant_policy::GrantPolicy;
use crate::commands::grant_propose::Propose;
use crate::context::{Cx, InstancePath};
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use porthole_model::id::{OperationId, StepId};
use porthole_model::manifest::Manifest;
use porthole_model::rule::Rule;
use porthole_store::{grants, modules};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// What is granted, beside what is requested.
    Show {
        /// TENANT/NAME.
        instance: InstancePath,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Change what is granted.
    Set(Set),
    /// The narrower grant that would have sufficed for the last runs, and the command that sets it.
    Propose(Propose),
    /// What the provider's administrator sets up: the permissions that the grant needs, and no others.
    Policy(GrantPolicy),
    /// Does what the provider's administrator set up fit the grant? What is missing, what isn't needed.
    Check(GrantCheck),
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// TENANT/NAME.
    instance: InstancePath,
    /// Allow an operation that the module asks for; may be given several times.
    #[arg(long, value_name = "OPERATION")]
    allow: Vec<OperationId>,
    /// Take an operation away.
    #[arg(long, value_name = "OPERATION")]
    deny: Vec<OperationId>,
    /// Allow this value of an argument besides those allowed so far, for all operations that have it: `org==acme`, or
    /// `repo=^public-.*$`.
    #[arg(long, value_name = "ARGUMENT=RULE")]
    limit: Vec<String>,
    /// Take all limits of an argument away; those that `--limit` gives beside it are the new ones.
    #[arg(long, value_name = "ARGUMENT")]
    unlimit: Vec<String>,
    /// Switch a step off. What it collected stays.
    #[arg(long, value_name = "STEP")]
    step_off: Vec<StepId>,
    /// Switch a step on again.
    #[arg(long, value_name = "STEP")]
    step_on: Vec<StepId>,
}

impl Grant {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        match self {
            Self::Show { instance, json } => show(&cx, &instance, json).await?,
            Self::Set(set) => set.run(&cx).await?,
            Self::Propose(propose) => propose.run(&cx).await?,
            Self::Policy(policy) => policy.run(&cx).await?,
            Self::Check(check) => return check.run(&cx).await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn show(cx: &Cx, path: &InstancePath, json: bool) -> Result<()> {
    let db = cx.database().await?;
    let (tenant, mut tx, instance) = cx.open(&db, path).await?;
    let name = &instance.name;
    let module = modules::get(&mut tx, instance.module).await?;
    let granted = grants::current(&mut tx, instance.id).await?.context("nothing is granted")?;
    tx.rollback().await?;
    if json {
        output::json(&granted)?;
    } else {
        output::line(format!(
            "{}/{name}: grant v{} by {} at {}",
            tenant.name, granted.version, granted.actor, granted.at
        ));
        let grant = &granted.grant;
        let rows = module.manifest.operations.iter().map(|o| {
            let state = if grant.operations.contains(&o.id) { "granted" } else { "-" };
            vec![o.id.to_string(), state.to_owned(), o.request.clone(), o.permission.clone().unwrap_or_default()]
        });
        output::table(&["operation", "grant", "request", "the provider calls it"], rows);
        for (argument, rules) in &grant.limits {
            let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
            output::line(format!("limit: {argument} is one of {}", rules.join(", ")));
        }
        for step in &grant.steps_off {
            output::line(format!("off: step {step}"));
        }
    }
    db.close().await;
    Ok(())
}

impl Set {
    async fn run(self, cx: &Cx) -> Result<()> {
        let db = cx.database().await?;
        let (tenant, mut tx, instance) = cx.open(&db, &self.instance).await?;
        let name = &instance.name;
        let manifest = modules::get(&mut tx, instance.module).await?.manifest;
        let mut grant = grants::current(&mut tx, instance.id).await?.map(|g| g.grant).unwrap_or_default();
        self.check(&manifest, &grant)?;
        grant.operations.extend(self.allow.iter().cloned());
        self.deny.iter().for_each(|o| {
            grant.operations.remove(o);
        });
        self.unlimit.iter().for_each(|argument| {
            grant.limits.remove(argument);
        });
        for text in &self.limit {
            let (argument, rule) = text.split_once('=').with_context(|| format!("`{text}` is not ARGUMENT=RULE"))?;
            let rule = Rule::parse(rule)?;
            let rules = grant.limits.entry(argument.to_owned()).or_default();
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        grant.steps_off.extend(self.step_off.iter().cloned());
        self.step_on.iter().for_each(|step| {
            grant.steps_off.remove(step);
        });
        let granted = grants::set(&cx.op(), &mut tx, instance.id, &grant).await?;
        tx.commit().await?;
        output::line(format!(
            "grant v{} of {}/{name}: {} of {} operations, {} limits, {} steps off",
            granted.version,
            tenant.name,
            grant.operations.len(),
            manifest.operations.len(),
            grant.limits.len(),
            grant.steps_off.len()
        ));
        db.close().await;
        Ok(())
    }

    /// A name that the module doesn't have is a typing error that would silently change nothing; except what an earlier
    /// version was granted, which can be taken away.
    fn check(&self, manifest: &Manifest, grant: &porthole_model::grant::Grant) -> Result<()> {
        let stale = self.deny.iter().filter(|o| !grant.operations.contains(*o));
        if let Some(unknown) = self.allow.iter().chain(stale).find(|o| manifest.operation(o.as_str()).is_none()) {
            let all: Vec<&str> = manifest.operations.iter().map(|o| o.id.as_str()).collect();
            bail!("the module has no operation `{unknown}`; it has {}", all.join(", "));
        }
        if let Some(unknown) = self.step_off.iter().chain(&self.step_on).find(|s| manifest.step(s.as_str()).is_none()) {
            let all: Vec<&str> = manifest.steps.iter().map(|s| s.id.as_str()).collect();
            bail!("the module has no step `{unknown}`; it has {}", all.join(", "));
        }
        Ok(())
    }
}
