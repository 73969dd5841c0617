//! What a run needs before anything starts: the instance, its module (admitted again), the grant, the sealed
//! credentials, and from them the policy and the plan. Reading is here; deciding is in `model`.

use crate::limits::RunLimits;
use crate::trust::{CheckError, Judge};
use porthole_egress::credential::BoundCredential;
use porthole_egress::secret::{Binding, Sealed, WrappedKey};
use porthole_model::grant::{Ceiling, Policy};
use porthole_model::id::{CredentialId, ModuleDigest, Slot, StepId};
use porthole_model::manifest::Manifest;
use porthole_model::operation::Config;
use porthole_model::parse::StepTypes;
use porthole_model::plan::{Plan, PlanInput, plan};
use porthole_model::run::{Claim, Fault, Outcome};
use porthole_registry::trust::Untrusted;
use porthole_store::credentials::{self, SealedCredential, SealingKey};
use porthole_store::{Store, StoreError, grants, instances, modules};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A run that is ready to start.
pub struct Prepared {
    /// The module's digest.
    pub digest: ModuleDigest,
    /// The packed component.
    pub component: Vec<u8>,
    /// What a run's record tells beside the plan: the operator's exceptions, and an approval that is still open.
    pub exceptions: Vec<String>,
    /// What it asks for.
    pub manifest: Arc<Manifest>,
    /// The checked configuration.
    pub config: Config,
    /// The same as a guest sees it.
    pub config_json: String,
    /// The three owners' answer, until the run's calls take it.
    pub policy: Option<Policy>,
    /// What a reviewer reads.
    pub plan: Plan,
    /// The grant that the plan was made from, with its version; none when nothing was granted.
    pub grant: Option<(i32, serde_json::Value)>,
    /// The operator's ceiling that the plan was made from.
    pub ceiling: Option<serde_json::Value>,
    /// Sealed credentials, by slot.
    pub credentials: Vec<BoundCredential>,
    /// Which credential is in a slot, and the method it fills.
    pub bound: HashMap<Slot, (CredentialId, String)>,
    /// Types by step.
    pub types: HashMap<StepId, Arc<StepTypes>>,
    /// The share of a type that may go without anyone asking.
    pub brake_share: f64,
    /// Deletions of a type that never brake.
    pub brake_floor: u64,
}

/// Why a run doesn't start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// `denied` or `failed`.
    pub outcome: Outcome,
    /// Whose fault.
    pub fault: Fault,
    /// What is wrong and what to do.
    pub message: String,
}

/// Reading failed, or the run is refused.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The run doesn't start.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<CheckError> for PrepareError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Store(e) => Self::Store(e),
            CheckError::Untrusted(why) => {
                // Who changes stored bytes is no guest; everything else is about what somebody published.
                let fault = if matches!(why, Untrusted::Changed { .. }) { Fault::Host } else { Fault::Guest };
                Self::Refused(refuse(Outcome::Denied, fault, why.to_string()))
            }
        }
    }
}

fn refuse(outcome: Outcome, fault: Fault, message: impl Into<String>) -> Refusal {
    Refusal { outcome, fault, message: message.into() }
}

