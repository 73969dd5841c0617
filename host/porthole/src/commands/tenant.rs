//! `porthole tenant`.

use crate::context::Cx;
use crate::output;
use clap::Subcommand;
use porthole_model::id::Name;
use porthole_store::tenants;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Make a tenant.
    Create {
        /// 1 to 63 of a-z, 0-9, - and _, a letter first.
        name: Name,
    },
    /// All tenants.
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Tenant {
    pub(crate) async fn run(self, cx: Cx) -> anyhow::Result<ExitCode> {
        let db = cx.database().await?;
        let mut tx = db.store.begin().await?;
        match self {
            Self::Create { name } => {
                let tenant = tenants::create(&cx.op(), &mut tx, &name).await?;
                tx.commit().await?;
                output::line(format!(
                    "tenant {} created, in shard {} of cell {}",
                    tenant.name, tenant.shard, tenant.cell
                ));
            }
            Self::List { json } => {
                let tenants = tenants::list(&mut tx).await?;
                tx.rollback().await?;
                if json {
                    output::json(&tenants)?;
                } else {
                    let row = |t: tenants::Tenant| {
                        vec![t.name.to_string(), t.cell, t.shard.to_string(), t.created_at.to_string()]
                    };
                    output::table(&["tenant", "cell", "shard", "created"], tenants.into_iter().map(row));
                }
            }
        }
        db.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
