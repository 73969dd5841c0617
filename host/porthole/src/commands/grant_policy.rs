//! `porthole grant policy`: what the provider's administrator sets up so that what is granted works, and nothing else.

use crate::commands::module::reference::{self, ModuleRef};
use crate::context::{Cx, InstancePath};
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use porthole_model::manifest::Manifest;
use porthole_model::plan::{PlanInput, plan};
use porthole_registry::permits::{Facts, Format, permits, write};
use porthole_store::{grants, modules};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Args)]
pub(crate) struct GrantPolicy {
    /// TENANT/NAME.
    #[arg(required_unless_present = "module")]
    instance: Option<InstancePath>,
    /// Instead of what an instance is granted, all that a module asks for: before there is an instance.
    #[arg(long, conflicts_with = "instance")]
    module: Option<ModuleRef>,
    /// What to write: the policies alone, what the provider's own policy for auditors lacks, the same for a tool that sets
    /// up accounts, or steps for a person.
    #[arg(long, default_value = "policy", value_parser = formats())]
    format: Format,
    /// What the role is called.
    #[arg(long, value_name = "NAME", default_value = "porthole-read")]
    role: String,
    /// One JSON document: the actions, the policies, and the text of the document.
    #[arg(long)]
    json: bool,
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::as_str)).try_map(|name| name.parse())
}

impl GrantPolicy {
    pub(crate) async fn run(self, cx: &Cx) -> Result<()> {
        let wanted = match (&self.instance, &self.module) {
            (Some(instance), _) => granted(cx, instance).await?,
            (None, Some(module)) => asked_for(cx, module).await?,
            (None, None) => bail!("name an instance, or a module with --module"),
        };
        let actions = wanted.actions.iter().map(String::as_str).collect();
        let permits = permits(&actions, self.format.base()).with_context(|| wanted.name.clone())?;
        let facts = if self.format.needs_facts() { Some(self.facts(cx, &wanted)?) } else { None };
        let text = write(self.format, &permits, facts.as_ref())?;
        if self.json {
            let policies: Vec<_> = permits.policies.iter().map(|policy| &policy.actions).collect();
            return output::json(&serde_json::json!({
                "actions": wanted.actions,
                "managed": permits.base.managed(),
                "policies": policies,
                "document": text,
            }));
        }
        output::note(format!("{}: actions: {}, policies: {}", wanted.name, actions.len(), permits.policies.len()));
        if let Some(managed) = permits.base.managed() {
            output::note(format!("attach the provider's own policy {managed} besides; it allows more than is granted"));
        }
        output::line(text.trim_end());
        Ok(())
    }

    fn facts(&self, cx: &Cx, wanted: &Wanted) -> Result<Facts> {
        let format = self.format.as_str();
        let principal = cx.settings.file.platform.principal.as_deref();
        let principal = principal.with_context(|| {
            format!("the document `{format}` names who assumes the role: say it in the configuration file, [platform] principal = \"…\"")
        })?;
        let external_id = wanted.external_id.as_deref();
        let external_id = external_id.with_context(|| {
            format!("the document `{format}` names the external id of an instance: create one, and give its name instead of --module")
        })?;
        Ok(Facts::new(principal, external_id, &self.role)?)
    }
}

/// Which permissions are needed, and by whom.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) actions: BTreeSet<String>,
    external_id: Option<String>,
}

/// What the operations of an instance's next run need: those that are granted, under the ceiling, of steps that are on.
pub(crate) async fn granted(cx: &Cx, path: &InstancePath) -> Result<Wanted> {
    let db = cx.database().await?;
    let (tenant, mut tx, instance) = cx.open(&db, path).await?;
    let name = format!("{}/{}", tenant.name, instance.name);
    let manifest = modules::get(&mut tx, instance.module).await?.manifest;
    let granted = grants::current(&mut tx, instance.id).await?.context("nothing is granted")?;
    tx.rollback().await?;
    db.close().await;

    let config = porthole_registry::resolve_config(&manifest, &instance.config);
    let config = config.map_err(|findings| anyhow::anyhow!("{name}: {}", porthole_registry::Findings(findings)))?;
    let ceiling = cx.settings.file.ceiling.get(manifest.module.name.as_str()).cloned().unwrap_or_default();
    let input = PlanInput {
        instance: &instance.name,
        digest: instance.module,
        config: &config,
        grant: &granted.grant,
        ceiling: &ceiling,
        exceptions: &[],
        limits: &BTreeMap::new(),
    };
    let effective = plan(&manifest, input)?.operations;
    let actions = actions(&manifest, |id| effective.iter().any(|o| o.id.as_str() == id));
    Ok(Wanted { name, actions, external_id: Some(instance.external_id) })
}

async fn asked_for(cx: &Cx, module: &ModuleRef) -> Result<Wanted> {
    let db = cx.database().await?;
    let mut tx = db.store.begin().await?;
    let found = reference::find(&mut tx, module).await?;
    tx.rollback().await?;
    db.close().await;
    let name = format!("{}@{}", found.name, found.version);
    Ok(Wanted { name, actions: actions(&found.manifest, |_| true), external_id: None })
}

fn actions(manifest: &Manifest, counts: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let operations = manifest.operations.iter().filter(|o| counts(o.id.as_str()));
    operations.filter_map(|o| o.action.clone()).collect()
}
