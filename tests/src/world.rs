//! The world of a test: a database of its own, a tenant, an instance with its credential, and a worker's parts that reach
//! a fake provider on loopback. World, act, assert.

use crate::fake_github::{Expected, FakeGithub};
use anyhow::{Context as _, Result, bail};
use porthole_egress::secret::{Binding, KeyFile, PlatformKey, SecretFields, SecretText, Vault};
use porthole_egress::{Egress, EgressConfig, Endpoint, SystemResolver};
use porthole_model::context::{Actor, OpContext};
use porthole_model::grant::{Ceiling, Grant};
use porthole_model::id::{InstanceId, Name, RunId, TenantId};
use porthole_model::manifest::Manifest;
use porthole_model::run::{RunMode, RunState};
use porthole_registry::{Packed, author, pack};
use porthole_runner::compile::Compiler;
use porthole_runner::execute::{self, Parts};
use porthole_runner::limits::RunLimits;
use porthole_runner::replay::offline::Tools;
use porthole_runner::warm::Warm;
use porthole_runner::worker;
use porthole_store::calls::{self, Call};
use porthole_store::graph::{self, EntityDetail, EntityFilter};
use porthole_store::instances::{self, NewInstance};
use porthole_store::keys::{self, WrappedKey};
use porthole_store::rejections;
use porthole_store::run_slices::{self, RunSlice};
use porthole_store::runs::{self, NewRun, Run};
use porthole_store::tenants;
use porthole_store::testing::TestDatabase;
use porthole_store::{Store, credentials, grants};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The worker's name in tests.
pub const WORKER: &str = "test-worker";

/// Where the built guests are: `just guests` puts them there.
///
/// # Errors
/// When they haven't been built.
pub fn guest_file(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("PORTHOLE_TEST_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => target_dir()?.join("guests/wasm32-unknown-unknown/release"),
    };
    let file = folder.join(format!("porthole_{name}.wasm"));
    if !file.exists() {
        bail!("{} isn't there: run `./just guests` first", file.display());
    }
    Ok(file)
}

/// The folder of the host's programs: that of this test, without `deps`.
///
/// # Errors
/// When the test runs from an unexpected place.
pub fn bin_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program without a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().context("deps without a parent")? } else { folder };
    for name in ["porthole-sandbox", "porthole-compile"] {
        if !folder.join(name).exists() {
            bail!("{name} isn't in {}: run `./just build` first", folder.display());
        }
    }
    Ok(folder.to_owned())
}

/// The program, in an environment that says nothing but where its data is: whoever runs the tests has settings of their own.
///
/// # Errors
/// When it isn't built.
pub fn program(data: &Path) -> Result<Command> {
    let mut command = Command::new(bin_dir()?.join("porthole"));
    for name in ["DATABASE_URL", "PORTHOLE_TENANT", "PORTHOLE_LOG", "PORTHOLE_CONFIG"] {
        command.env_remove(name);
    }
    command.env("PORTHOLE_DATA", data);
    Ok(command)
}

fn target_dir() -> Result<PathBuf> {
    Ok(bin_dir()?.parent().context("a profile without a target folder")?.to_owned())
}

/// Packs a guest of this repository.
///
/// # Errors
/// When it isn't built or its manifest is refused.
pub fn packed(name: &str) -> Result<Packed> {
    packed_with(name, &manifest(name)?)
}

/// The manifest of a guest of this repository.
///
/// # Errors
/// When it is refused.
pub fn manifest(name: &str) -> Result<Manifest> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests").join(name);
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).map_err(|e| e.to_string());
    let text = read("manifest.toml").map_err(anyhow::Error::msg)?;
    author::read(&text, &read).map(|authored| authored.manifest).map_err(|findings| anyhow::anyhow!("{findings:?}"))
}

/// Packs a guest with another manifest than its own.
///
/// # Errors
/// When it isn't built or the manifest is refused.
pub fn packed_with(name: &str, manifest: &Manifest) -> Result<Packed> {
    Ok(pack(&std::fs::read(guest_file(name)?)?, manifest)?)
}

/// Where compiled modules are kept between tests: compiling takes seconds, and the seal says whether it is still good.
fn compiled_dir() -> Result<PathBuf> {
    Ok(target_dir()?.join("test-data"))
}

