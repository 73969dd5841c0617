//! The two ways of one call: through the broker's own parts on a durable database, and by the HTTP client alone.

use super::call::USERS;
use crate::bench::{Bench, repository};
use crate::database::Database;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use porthole_egress::credential::{BoundCredential, Credentials, Means};
use porthole_egress::scrub::ScrubRules;
use porthole_egress::secret::{Binding, KeyFile, SecretFields, SecretText, Vault};
use porthole_egress::{CallLimits, Egress, EgressConfig, Endpoint, SessionConfig, SystemResolver};
use porthole_model::context::{Actor, OpContext};
use porthole_model::grant::{Ceiling, Grant, Policy};
use porthole_model::id::{ModuleDigest, Name};
use porthole_model::manifest::Manifest;
use porthole_model::run::{Claim, RunMode};
use porthole_registry::author::read_manifest;
use porthole_registry::config::resolve_config;
use porthole_runner::answers::Answers;
use porthole_runner::broker::answer_calls;
use porthole_runner::calls::Caller;
use porthole_runner::recorder::Recorder;
use porthole_runner::stored_replies::StoredReplies;
use porthole_runner::task_calls::TaskCalls;
use porthole_runner::transcript::{Header, Recording};
use porthole_store::instances::{self, NewInstance};
use porthole_store::modules::{self, NewModule};
use porthole_store::runs::{self, NewRun};
use porthole_store::{Store, StoreError, tenants};
use porthole_wire::{Call, Limits, TaskKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The credential. Long enough to be searched for in every reply.
const TOKEN: &str = "00pRj5N1oSecretOfTheBench8uW2vXzK4mQ";
/// The lease of the run: longer than the figure.
const LEASE: Duration = Duration::from_secs(3_600);

/// Everything that a worker has for a run, but the sandbox.
pub(super) struct Broker {
    database: Database,
    claim: Claim,
    task: TaskCalls,
    answers: Answers,
    recording: Recording,
    records: JoinHandle<Result<(), Arc<StoreError>>>,
    asked: AtomicU64,
}

impl Broker {
    /// A run of the guest `bench-directory` that has been claimed.
    pub(super) async fn start(bench: &Bench, host: &str, provider: &str) -> Result<Self> {
        let database = Database::start(bench).await?;
        let path = repository().join("guests/bench-directory/manifest.toml");
        let findings = |findings: Vec<_>| anyhow!("the manifest: {findings:?}");
        let manifest = read_manifest(&std::fs::read_to_string(path)?).map_err(findings)?;
        let config = resolve_config(&manifest, &BTreeMap::new()).map_err(findings)?;
        let claim = claim(&database.store, &manifest).await?;
        let bound = bind(bench, claim, &manifest).await?;
        let slots = bound.1.iter().map(|b| b.binding.slot.clone()).collect();
        let endpoint = Endpoint::new(host, provider)?;
        let egress = EgressConfig { endpoints: vec![endpoint], ..EgressConfig::default() };
        let session = Egress::new(egress, Arc::new(SystemResolver))?.session(SessionConfig {
            account: "bench".to_owned(),
            rate: manifest.rate,
            credentials: Credentials::new(bound.0, bound.1, config.clone(), Means::default()),
            scrub: ScrubRules::new(&manifest.scrub),
            limits: CallLimits::default(),
        });
        let header = Header::new(ModuleDigest([7; 32]), config.values.clone(), &Limits::default());
        let grant = Grant::all_of(&manifest);
        let policy = Policy::new(Name::new("bench")?, &manifest, config, grant, Ceiling::default())?;
        let (recorder, records) = Recorder::start(database.store.clone(), claim);
        let caller = Caller {
            policy,
            session,
            recorder,
            bound: slots,
            replies: StoredReplies::none(),
            cancelled: CancellationToken::new(),
            sequence: AtomicI64::new(1),
            max_calls: u64::MAX,
            calls: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            usage: std::sync::Mutex::default(),
            waiting: Arc::default(),
        };
        Ok(Self {
            database,
            claim,
            task: TaskCalls::new(1, "factors".parse()?, "0".parse()?, TaskKind::Run),
            answers: Answers::Live(Arc::new(caller)),
            recording: Recording::begin(&header, None).await?,
            records,
            asked: AtomicU64::new(0),
        })
    }

    /// One call, as a guest's question.
    pub(super) async fn call(&self, n: usize) -> Result<()> {
        let call = Call::Begin {
            operation: "list-factors".to_owned(),
            arguments: vec![("user".to_owned(), user(n))],
            credential: Some("api".to_owned()),
        };
        let ask = self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = answer_calls(&self.answers, &self.recording, &self.task, ask, &[call]).await?;
        match answers.pop() {
            Some(Ok(response)) if response.status == 200 && !response.body.is_empty() => Ok(()),
            other => bail!("the call ended otherwise: {other:?}"),
        }
    }

    /// A connection to its database that no row security binds.
    pub(super) async fn admin(&self) -> Result<sqlx::PgConnection> {
        self.database.admin().await
    }

    /// Ends the run: every record has its end.
    pub(super) async fn stop(self: Arc<Self>) -> Result<()> {
        let this = Arc::into_inner(self).context("a call is under way")?;
        let Self { database, claim, answers, records, recording, asked, .. } = this;
        drop(answers);
        records.await??;
        recording.finish().await?;
        let mut tx = database.store.tenant(claim.tenant).await?;
        let used = porthole_store::calls::by_operation(&mut tx, claim.run).await?;
        tx.commit().await?;
        let recorded: u64 = used.iter().map(|u| u.allowed - u.faults).sum();
        ensure!(recorded == asked.into_inner(), "{recorded} calls were recorded");
        database.stop().await
    }
}

/// A tenant with an instance and a run that this process has claimed.
async fn claim(store: &Store, manifest: &Manifest) -> Result<Claim> {
    let ctx = OpContext::new(Actor::Person("bench".to_owned()));
    let digest = ModuleDigest([7; 32]);
    let mut tx = store.begin().await?;
    let tenant = tenants::create(&ctx, &mut tx, &Name::new("acme")?).await?;
    modules::add(&ctx, &mut tx, NewModule { digest, publisher: "bench", manifest, component: b"\0asm" }).await?;
    tx.commit().await?;
    let mut tx = store.tenant(tenant.id).await?;
    let new = NewInstance { name: &Name::new("directory")?, module: digest, config: &BTreeMap::new() };
    let instance = instances::create(&ctx, &mut tx, new).await?;
    runs::create(&ctx, &mut tx, NewRun { instance: instance.id, mode: RunMode::Apply, reason: "bench" }).await?;
    tx.commit().await?;
    let claimed = runs::claim(store, "bench", LEASE).await?.context("there should be a run to claim")?;
    Ok(claimed.claim)
}

/// A sealed credential and who opens it.
async fn bind(bench: &Bench, claim: Claim, manifest: &Manifest) -> Result<(Arc<Vault>, Vec<BoundCredential>)> {
    let vault = Vault::new(Arc::new(KeyFile::open_or_create(&bench.folder("keys")?.join("kek"))?));
    let method = manifest.credentials.first().context("a credential")?.clone();
    let tenant_key = vault.new_tenant_key(claim.tenant).await?;
    let binding = Binding { tenant: claim.tenant, instance: claim.instance, slot: method.slot.clone(), version: 1 };
    let mut fields = SecretFields::new(&method)?;
    fields.set("token", SecretText::new(TOKEN.to_owned()))?;
    let sealed = vault.seal(&tenant_key, &binding, fields).await?;
    Ok((Arc::new(vault), vec![BoundCredential { binding, method, tenant_key, sealed }]))
}

fn user(n: usize) -> String {
    format!("00u{:017}", n as u64 % USERS)
}

/// The same request by the client alone, set as egress sets its own.
pub(super) struct Plain {
    client: reqwest::Client,
    provider: String,
}

impl Plain {
    pub(super) fn new(provider: &str) -> Result<Self> {
        Ok(Self { client: plain_client()?, provider: provider.to_owned() })
    }

    pub(super) async fn call(&self, n: usize) -> Result<()> {
        let url = format!("{}/api/v1/users/{}/factors", self.provider, user(n));
        let response = self.client.get(url).header("authorization", format!("SSWS {TOKEN}")).send().await?;
        ensure!(response.status() == 200, "the provider answered {}", response.status());
        ensure!(!response.bytes().await?.is_empty(), "an empty reply");
        Ok(())
    }
}

/// The HTTP client as egress sets it, without TLS, which no request here has.
///
/// # Errors
/// When it can't be made.
pub(super) fn plain_client() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(no_tls()?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .tcp_nodelay(true);
    Ok(client.build()?)
}

/// TLS that trusts nobody: the client insists on some.
fn no_tls() -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}