/// Reads and checks everything that a run needs.
///
/// # Errors
/// When the module isn't trusted or admitted, the configuration doesn't fit, or the plan contradicts itself.
pub async fn prepare(
    store: &Store,
    claim: Claim,
    ceilings: &BTreeMap<String, Ceiling>,
    mut exceptions: Vec<String>,
    limits: &RunLimits,
    judge: &Judge,
) -> Result<Prepared, PrepareError> {
    let mut tx = store.tenant(claim.tenant).await?;
    let instance = instances::get(&mut tx, claim.instance).await?;
    if instance.disabled {
        let message = format!("instance `{}` is disabled", instance.name);
        return Err(refuse(Outcome::Denied, Fault::Tenant, message).into());
    }
    let module = modules::component(&mut tx, instance.module).await?;
    let granted = grants::current(&mut tx, claim.instance).await?;
    let sealed = credentials::sealed(&mut tx, Some(claim.instance)).await?;
    tx.commit().await?;

    let trusted = judge.check(store, instance.module, &module).await?;
    // The bytes were admitted when they were added. The rules may have become stricter since, and the row is only as
    // trustworthy as the database.
    let admitted = porthole_registry::admit::admit(&module).map_err(|findings| {
        let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
        refuse(Outcome::Denied, Fault::Guest, format!("the module is not admitted: {}", list.join("; ")))
    })?;
    let manifest = admitted.manifest;
    exceptions.extend(crate::trust::exception(manifest.module.name.as_str(), &trusted));
    let config = porthole_registry::config::resolve_config(&manifest, &instance.config).map_err(|findings| {
        let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
        refuse(Outcome::Failed, Fault::Tenant, format!("the configuration doesn't fit: {}", list.join("; ")))
    })?;
    let in_force = granted.as_ref().and_then(|g| Some((g.version, serde_json::to_value(&g.grant).ok()?)));
    let grant = granted.map(|g| g.grant).unwrap_or_default();
    let ceiling = ceilings.get(manifest.module.name.as_str()).cloned().unwrap_or_default();
    let named = limits.named();
    let input = PlanInput {
        instance: &instance.name,
        digest: instance.module,
        config: &config,
        grant: &grant,
        ceiling: &ceiling,
        exceptions: &exceptions,
        limits: &named,
    };
    let plan = plan(&manifest, input).map_err(|e| refuse(Outcome::Denied, Fault::Guest, chain(&e)))?;
    let ceiling_in_force = serde_json::to_value(&ceiling).ok();
    let policy = Policy::new(instance.name.clone(), &manifest, config.clone(), grant, ceiling)
        .map_err(|e| refuse(Outcome::Denied, Fault::Guest, chain(&e)))?;
    let of = |row: &SealedCredential| (row.credential.slot.clone(), (row.credential.id, row.credential.method.clone()));
    let bound = sealed.iter().map(of).collect();
    let credentials = bind(claim, &manifest, sealed)?;
    let types = step_types(&manifest);
    let config_json = serde_json::to_string(&config.values)
        .map_err(|e| refuse(Outcome::Failed, Fault::Host, format!("configuration as JSON: {e}")))?;
    Ok(Prepared {
        digest: instance.module,
        component: module,
        exceptions,
        manifest: Arc::new(manifest),
        config,
        config_json,
        policy: Some(policy),
        plan,
        grant: in_force,
        ceiling: ceiling_in_force,
        credentials,
        bound,
        types,
        brake_share: f64::from(instance.brake.share),
        brake_floor: u64::try_from(instance.brake.floor).unwrap_or(0),
    })
}

/// What each step may emit.
pub(crate) fn step_types(manifest: &Manifest) -> HashMap<StepId, Arc<StepTypes>> {
    let required = |class: &str| {
        let spec = porthole_registry::datamodel::class(class);
        spec.map(|spec| spec.required.clone()).unwrap_or_default()
    };
    manifest.steps.iter().map(|s| (s.id.clone(), Arc::new(StepTypes::new(s, &required)))).collect()
}

fn bind(claim: Claim, manifest: &Manifest, sealed: Vec<SealedCredential>) -> Result<Vec<BoundCredential>, Refusal> {
    let mut bound = Vec::new();
    for row in sealed {
        let SealedCredential { credential, sealed, key } = row;
        let method = manifest.credentials.iter().find(|m| m.slot == credential.slot && m.method == credential.method);
        // A new version of the module may have dropped the method; the slot is unbound then.
        let Some(method) = method else { continue };
        let wrapped = match key {
            SealingKey::Wrapped(wrapped) => wrapped,
            SealingKey::Ended(end) => {
                let message = format!(
                    "the tenant's data key v{} was {} by {} at {} ({}): the secret in slot `{}` can never be read again; \
                     set it anew with `porthole credential set`",
                    credential.key_id,
                    if end.shredded { "shredded" } else { "ended" },
                    end.by,
                    end.at,
                    end.reason,
                    credential.slot
                );
                return Err(refuse(Outcome::Failed, Fault::Tenant, message));
            }
        };
        let tenant_key: WrappedKey = serde_json::from_value(wrapped)
            .map_err(|e| refuse(Outcome::Failed, Fault::Host, format!("the tenant's data key can't be read: {e}")))?;
        let binding = Binding {
            tenant: claim.tenant,
            instance: claim.instance,
            slot: credential.slot,
            version: credential.version,
        };
        bound.push(BoundCredential { binding, method: method.clone(), tenant_key, sealed: Sealed { bytes: sealed } });
    }
    Ok(bound)
}

/// An error and its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
