//! `porthole mapping`: the rules by which entities of a tenant are related to each other.

use crate::commands::module::refused;
use crate::context::{Cx, Database};
use crate::output;
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use porthole_model::id::Name;
use porthole_model::mapping::{Mapping, Pair, Selector};
use porthole_store::mappings::{self, Rule, RuleName};
use porthole_store::{TenantTx, tenants};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Mappings {
    /// All rules of a tenant: its own, and those that its modules bring along.
    List {
        /// The tenant.
        tenant: Name,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Switch a rule off. What it related isn't related any more.
    Off(Which),
    /// Switch a rule on again.
    On(Which),
    /// Add a rule of the tenant's own.
    Add(Add),
    /// Remove a rule of the tenant's own.
    Remove {
        /// The tenant.
        tenant: Name,
        /// Its name.
        rule: Name,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The tenant.
    tenant: Name,
    /// INSTANCE/RULE, or RULE for one of the tenant's own.
    rule: RuleName,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The tenant.
    tenant: Name,
    /// What to call it [default: after what it relates, such as acme_user_is_person].
    #[arg(long, value_name = "NAME")]
    id: Option<Name>,
    /// The entity type that relationships come from.
    #[arg(long, value_name = "TYPE")]
    from: String,
    /// The verb, such as IS.
    #[arg(long)]
    verb: String,
    /// They go to entities of this class.
    #[arg(long, value_name = "CLASS", conflicts_with = "to_type", required_unless_present = "to_type")]
    to_class: Option<String>,
    /// They go to entities of this type.
    #[arg(long, value_name = "TYPE")]
    to_type: Option<String>,
    /// A property of the one and a property of the other that have to be equal; may be given several times, and then all
    /// have to be.
    #[arg(long = "match", value_name = "PROPERTY=PROPERTY", required = true)]
    pairs: Vec<String>,
    /// Only e-mail addresses count.
    #[arg(long)]
    email: bool,
}

impl Mappings {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let db = cx.database().await?;
        match self {
            Self::List { tenant, json } => list(&mut open(&db, &tenant).await?, json).await?,
            Self::Off(which) => which.switch(&cx, &db, true).await?,
            Self::On(which) => which.switch(&cx, &db, false).await?,
            Self::Add(add) => add.run(&cx, &db).await?,
            Self::Remove { tenant, rule } => {
                let mut tx = open(&db, &tenant).await?;
                mappings::remove(&cx.op(), &mut tx, &rule).await?;
                tx.commit().await?;
                output::line(format!("rule {rule} of {tenant} removed"));
            }
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

async fn open(db: &Database, tenant: &Name) -> Result<TenantTx> {
    let tenant = tenants::by_name(&mut db.store.begin().await?, tenant).await?;
    Ok(db.store.tenant(tenant.id).await?)
}

async fn list(tx: &mut TenantTx, json: bool) -> Result<()> {
    let rules = mappings::list(tx).await?;
    if json {
        return output::json(&rules);
    }
    let row = |rule: &Rule| {
        let state = if rule.off { "off" } else { "on" };
        vec![rule.name.to_string(), state.to_owned(), rule.mapping.to_string(), rule.by.clone(), rule.since.to_string()]
    };
    output::table(&["rule", "state", "relates", "by", "since"], rules.iter().map(row));
    Ok(())
}

impl Which {
    async fn switch(self, cx: &Cx, db: &Database, off: bool) -> Result<()> {
        let mut tx = open(db, &self.tenant).await?;
        let changed = mappings::switch(&cx.op(), &mut tx, &self.rule, off).await?;
        tx.commit().await?;
        let (state, was) = (if off { "off" } else { "on" }, if changed { "is now" } else { "was already" });
        output::line(format!("rule {} of {} {was} {state}", self.rule, self.tenant));
        Ok(())
    }
}

impl Add {
    async fn run(self, cx: &Cx, db: &Database) -> Result<()> {
        let to = match (self.to_class, self.to_type) {
            (Some(class), _) => Selector::Class(class),
            (None, entity_type) => Selector::Type(entity_type.unwrap_or_default()),
        };
        let mut pairs = Vec::with_capacity(self.pairs.len());
        for text in &self.pairs {
            let (from, to) = text.split_once('=').with_context(|| format!("`{text}` is not PROPERTY=PROPERTY"))?;
            pairs.push(Pair { from: from.to_owned(), to: to.to_owned() });
        }
        let id = match self.id {
            Some(id) => id,
            None => {
                let name = porthole_model::mapping::relationship_type(&self.from, &self.verb, &to);
                Name::new(name).context("the rule needs a name: --id NAME")?
            }
        };
        let mapping = Mapping { id, from: self.from, verb: self.verb, to, pairs, email: self.email };
        let findings = porthole_registry::check_mapping(&mapping);
        if !findings.is_empty() {
            return Err(refused("the rule can't be added", &findings));
        }
        let mut tx = open(db, &self.tenant).await?;
        mappings::add(&cx.op(), &mut tx, &mapping).await?;
        tx.commit().await?;
        output::line(format!("rule {} of {} added: {mapping}", mapping.id, self.tenant));
        Ok(())
    }
}