/// See the module's documentation.
pub struct World {
    /// The database.
    pub database: TestDatabase,
    /// What a worker is made of.
    pub parts: Parts,
    /// The tenant.
    pub tenant: TenantId,
    /// Its instance.
    pub instance: InstanceId,
    /// What the module asks for.
    pub manifest: Manifest,
    /// Keys and other files.
    pub folder: tempfile::TempDir,
}

/// Builds a [`World`].
pub struct WorldBuilder {
    packed: Packed,
    config: BTreeMap<String, String>,
    egress: EgressConfig,
    secrets: Vec<(String, String, String)>,
    grant: Option<Grant>,
    ceiling: Ceiling,
    limits: RunLimits,
    vouched: bool,
    platform: Option<PlatformKey>,
}

impl WorldBuilder {
    /// A world for a packed module.
    #[must_use]
    pub fn new(packed: Packed) -> Self {
        Self {
            packed,
            config: BTreeMap::new(),
            egress: EgressConfig::default(),
            secrets: Vec::new(),
            grant: None,
            ceiling: Ceiling::default(),
            limits: RunLimits::default(),
            vouched: true,
            platform: None,
        }
    }

    /// The GitHub module against a fake.
    ///
    /// # Errors
    /// When the module isn't built.
    pub fn github(fake: &FakeGithub) -> Result<Self> {
        Ok(Self::new(packed("github")?).config("login", fake.org()).endpoint("api.github.com", &fake.url())?.secret(
            "api",
            "pat",
            fake.token(),
        ))
    }

    /// A configuration value.
    #[must_use]
    pub fn config(mut self, field: &str, value: &str) -> Self {
        self.config.insert(field.to_owned(), value.to_owned());
        self
    }

    /// Maps a provider's host.
    ///
    /// # Errors
    /// When it is no host or no URL.
    pub fn endpoint(mut self, host: &str, base: &str) -> Result<Self> {
        self.egress.endpoints.push(Endpoint::new(host, base)?);
        Ok(self)
    }

    /// Fills a slot.
    #[must_use]
    pub fn secret(mut self, slot: &str, method: &str, input: &str) -> Self {
        self.secrets = vec![(slot.to_owned(), method.to_owned(), input.to_owned())];
        self
    }

    /// The platform's own key, in a file.
    #[must_use]
    pub fn platform(mut self, key_file: &Path) -> Self {
        self.platform = Some(PlatformKey::at(key_file));
        self
    }

