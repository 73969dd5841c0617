//! Configuration is read once, here, and handed on as small structs: flags and environment first, then `porthole.toml`,
//! then defaults.

use anyhow::{Context as _, Result, bail};
use porthole_egress::secret::{DEFAULT_MOUNT, DEFAULT_NAME, TransitConfig};
use porthole_egress::{EgressConfig, Reserved};
use porthole_model::grant::Ceiling;
use porthole_registry::key::KeyId;
use porthole_runner::warm::DEFAULT_WARM;
use porthole_runner::worker::DEFAULT_LEASE;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What every command needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where the private Postgres, keys and compiled code live.
    pub data: PathBuf,
    /// An existing server instead of the private one.
    pub database_url: Option<String>,
    /// The operator's file.
    pub file: File,
    /// Where that file is, or would be.
    pub file_path: PathBuf,
    /// Its text, if it is there: a change of it is recorded.
    pub file_text: Option<String>,
    /// The folder of our programs.
    pub bin_dir: PathBuf,
}

/// `porthole.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct File {
    /// `[egress]` and `[endpoints]`.
    #[serde(flatten)]
    pub egress: EgressConfig,
    /// `[ceiling.MODULE]`: what nobody may use, whatever a tenant grants.
    pub ceiling: BTreeMap<String, Ceiling>,
    /// `[worker]`.
    pub worker: WorkerTable,
    /// `[audit]`.
    pub audit: AuditTable,
    /// `[approval]`.
    pub approval: ApprovalTable,
    /// `[key]`.
    pub key: KeyTable,
    /// `[registry]`.
    pub registry: RegistryTable,
    /// `[platform]`.
    pub platform: PlatformTable,
}

/// `[platform]`: who the platform itself is, where tenants let it assume a role.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct PlatformTable {
    /// The file with the platform's own key (`access_key_id`, `secret_access_key`); its owner's alone, read again for each
    /// role that is assumed.
    pub key_file: Option<PathBuf>,
    /// Whose key it is, as tenants' trust policies name it: `arn:aws:iam::111122223333:user/porthole`.
    pub principal: Option<String>,
}

/// `[audit]`: who signs the audit logs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct AuditTable {
    /// Where the key is that signs the logs, if not in the data folder. Every machine that works needs the same one.
    pub key_file: Option<PathBuf>,
    /// The name of this installation in its logs, such as `porthole.example.com`. Never changes once a log is signed.
    pub origin: Option<String>,
}

/// `[approval]`: what it takes until a module may run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct ApprovalTable {
    /// A version that may do nothing that an approved version may not needs no person.
    pub automatic: bool,
    /// The only keys of publishers and reviewers that count (`porthole publisher list`, `porthole reviewer list`), so
    /// that whoever can write to the database can't add people of their own. Empty: all that are registered.
    #[serde(deserialize_with = "key_ids")]
    pub keys: BTreeSet<KeyId>,
}

fn key_ids<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<KeyId>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let read = |text: &String| text.parse().map_err(|e| serde::de::Error::custom(format!("key `{text}`: {e}")));
    texts.iter().map(read).collect()
}

/// `[key]`: who holds the key-encryption key, which wraps the tenants' data keys.
///
/// ```toml
/// [key]
/// service = "transit"                     # or "file", which is the default
/// url = "https://vault.example:8200"
/// token-file = "/run/porthole/vault-token"
/// ```
/// With the one in use, the other may stay configured: what it wrapped before still opens, and `porthole key rotate`
/// moves it over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct KeyTable {
    /// Which of the two wraps.
    pub service: KeyService,
    /// The key file, if not in the data folder.
    pub file: Option<PathBuf>,
    /// A transit service of HashiCorp Vault or OpenBao: `https://HOST[:PORT]`.
    pub url: Option<String>,
    /// Where its transit engine is mounted; `transit` if nothing is said.
    pub mount: Option<String>,
    /// The name of the key; `porthole` if nothing is said.
    pub name: Option<String>,
    /// The namespace, where the service has any.
    pub namespace: Option<String>,
    /// The file with the token; its owner's alone, read again when it changes.
    pub token_file: Option<PathBuf>,
}

/// Who wraps.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyService {
    /// The key file.
    #[default]
    File,
    /// The transit service.
    Transit,
}

/// `[registry]`: where published modules are kept for other tools.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct RegistryTable {
    /// The folder of the OCI image layout, if not `modules` in the data folder.
    pub folder: Option<PathBuf>,
}

