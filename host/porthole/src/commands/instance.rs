//! `porthole instance`: a tenant's configured integrations.

use crate::commands::module::reference::{ModuleRef, find_trusted};
use crate::commands::module::{diff_versions, refused, short_diff};
use crate::context::{Cx, InstancePath};
use crate::output;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use porthole_model::grant::Grant;
use porthole_model::manifest::{CredentialKind, Manifest};
use porthole_store::instances::{self, Brake, InstanceUpdate, NewInstance};
use porthole_store::{grants, modules};
use std::collections::BTreeMap;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Instance {
    /// Make an instance. It is granted what its module asks for; `porthole grant set` narrows that.
    Create {
        /// TENANT/NAME.
        instance: InstancePath,
        /// The module: NAME, NAME@VERSION or a digest. A name alone is the newest version that may run.
        #[arg(long)]
        module: ModuleRef,
        /// A configuration value; may be given several times.
        #[arg(long = "set", value_name = "FIELD=VALUE")]
        values: Vec<String>,
    },
    /// All instances of a tenant.
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One instance: module, configuration, slots.
    Show {
        /// TENANT/NAME.
        instance: InstancePath,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Change an instance.
    Set(Set),
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// TENANT/NAME.
    instance: InstancePath,
    /// A configuration value; may be given several times. `FIELD=` takes the value away.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    values: Vec<String>,
    /// Another version, or module: NAME, NAME@VERSION or a digest. It has to be one that may run. The grant stays as it is.
    #[arg(long)]
    module: Option<ModuleRef>,
    /// Hold a run that would delete more than this share of a type, 0 to 1.
    #[arg(long)]
    brake_share: Option<f32>,
    /// Never hold a run that deletes fewer objects of a type than this.
    #[arg(long)]
    brake_floor: Option<i32>,
    /// No more runs.
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Runs again.
    #[arg(long)]
    enable: bool,
}

impl Instance {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        match self {
            Self::Create { instance, module, values } => create(&cx, &instance, &module, &values).await?,
            Self::List { json } => list(&cx, json).await?,
            Self::Show { instance, json } => show(&cx, &instance, json).await?,
            Self::Set(set) => set.run(&cx).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn create(cx: &Cx, path: &InstancePath, module: &ModuleRef, values: &[String]) -> Result<()> {
    let db = cx.database().await?;
    let (tenant, name) = cx.split(&db, path).await?;
    let mut tx = db.store.tenant(tenant.id).await?;
    let module = find_trusted(&mut tx, &cx.judge(), module).await?;
    let mut config = BTreeMap::new();
    change(&mut config, values)?;
    checked(&module.manifest, &config)?;
    let new = NewInstance { name: &name, module: module.digest, config: &config };
    let instance = instances::create(&cx.op(), &mut tx, new).await?;
    let grant = Grant::all_of(&module.manifest);
    grants::set(&cx.op(), &mut tx, instance.id, &grant).await?;
    tx.commit().await?;
    output::line(format!("instance {}/{name} created: {} {}", tenant.name, module.name, module.version));
    output::line(format!("  granted: {} operations, all that the module asks for", grant.operations.len()));
    for slot in slots(&module.manifest) {
        let methods: Vec<_> =
            module.manifest.credentials.iter().filter(|c| c.slot.as_str() == slot).map(|c| c.method.as_str()).collect();
        output::line(format!(
            "  next: porthole credential set {}/{name} --slot {slot} --method {}",
            tenant.name,
            methods.join("|")
        ));
    }
    db.close().await;
    Ok(())
}

fn slots(manifest: &Manifest) -> std::collections::BTreeSet<&str> {
    manifest.credentials.iter().map(|c| c.slot.as_str()).collect()
}

fn assumes_role(manifest: &Manifest) -> bool {
    manifest.credentials.iter().any(|c| matches!(c.kind, CredentialKind::Sigv4Role { .. }))
}

/// Applies `FIELD=VALUE`s.
fn change(config: &mut BTreeMap<String, String>, values: &[String]) -> Result<()> {
    for text in values {
        let Some((field, value)) = text.split_once('=') else {
            bail!("`{text}` is not FIELD=VALUE");
        };
        if value.is_empty() {
            config.remove(field);
        } else {
            config.insert(field.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

fn checked(manifest: &Manifest, config: &BTreeMap<String, String>) -> Result<()> {
    porthole_registry::config::resolve_config(manifest, config)
        .map(drop)
        .map_err(|findings| refused("the configuration doesn't fit the module (--set FIELD=VALUE)", &findings))
}

async fn list(cx: &Cx, json: bool) -> Result<()> {
    let db = cx.database().await?;
    let tenant = cx.the_tenant(&db).await?;
    let mut tx = db.store.tenant(tenant.id).await?;
    let all = instances::list(&mut tx).await?;
    if json {
        output::json(&all)?;
    } else {
        let mut rows = Vec::new();
        for instance in &all {
            let module = modules::get(&mut tx, instance.module).await?;
            let state = if instance.disabled { "disabled" } else { "enabled" };
            rows.push(vec![
                format!("{}/{}", tenant.name, instance.name),
                format!("{} {}", module.name, module.version),
                state.to_owned(),
                instance.created_at.to_string(),
            ]);
        }
        output::table(&["instance", "module", "state", "created"], rows);
    }
    tx.rollback().await?;
    db.close().await;
    Ok(())
}

async fn show(cx: &Cx, path: &InstancePath, json: bool) -> Result<()> {
    let db = cx.database().await?;
    let (tenant, mut tx, instance) = cx.open(&db, path).await?;
    let module = modules::get(&mut tx, instance.module).await?;
    let credentials = porthole_store::credentials::list(&mut tx, instance.id).await?;
    tx.rollback().await?;
    if json {
        output::json(&serde_json::json!({ "instance": instance, "module": module, "credentials": credentials }))?;
    } else {
        output::line(format!("{}/{}  {} {}", tenant.name, instance.name, module.name, module.version));
        output::line(format!("  {}", module.digest));
        for (field, value) in &instance.config {
            output::line(format!("  {field} = {}", output::plain(value)));
        }
        for slot in slots(&module.manifest) {
            let set = credentials.iter().find(|c| c.slot.as_str() == slot);
            output::line(match set {
                Some(c) => format!("  slot {slot}: {} v{}, set {} by {}", c.method, c.version, c.set_at, c.set_by),
                None => format!("  slot {slot}: empty"),
            });
        }
        if assumes_role(&module.manifest) {
            output::line(format!("  external id: {}", instance.external_id));
        }
        let Brake { share, floor } = instance.brake;
        output::line(format!("  brake: more than {:.0} % of a type, from {floor} objects", share * 100.0));
        if instance.disabled {
            output::line("  disabled");
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
        let module = match &self.module {
            Some(reference) => find_trusted(&mut tx, &cx.judge(), reference).await?,
            None => modules::get(&mut tx, instance.module).await?,
        };
        let mut config = instance.config.clone();
        change(&mut config, &self.values)?;
        checked(&module.manifest, &config)?;
        let share = self.brake_share.unwrap_or(instance.brake.share);
        let floor = self.brake_floor.unwrap_or(instance.brake.floor);
        if !(0.0..=1.0).contains(&share) || floor < 0 {
            bail!("--brake-share is from 0 to 1 and --brake-floor not negative");
        }
        let update = InstanceUpdate {
            module: Some(module.digest),
            config: Some(config),
            brake: Some(Brake { share, floor }),
            disabled: if self.disable { Some(true) } else { self.enable.then_some(false) },
        };
        let before = modules::get(&mut tx, instance.module).await?;
        let diff = match module.digest == before.digest {
            true => None,
            false => Some(diff_versions(&mut tx, Some(before.digest), module.digest).await?),
        };
        instances::update(&cx.op(), &mut tx, instance.id, &update).await?;
        tx.commit().await?;
        output::line(format!("instance {}/{name} changed", tenant.name));
        if let Some(diff) = diff {
            let (old, new) =
                (format!("{}@{}", before.name, before.version), format!("{}@{}", module.name, module.version));
            output::line(format!("  from {old} to {new}: {}", short_diff(&diff)));
            output::line("  the grant stays as it is: what it doesn't name is denied");
        }
        db.close().await;
        Ok(())
    }
}