    /// Leaves all slots empty.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.secrets.clear();
        self
    }

    /// Another grant than everything.
    #[must_use]
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grant = Some(grant);
        self
    }

    /// The operator's ceiling.
    #[must_use]
    pub fn ceiling(mut self, ceiling: Ceiling) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// A module that is there, and that nobody signed or approved.
    #[must_use]
    pub fn not_vouched_for(mut self) -> Self {
        self.vouched = false;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut RunLimits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Makes the world.
    ///
    /// # Errors
    /// When the database, the programs or the module aren't there.
    pub async fn build(self) -> Result<World> {
        let database = TestDatabase::new().await?;
        let store = database.store().clone();
        let folder = tempfile::tempdir()?;
        let vault = Arc::new(Vault::new(Arc::new(KeyFile::open_or_create(&folder.path().join("kek"))?)));
        let manifest = self.packed.manifest.clone();
        let (tenant, instance) = self.tenant(&store, &vault).await?;
        let bin_dir = bin_dir()?;
        let name = manifest.module.name.to_string();
        let parts = Parts {
            store,
            egress: Egress::new(self.egress, Arc::new(SystemResolver))?,
            vault,
            platform: self.platform.clone(),
            compiler: Arc::new(Compiler::new(&bin_dir, &compiled_dir()?)?),
            sandbox: bin_dir.join("porthole-sandbox"),
            warm: Arc::new(Warm::none()),
            finishing: execute::finishing(),
            ceilings: Arc::new(BTreeMap::from([(name, self.ceiling)])),
            judge: Arc::default(),
            limits: self.limits,
            allow_weak_isolation: false,
            lease: worker::DEFAULT_LEASE,
        };
        Ok(World { database, parts, tenant, instance, manifest, folder })
    }

    async fn tenant(&self, store: &Store, vault: &Vault) -> Result<(TenantId, InstanceId)> {
        let cx = op();
        let mut tx = store.begin().await?;
        let packed = &self.packed;
        if self.vouched {
            crate::trust::trusted(&cx, &mut tx, packed).await?;
        } else {
            crate::trust::people(&cx, &mut tx).await?;
            crate::trust::publish(&cx, &mut tx, packed, false).await?;
        }
        let tenant = tenants::create(&cx, &mut tx, &Name::new("acme")?).await?;
        tx.commit().await?;
        let mut tx = store.tenant(tenant.id).await?;
        let new = NewInstance { name: &Name::new("it")?, module: packed.digest, config: &self.config };
        let instance = instances::create(&cx, &mut tx, new).await?;
        let grant = self.grant.clone().unwrap_or_else(|| Grant::all_of(&packed.manifest));
        grants::set(&cx, &mut tx, instance.id, &grant).await?;
        if !self.secrets.is_empty() {
            let key = vault.new_tenant_key(tenant.id).await?;
            let row = WrappedKey { key_id: 1, wrapped: serde_json::to_value(&key)? };
            keys::add(&cx, &mut tx, &row).await?;
            for (slot, method, input) in &self.secrets {
                let method =
                    packed.manifest.credentials.iter().find(|c| c.slot.as_str() == slot && c.method == *method);
                let method = method.context("no such credential method")?;
                let fields = SecretFields::from_input(method, SecretText::new(input.clone()))?;
                let binding =
                    Binding { tenant: tenant.id, instance: instance.id, slot: method.slot.clone(), version: 1 };
                let sealed = vault.seal(&key, &binding, fields).await?;
                let new = credentials::NewCredential {
                    instance: instance.id,
                    slot: &method.slot,
                    method: &method.method,
                    version: 1,
                    key_id: 1,
                    sealed: &sealed.bytes,
                };
                credentials::set(&cx, &mut tx, new).await?;
            }
        }
        tx.commit().await?;
        Ok((tenant.id, instance.id))
    }
}

/// Who acts in tests.
#[must_use]
pub fn op() -> OpContext {
    OpContext::new(Actor::Person("tester".to_owned()))
}

