//! `porthole up` and `porthole work`: the services.

use crate::context::Cx;
use crate::machine_limits;
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use porthole_egress::secret::PlatformKey;
use porthole_egress::{Egress, SystemResolver};
use porthole_runner::compile::Compiler;
use porthole_runner::execute::{self, Parts};
use porthole_runner::limits::RunLimits;
use porthole_runner::sequencer::{self, LogSigner};
use porthole_runner::warm::Warm;
use porthole_runner::worker;
use porthole_store::embedded::Embedded;
use porthole_store::{Store, StoreOptions, audit};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    worker: WorkerFlags,
}

#[derive(Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    worker: WorkerFlags,
}

#[derive(Debug, Args, Default, Clone)]
pub(crate) struct WorkerFlags {
    /// Go on where the kernel lacks landlock or seccomp; every run record says so.
    #[arg(long)]
    pub(crate) allow_weak_isolation: bool,
}

impl Up {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let (store, server) = match &cx.settings.database_url {
            Some(url) => (migrated(url).await?, None),
            None => {
                let server = Embedded::start(&cx.settings.data).await?;
                tracing::info!(data = %cx.settings.data.display(), "private Postgres is up");
                (server.store().await?, Some(server))
            }
        };
        let worked = serve(&cx, store, &self.worker).await;
        if let Some(server) = server {
            server.stop().await?;
            tracing::info!("private Postgres is down");
        }
        worked.map(|()| ExitCode::SUCCESS)
    }
}

impl Work {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let db = cx.database().await?;
        let worked = serve(&cx, db.store.clone(), &self.worker).await;
        db.close().await;
        worked.map(|()| ExitCode::SUCCESS)
    }
}

/// `porthole migrate`.
pub(crate) async fn migrate(cx: Cx) -> Result<ExitCode> {
    match &cx.settings.database_url {
        Some(url) => migrated(url).await?.close().await,
        // Starting the private server migrates it.
        None => {
            let server = Embedded::start(&cx.settings.data).await?;
            server.store().await?.close().await;
            server.stop().await?;
        }
    }
    output::line("the schema is at this program's version");
    Ok(ExitCode::SUCCESS)
}

async fn migrated(url: &str) -> Result<Store> {
    let options = StoreOptions::from_url(url)?;
    Store::migrate(&options, None).await?;
    Ok(Store::connect(&options).await?)
}

async fn serve(cx: &Cx, store: Store, flags: &WorkerFlags) -> Result<()> {
    let parts = parts(cx, store.clone(), flags)?;
    machine_limits::prepare(cx.settings.file.worker.runs, parts.limits.sandbox.lanes)?;
    record_config(cx, &store).await?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let name = worker_name();
    let sequencing = Sequencing::start(cx, &store).await;
    let worked = worker::work(&parts, &name, cx.settings.file.worker.runs, stop).await;
    sequencing.finish().await;
    store.close().await;
    Ok(worked?)
}

/// The sequencer of this machine, beside whatever else it does.
pub(crate) struct Sequencing(Option<(tokio::task::JoinHandle<()>, CancellationToken)>);

impl Sequencing {
    /// Starts it, if this machine has the signing key. Without, records are kept all the same, and a machine that has
    /// the key brings them into line.
    pub(crate) async fn start(cx: &Cx, store: &Store) -> Self {
        match signer(cx, store).await {
            Ok(signer) => {
                let stop = CancellationToken::new();
                let task = tokio::spawn(sequencer::run(store.clone(), signer, stop.clone()));
                Self(Some((task, stop)))
            }
            Err(e) => {
                tracing::warn!("this machine doesn't sequence the audit logs: {e:#}");
                Self(None)
            }
        }
    }

    /// Sequences what is left, and ends.
    pub(crate) async fn finish(self) {
        if let Some((task, stop)) = self.0 {
            stop.cancel();
            if task.await.is_err() {
                tracing::error!("the sequencer failed");
            }
        }
    }
}

/// The signer of the audit logs, if this machine has its key; the first machine makes one.
pub(crate) async fn signer(cx: &Cx, store: &Store) -> Result<LogSigner> {
    let settings = &cx.settings;
    Ok(LogSigner::open(store, &settings.audit_key_file(), settings.file.audit.origin.as_deref()).await?)
}

/// Records a change of the operator's configuration since a worker last started with it.
pub(crate) async fn record_config(cx: &Cx, store: &Store) -> Result<()> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let source = format!("{host}:{}", cx.settings.file_path.display());
    let mut tx = store.begin().await?;
    audit::record_config(&cx.op(), &mut tx, &source, cx.settings.file_text.as_deref()).await?;
    tx.commit().await?;
    Ok(())
}

/// What a worker is made of.
pub(crate) fn parts(cx: &Cx, store: Store, flags: &WorkerFlags) -> Result<Parts> {
    let settings = &cx.settings;
    for exception in settings.file.egress.exceptions() {
        tracing::warn!("operator's exception to the address rules: {exception}");
    }
    Ok(Parts {
        store,
        egress: Egress::new(settings.file.egress.clone(), Arc::new(SystemResolver))?,
        vault: cx.vault()?,
        platform: settings.file.platform.key_file.as_deref().map(PlatformKey::at),
        compiler: Arc::new(Compiler::new(&settings.bin_dir, &settings.data)?),
        sandbox: settings.bin_dir.join("porthole-sandbox"),
        warm: Arc::new(Warm::new(settings.file.worker.warm)),
        finishing: execute::finishing(),
        ceilings: Arc::new(settings.file.ceiling.clone()),
        judge: cx.judge(),
        limits: RunLimits::default(),
        allow_weak_isolation: flags.allow_weak_isolation,
        // Below a second, a busy machine would lose its own runs.
        lease: Duration::from_secs(settings.file.worker.lease_seconds.max(1)),
    })
}

/// Names a worker for people: host and process.
pub(crate) fn worker_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

/// Ctrl-C and SIGTERM end the worker in order; runs under way are cancelled.
pub(crate) async fn stop_on_signal(stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("can't listen for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("can't listen for Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    Ok(())
}
