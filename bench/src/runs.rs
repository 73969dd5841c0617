//! Runs on a [`Stage`], started as a person would and timed by their own records: from a worker's beginning to the
//! committed outcome.

use crate::measure;
use crate::provider::Provider;
use crate::stage::Stage;
use anyhow::{Context as _, Result, ensure};
use porthole_model::id::{Name, RunId, TenantId};
use porthole_model::run::{Outcome, TypeCounts};
use porthole_store::embedded::Embedded;
use porthole_store::{Store, runs, tenants};
use std::ops::{AddAssign, Sub};
use std::time::{Duration, Instant};

/// How often it is looked whether a run is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The longest run.
const LONGEST: Duration = Duration::from_secs(180);

/// What is told of a run.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// From its start to its outcome, seconds.
    pub(crate) wall: f64,
    /// What it did, all types together.
    pub(crate) counts: TypeCounts,
    /// Over everything that it accepted.
    pub(crate) digest: Option<String>,
    /// Processor time by who used it.
    pub(crate) used: Used,
}

/// Processor seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// The provider.
    pub(crate) provider: f64,
    /// The broker.
    pub(crate) worker: f64,
    /// Sandbox processes.
    pub(crate) sandbox: f64,
    /// The database server.
    pub(crate) database: f64,
}

impl Used {
    /// All of them.
    pub(crate) fn total(&self) -> f64 {
        self.provider + self.worker + self.sandbox + self.database
    }
}

impl Sub for Used {
    type Output = Self;
    fn sub(self, before: Self) -> Self {
        Self {
            provider: self.provider - before.provider,
            worker: self.worker - before.worker,
            sandbox: self.sandbox - before.sandbox,
            database: self.database - before.database,
        }
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.provider += other.provider;
        self.worker += other.worker;
        self.sandbox += other.sandbox;
        self.database += other.database;
    }
}

/// A stage, its provider, and a look into its database.
pub(crate) struct Runs {
    /// The programs.
    pub(crate) stage: Stage,
    /// The provider.
    pub(crate) provider: Provider,
    /// The database server, joined.
    pub(crate) embedded: Embedded,
    store: Store,
    tenant: TenantId,
}

impl Runs {
    /// Joins a stage on which the tenant exists.
    ///
    /// # Errors
    /// When its database can't be joined.
    pub(crate) async fn join(stage: Stage, provider: Provider, tenant: &str) -> Result<Self> {
        let embedded = Embedded::attach(stage.data()).await?.context("the private Postgres doesn't run")?;
        let store = embedded.store().await?;
        let mut tx = store.begin().await?;
        let tenant = tenants::by_name(&mut tx, &Name::new(tenant)?).await?.id;
        tx.rollback().await?;
        Ok(Self { stage, provider, embedded, store, tenant })
    }

    /// Has the worker run an instance (`tenant/instance`), and waits for its end.
    ///
    /// # Errors
    /// When it doesn't succeed.
    pub(crate) async fn run(&self, instance: &str) -> Result<Told> {
        let before = self.used()?;
        let id: RunId = self.stage.porthole(&["run", instance, "--detach"])?.trim().parse()?;
        let began = Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut tx = self.store.tenant(self.tenant).await?;
            let run = runs::get(&mut tx, id).await?;
            tx.rollback().await?;
            if let Some(outcome) = run.outcome {
                ensure!(outcome == Outcome::Succeeded, "a run of {instance} ended {outcome}: {}", run.message);
                let (from, to) = run.started_at.zip(run.finished_at).context("a run without times")?;
                let mut counts = TypeCounts::default();
                run.counts.values().for_each(|c| counts.add(*c));
                let wall = to.duration_since(from).as_secs_f64();
                // The sandbox's time shows once it was waited for, which is before the outcome.
                return Ok(Told { wall, counts, digest: run.graph_digest, used: self.used()? - before });
            }
            ensure!(began.elapsed() < LONGEST, "a run of {instance} took more than {} s", LONGEST.as_secs());
        }
    }

    fn used(&self) -> Result<Used> {
        Ok(Used {
            provider: self.provider.cpu_seconds()?,
            worker: measure::cpu_seconds(self.stage.worker())?,
            sandbox: measure::ended_children_cpu_seconds(self.stage.worker())?,
            database: measure::folder_cpu_seconds(self.stage.data()),
        })
    }

    /// Leaves the database and ends the stage.
    ///
    /// # Errors
    /// When the server doesn't end in time.
    pub(crate) async fn close(self) -> Result<()> {
        self.store.close().await;
        drop(self.stage);
        Ok(self.embedded.stop().await?)
    }
}
