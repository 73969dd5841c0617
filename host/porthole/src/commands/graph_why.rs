//! `porthole graph why`: the reason of a relationship.

use crate::commands::graph::scope;
use crate::context::Cx;
use crate::output;
use anyhow::{Result, bail};
use clap::Args;
use porthole_store::graph::why::{self, Asked, Emitted, EndShown, Found, Reason};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// TENANT or TENANT/INSTANCE.
    scope: String,
    /// The relationship's key; that of a found one is FROM|VERB|TO.
    #[arg(required_unless_present_all = ["from", "verb", "to"])]
    relationship: Option<String>,
    /// Instead of the key: the key of the entity that it comes from, …
    #[arg(long, value_name = "KEY", requires = "verb", conflicts_with = "relationship")]
    from: Option<String>,
    /// … the verb, …
    #[arg(long, requires = "to", conflicts_with = "relationship")]
    verb: Option<String>,
    /// … and the key of the one that it goes to.
    #[arg(long, value_name = "KEY", requires = "from", conflicts_with = "relationship")]
    to: Option<String>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Why {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let asked = match (self.relationship, self.from, self.verb, self.to) {
            (Some(key), ..) => Asked::Key(key),
            (None, Some(from), Some(verb), Some(to)) => Asked::Ends { from, verb, to },
            _ => bail!("which relationship? Give its key, or --from, --verb and --to"),
        };
        let db = cx.database().await?;
        let (tenant, instance) = scope(&cx, &db, Some(&self.scope)).await?;
        let mut tx = db.store.tenant(tenant.id).await?;
        let all = why::why(&mut tx, instance.as_ref(), &asked).await?;
        tx.rollback().await?;
        if self.json {
            output::json(&all)?;
        } else {
            all.iter().for_each(print);
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

fn print(why: &why::Why) {
    output::line(format!("{} ({})", why.verb, why.relationship_type));
    output::line(format!("  from      {}", end(&why.from)));
    output::line(format!("  to        {}", end(&why.to)));
    match &why.reason {
        Reason::Emitted(emitted) => print_emitted(emitted),
        Reason::Found(found) => print_found(found),
    }
    output::line(format!("  since     {}", why.since));
}

fn end(end: &EndShown) -> String {
    let name = end.display_name.as_deref().filter(|name| *name != end.key).map(|name| format!(" \"{name}\""));
    let entity_type = end.entity_type.as_deref().unwrap_or("of unknown type");
    let whose = end.instance.as_ref().map_or_else(|| "collected by nobody".to_owned(), |i| format!("in {i}"));
    output::plain(&format!("{}{} ({entity_type}), {whose}", end.key, name.unwrap_or_default()))
}

fn print_emitted(emitted: &Emitted) {
    let partition = emitted.partition.as_str();
    let partition = if partition.is_empty() { String::new() } else { format!(", partition {partition}") };
    output::line(format!("  emitted   by {}, step {}{partition}", emitted.instance, emitted.step));
    let module = emitted.version.as_deref().unwrap_or("a module that is gone");
    output::line(format!("  run       {} of {module}", emitted.run));
    if emitted.dangling {
        output::line("  aside     an end is missing; kept until it comes");
    }
}

fn print_found(found: &Found) {
    output::line(format!("  rule      {}: {}", found.rule, found.mapping));
    for words in &found.matched {
        for (pair, word) in found.mapping.pairs.iter().zip(words) {
            output::line(output::plain(&format!("  matched   {} = {} = \"{word}\"", pair.from, pair.to)));
        }
    }
}
