//! `porthole status`: is everything there?

use crate::commands::module::listed;
use crate::context::Cx;
use crate::output;
use anyhow::{Result, bail};
use clap::Args;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Wait so many seconds until everything is there.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
}

impl Status {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let end = Instant::now() + Duration::from_secs(self.wait.unwrap_or(0));
        loop {
            match check(&cx).await {
                Ok(lines) => {
                    lines.iter().for_each(output::line);
                    return Ok(ExitCode::SUCCESS);
                }
                Err(e) if Instant::now() >= end => return Err(e),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn check(cx: &Cx) -> Result<Vec<String>> {
    let mut lines = vec![format!("data     {}", cx.settings.data.display())];
    // Held until the end: the server runs as long as someone uses it.
    let mut server = None;
    let store = match &cx.settings.database_url {
        Some(url) => {
            lines.push("postgres by DATABASE_URL".to_owned());
            porthole_store::Store::connect(&porthole_store::StoreOptions::from_url(url)?).await?
        }
        None => match porthole_store::embedded::Embedded::attach(&cx.settings.data).await? {
            Some(running) => {
                lines.push("postgres private, running".to_owned());
                server.insert(running).store().await?
            }
            None => bail!("the private Postgres isn't running: `porthole up` starts it"),
        },
    };
    let mut tx = store.begin().await?;
    lines.push(format!("tenants  {}", porthole_store::tenants::list(&mut tx).await?.len()));
    lines.push(format!("modules  {}", porthole_store::modules::list(&mut tx).await?.len()));
    for listed in listed(&mut tx, &cx.judge()).await?.into_iter().filter(|l| l.state == "emergency") {
        let module = format!("{}@{}", listed.module.name, listed.module.version);
        lines.push(format!("open     {module}: {}", listed.note.unwrap_or_default()));
    }
    tx.commit().await?;
    store.close().await;
    if let Some(server) = server {
        server.stop().await?;
    }
    for name in ["porthole-sandbox", "porthole-compile"] {
        if !cx.settings.bin_dir.join(name).exists() {
            bail!("{name} is not beside this program ({})", cx.settings.bin_dir.display());
        }
    }
    let exceptions = cx.settings.file.egress.exceptions();
    lines.extend(exceptions.into_iter().map(|e| format!("egress   {e}")));
    Ok(lines)
}
