//! `porthole graph`: a first look.

use crate::commands::graph_why::Why;
use crate::context::{Cx, Database};
use crate::output;
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use porthole_model::id::Name;
use porthole_store::TenantTx;
use porthole_store::graph::{self, Direction, EntityDetail, EntityFilter};
use porthole_store::tenants::Tenant;
use std::process::ExitCode;

/// Neighbours of one kind that are listed for people.
const SHOWN_NEIGHBOURS: usize = 5;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Graph {
    #[command(subcommand)]
    command: Option<Command>,
    /// TENANT or TENANT/INSTANCE. Without filters: counts by type.
    scope: Option<String>,
    /// Entities of this type; may be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Entities of this class.
    #[arg(long)]
    class: Option<String>,
    /// Entities with this property; may be given several times.
    #[arg(long = "where", value_name = "PROPERTY=VALUE")]
    properties: Vec<String>,
    /// Entities with this text in their name or key.
    #[arg(long)]
    find: Option<String>,
    /// One entity, by its key, with its neighbours.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["types", "class", "properties", "find"])]
    show: Option<String>,
    /// How many entities.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Why a relationship is there: what emitted it, or which rule found it by which values.
    Why(Why),
}

/// The tenant, and the instance if one is named.
pub(super) async fn scope(cx: &Cx, db: &Database, scope: Option<&str>) -> Result<(Tenant, Option<Name>)> {
    let Some(scope) = scope else { return Ok((cx.the_tenant(db).await?, None)) };
    let (tenant, instance) = match scope.split_once('/') {
        Some((tenant, instance)) => (tenant, Some(Name::new(instance)?)),
        None => (scope, None),
    };
    let mut tx = db.store.begin().await?;
    Ok((porthole_store::tenants::by_name(&mut tx, &Name::new(tenant)?).await?, instance))
}

impl Graph {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        if let Some(Command::Why(why)) = self.command {
            return why.run(cx).await;
        }
        let db = cx.database().await?;
        let (tenant, instance) = scope(&cx, &db, self.scope.as_deref()).await?;
        let mut tx = db.store.tenant(tenant.id).await?;
        let filtered =
            !self.types.is_empty() || self.class.is_some() || !self.properties.is_empty() || self.find.is_some();
        match &self.show {
            Some(key) => self.show(&mut tx, instance.as_ref(), key).await?,
            None if filtered => self.list(&mut tx, instance).await?,
            None => self.counts(&mut tx, instance.as_ref()).await?,
        }
        tx.commit().await?;
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn counts(&self, tx: &mut TenantTx, instance: Option<&Name>) -> Result<()> {
        let counts = graph::counts(tx, instance).await?;
        if self.json {
            return output::json(&counts);
        }
        let rows = |kind: &'static str, of: &std::collections::BTreeMap<String, u64>| {
            of.iter().map(|(name, n)| vec![kind.to_owned(), name.clone(), output::number(*n)]).collect::<Vec<_>>()
        };
        let mut all = rows("entity", &counts.entities);
        all.extend(rows("relationship", &counts.relationships));
        all.extend(rows("found", &counts.found));
        all.extend(rows("dangling", &counts.dangling));
        output::table(&["kind", "type", "count"], all);
        Ok(())
    }

    async fn list(&self, tx: &mut TenantTx, instance: Option<Name>) -> Result<()> {
        let mut properties = Vec::new();
        for text in &self.properties {
            let (name, value) = text.split_once('=').with_context(|| format!("`{text}` is not PROPERTY=VALUE"))?;
            properties.push((name.to_owned(), value.to_owned()));
        }
        let filter = EntityFilter {
            instance,
            types: self.types.clone(),
            class: self.class.clone(),
            properties,
            text: self.find.clone(),
        };
        let (mut after, mut left) = (None, self.limit);
        let mut rows = Vec::new();
        while left > 0 {
            let page = graph::entities(tx, &filter, after.as_ref(), left.min(graph::MAX_PAGE)).await?;
            left = left.saturating_sub(u32::try_from(page.entities.len()).unwrap_or(u32::MAX));
            for entity in page.entities {
                if self.json {
                    output::json_line(&entity)?;
                } else {
                    rows.push(vec![entity.entity_type, entity.display_name, entity.class.join(","), entity.key]);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if !self.json {
            output::table(&["type", "name", "class", "key"], rows);
        }
        if after.is_some() {
            output::note(format!("there are more; --limit {} shows the first {}", self.limit, self.limit));
        }
        Ok(())
    }

    async fn show(&self, tx: &mut TenantTx, instance: Option<&Name>, key: &str) -> Result<()> {
        let found = graph::entity(tx, instance, key).await?;
        if self.json {
            return output::json(&found);
        }
        found.iter().for_each(print_entity);
        Ok(())
    }
}

fn print_entity(detail: &EntityDetail) {
    let entity = &detail.entity;
    output::line(format!("{} ({})", output::plain(&entity.display_name), entity.entity_type));
    output::line(format!("  key       {}", output::plain(&entity.key)));
    output::line(format!("  class     {}", entity.class.join(", ")));
    let whose = if entity.carried { "none; a mapped relationship speaks of it: " } else { "" };
    output::line(format!("  instance  {whose}{}, last written {}", entity.instance, entity.updated_at));
    for (name, value) in entity.properties.as_object().into_iter().flatten() {
        output::line(format!("  {}: {}", output::plain(name), output::plain(&value.to_string())));
    }
    let mut shown: std::collections::BTreeMap<(bool, &str), usize> = std::collections::BTreeMap::new();
    for near in &detail.neighbours {
        let of_kind = shown.entry((near.direction == Direction::Out, &near.relationship_type)).or_default();
        *of_kind += 1;
        if *of_kind > SHOWN_NEIGHBOURS {
            continue;
        }
        let arrow = match near.direction {
            Direction::Out => format!("-[{}]->", near.verb),
            Direction::In => format!("<-[{}]-", near.verb),
        };
        let properties = match near.properties.as_object() {
            Some(map) if !map.is_empty() => format!("  {}", near.properties),
            _ => String::new(),
        };
        let elsewhere = match &near.other_instance {
            Some(instance) if *instance == entity.instance => String::new(),
            Some(instance) => format!("  in {instance}"),
            None => "  collected by nobody".to_owned(),
        };
        let rule = near.rule.as_ref().map(|rule| format!("  by rule {rule}")).unwrap_or_default();
        output::line(format!(
            "  {arrow:<14} {} ({}){}{elsewhere}{rule}",
            output::plain(&near.other_display_name),
            near.other_type,
            output::plain(&properties)
        ));
    }
    for ((_, relationship), count) in shown.into_iter().filter(|(_, count)| *count > SHOWN_NEIGHBOURS) {
        output::line(format!("  … and {} more {relationship} (--json has all)", count - SHOWN_NEIGHBOURS));
    }
}