impl World {
    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.database.store()
    }

    /// Queues a run.
    ///
    /// # Errors
    /// When it can't be queued.
    pub async fn queue(&self, mode: RunMode) -> Result<RunId> {
        let mut tx = self.store().tenant(self.tenant).await?;
        let run = runs::create(&op(), &mut tx, NewRun { instance: self.instance, mode, reason: "test" }).await?;
        tx.commit().await?;
        Ok(run.id)
    }

    /// Queues a run, works on it here, and gives back what became of it.
    ///
    /// # Errors
    /// When the run can't be worked on at all.
    pub async fn run(&self) -> Result<Run> {
        let run = self.queue(RunMode::Apply).await?;
        self.work_on(run).await
    }

    /// The same, for a plan.
    ///
    /// # Errors
    /// As [`World::run`].
    pub async fn plan(&self) -> Result<Run> {
        let run = self.queue(RunMode::Plan).await?;
        self.work_on(run).await
    }

    /// Works on a queued run.
    ///
    /// # Errors
    /// When someone else has it.
    pub async fn work_on(&self, run: RunId) -> Result<Run> {
        if !worker::work_on(&self.parts, WORKER, run, CancellationToken::new()).await? {
            bail!("run {run} can't be claimed");
        }
        let run = self.get(run).await?;
        if run.state == RunState::Running {
            bail!("run {} was left running: {}", run.id, run.message);
        }
        Ok(run)
    }

    /// Runs the instance here and keeps the transcript in a file.
    ///
    /// # Errors
    /// When another run of the instance is active.
    pub async fn record(&self, file: &Path) -> Result<Run> {
        let new = NewRun { instance: self.instance, mode: RunMode::Apply, reason: "test" };
        let lease = self.parts.lease;
        let claimed = runs::create_claimed(&op(), self.store(), self.tenant, new, WORKER, lease).await?;
        let claimed = claimed.context("another run is active")?;
        let run = claimed.run.id;
        worker::record(&self.parts, claimed, CancellationToken::new(), file).await;
        self.get(run).await
    }

    /// What it takes to run a module without the world.
    #[must_use]
    pub fn tools(&self) -> Tools {
        Tools {
            compiler: Arc::clone(&self.parts.compiler),
            sandbox: self.parts.sandbox.clone(),
            allow_weak_isolation: false,
        }
    }

    /// A run as the ledger has it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self, run: RunId) -> Result<Run> {
        let mut tx = self.store().tenant(self.tenant).await?;
        Ok(runs::get(&mut tx, run).await?)
    }

    /// The slices of a run, by `step/partition`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn slices(&self, run: RunId) -> Result<BTreeMap<String, RunSlice>> {
        let mut tx = self.store().tenant(self.tenant).await?;
        let slices = run_slices::list(&mut tx, run).await?;
        Ok(slices.into_iter().map(|s| (s.slice.to_string(), s)).collect())
    }

    /// Why slices are incomplete and objects were set aside: for messages of tests.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn complaints(&self, run: RunId) -> Result<Vec<String>> {
        let slices = self.slices(run).await?;
        let incomplete = slices.iter().filter(|(_, s)| !s.complete).map(|(name, s)| format!("{name}: {}", s.reason));
        let mut all: Vec<_> = incomplete.collect();
        let mut tx = self.store().tenant(self.tenant).await?;
        let aside = rejections::list(&mut tx, run, 0, 20).await?;
        all.extend(aside.into_iter().map(|r| format!("{} {}: {}", r.object_type, r.object_key, r.reason)));
        Ok(all)
    }

    /// The calls of a run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn calls(&self, run: RunId) -> Result<Vec<Call>> {
        let mut tx = self.store().tenant(self.tenant).await?;
        Ok(calls::list(&mut tx, run, 0, 1_000_000).await?)
    }

    /// What was denied in a run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn denials(&self, run: RunId) -> Result<Vec<Call>> {
        let mut tx = self.store().tenant(self.tenant).await?;
        Ok(calls::denials(&mut tx, run).await?)
    }

    /// Every entity with its neighbours, by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn graph(&self) -> Result<BTreeMap<String, EntityDetail>> {
        let mut tx = self.store().tenant(self.tenant).await?;
        let (mut all, mut after) = (BTreeMap::new(), None);
        loop {
            let page = graph::entities(&mut tx, &EntityFilter::default(), after.as_ref(), 1_000).await?;
            for entity in page.entities {
                for detail in graph::entity(&mut tx, None, &entity.key).await? {
                    all.insert(detail.entity.key.clone(), detail);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// What the graph says, in the words of the fake's oracle: entities as `type id`, relationships as
    /// `from-key VERB to-key`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facts(&self) -> Result<BTreeSet<String>> {
        let mut facts = BTreeSet::new();
        for (key, detail) in self.graph().await? {
            facts.insert(key.clone());
            for near in detail.neighbours.iter().filter(|n| n.direction == graph::Direction::Out) {
                facts.insert(format!("{key} {} {}", near.verb, near.other_key));
            }
        }
        Ok(facts)
    }

    /// Replaces the grant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_grant(&self, change: impl FnOnce(&mut Grant)) -> Result<()> {
        let mut tx = self.store().tenant(self.tenant).await?;
        let mut grant = grants::current(&mut tx, self.instance).await?.map(|g| g.grant).unwrap_or_default();
        change(&mut grant);
        grants::set(&op(), &mut tx, self.instance, &grant).await?;
        Ok(tx.commit().await?)
    }

    /// The folder of keys.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// What the oracle expects, in the words of [`World::facts`].
#[must_use]
pub fn expected_facts(expected: &Expected) -> BTreeSet<String> {
    let key = |entity_type: &str, id: u64| format!("{}:{id}", entity_type.replacen('_', ":", 1));
    let entities = expected.entities.iter().map(|e| key(e.entity_type, e.id));
    let relationships = expected
        .relationships
        .iter()
        .map(|r| format!("{} {} {}", key(r.from_type, r.from_id), r.verb, key(r.to_type, r.to_id)));
    entities.chain(relationships).collect()
}
