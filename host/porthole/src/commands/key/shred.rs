//! `porthole key shred`: there is no way back, so it is asked for twice.

use crate::context::Cx;
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use porthole_model::id::Name;
use porthole_store::{Store, StoreError, keys, runs, tenants};
use std::io::{BufRead as _, IsTerminal as _};

#[derive(Debug, Args)]
pub(crate) struct Shred {
    /// The tenant whose secrets shall never be read again.
    // Another id than that of the global `--tenant`, which must not fill it in.
    #[arg(id = "shredded", value_name = "TENANT")]
    tenant: Name,
    /// Why; it is kept with the key's row.
    #[arg(long)]
    reason: String,
    /// The tenant's name once more, instead of typing it when asked.
    #[arg(long, value_name = "TENANT")]
    yes_shred: Option<Name>,
}

impl Shred {
    pub(super) async fn run(self, cx: &Cx, store: &Store) -> Result<()> {
        if self.reason.trim().is_empty() {
            bail!("say why: --reason TEXT");
        }
        let mut tx = store.begin().await?;
        let tenant = tenants::by_name(&mut tx, &self.tenant).await?;
        // Nobody holds a transaction while a person types.
        tx.rollback().await?;
        self.confirm()?;
        let op = cx.op();
        let mut tx = store.tenant(tenant.id).await?;
        let done = match keys::shred(&op, &mut tx, &self.reason).await {
            Err(StoreError::NotFound { .. }) => bail!("tenant {} has no data key that could be shredded", tenant.name),
            done => done?,
        };
        // A run under way may hold an open secret: it has no business any more.
        let running = runs::running(&mut tx).await?;
        for run in &running {
            runs::request_cancel(&op, &mut tx, *run).await?;
        }
        tx.commit().await?;
        let keys: Vec<_> = done.keys.iter().map(|key| format!("v{key}")).collect();
        output::line(format!(
            "tenant {}: data key {} is shredded; {} stored secrets can never be read again; {} running runs are cancelled",
            tenant.name,
            keys.join(", "),
            done.secrets,
            running.len()
        ));
        output::line(
            "backups of the database still hold the wrapped key. To make them unreadable too: porthole key rotate, then \
             porthole key retire --unused",
        );
        Ok(())
    }

    fn confirm(&self) -> Result<()> {
        let typed = match &self.yes_shred {
            Some(name) => name.to_string(),
            None if std::io::stdin().is_terminal() => {
                output::note(format!("All stored secrets of tenant {} will be lost for good.", self.tenant));
                output::note("Type the tenant's name to go on:");
                let mut line = String::new();
                std::io::stdin().lock().read_line(&mut line).context("can't read the answer")?;
                line.trim().to_owned()
            }
            None => bail!("this can't be undone: say it again with --yes-shred {}", self.tenant),
        };
        if typed != self.tenant.as_str() {
            bail!("`{}` is not `{}`: nothing was shredded", output::plain(&typed), self.tenant);
        }
        Ok(())
    }
}