/// `[worker]`: how much a worker does at once.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct WorkerTable {
    /// Runs at once; each is a process of a few MiB that mostly waits for its provider.
    pub runs: usize,
    /// Sandbox processes that are started and locked down before a run needs one, at most 64; 0 starts each when it is
    /// needed. An idle one takes about 1 MiB.
    pub warm: usize,
    /// The key file; the same as `file` in `[key]`, where it is looked for first.
    pub key_file: Option<PathBuf>,
    /// Seconds that a run is this worker's without a heartbeat; after that it is swept.
    pub lease_seconds: u64,
}

impl Default for WorkerTable {
    fn default() -> Self {
        Self { runs: 8, warm: DEFAULT_WARM, key_file: None, lease_seconds: DEFAULT_LEASE.as_secs() }
    }
}

/// The tables that a file may have; anything else is a typing error that would silently change nothing.
const TABLES: [&str; 9] =
    ["egress", "endpoints", "ceiling", "worker", "audit", "approval", "key", "registry", "platform"];

impl Settings {
    /// Reads everything.
    pub(crate) fn read(data: Option<PathBuf>, config: Option<PathBuf>, database_url: Option<String>) -> Result<Self> {
        let data = match data {
            Some(data) => data,
            None => default_data()?,
        };
        let data = std::path::absolute(&data).with_context(|| format!("data folder {}", data.display()))?;
        let beside = data.join("porthole.toml");
        let (file_path, file_text) = match config {
            Some(path) => (path.clone(), Some(read_text(&path)?)),
            None if beside.exists() => (beside.clone(), Some(read_text(&beside)?)),
            None => (beside, None),
        };
        let file = file_text.as_deref().map(|text| parse_file(&file_path, text)).transpose()?.unwrap_or_default();
        let program = std::env::current_exe().context("where is this program?")?;
        let bin_dir = program.parent().map(Path::to_owned).unwrap_or_default();
        let database_url = database_url.filter(|url| !url.is_empty());
        Ok(Self { data, database_url, file, file_path, file_text, bin_dir })
    }

    /// The local registry's folder.
    pub(crate) fn registry(&self) -> PathBuf {
        self.file.registry.folder.clone().unwrap_or_else(|| self.data.join("modules"))
    }

    /// The key-encryption key's file.
    pub(crate) fn key_file(&self) -> Result<PathBuf> {
        let (key, worker) = (&self.file.key.file, &self.file.worker.key_file);
        if let (Some(key), Some(worker)) = (key, worker)
            && key != worker
        {
            bail!("[key] file and [worker] key-file name two files: {} and {}", key.display(), worker.display());
        }
        Ok(key.as_ref().or(worker.as_ref()).cloned().unwrap_or_else(|| self.data.join("key-encryption.key")))
    }

    /// The transit service, if one is configured.
    pub(crate) fn transit(&self) -> Result<Option<TransitConfig>> {
        let key = &self.file.key;
        let Some(url) = &key.url else { return Ok(None) };
        let text = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
        Ok(Some(TransitConfig {
            url: url.clone(),
            mount: text(&key.mount, DEFAULT_MOUNT),
            name: text(&key.name, DEFAULT_NAME),
            namespace: key.namespace.clone(),
            token_file: key.token_file.clone().context("[key] url needs `token-file`: the file with the token")?,
        }))
    }

    /// The file of the key that signs the audit logs.
    pub(crate) fn audit_key_file(&self) -> PathBuf {
        self.file.audit.key_file.clone().unwrap_or_else(|| self.data.join("audit-signing.key"))
    }
}

/// For root a folder that the database's unprivileged user can reach; otherwise the user's own.
fn default_data() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/porthole"));
    }
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|d| !d.is_empty()) {
        return Ok(PathBuf::from(data).join("porthole"));
    }
    match std::env::var_os("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(".local/share/porthole")),
        None => bail!("no HOME: say where the data folder is with --data"),
    }
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

fn parse_file(path: &Path, text: &str) -> Result<File> {
    let table: toml::Table = toml::from_str(text).with_context(|| path.display().to_string())?;
    if let Some(unknown) = table.keys().find(|k| !TABLES.contains(&k.as_str())) {
        bail!("{}: unknown table [{unknown}]; there are {}", path.display(), TABLES.join(", "));
    }
    let mut file: File = toml::from_str(text).with_context(|| path.display().to_string())?;
    // What is wrong with the URL is said by who uses it.
    let key_service = file.key.url.as_ref().and_then(|url| Reserved::of(&url.parse().ok()?));
    file.egress.reserved.extend(key_service);
    Ok(file)
}
