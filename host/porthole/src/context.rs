//! What commands share: the settings, who acts, the database, names of tenants and instances.

use crate::settings::{KeyService, Settings};
use anyhow::{Context as _, Result, bail};
use porthole_egress::secret::{KeyFile, Transit, Vault};
use porthole_model::context::{Actor, OpContext};
use porthole_model::id::Name;
use porthole_registry::trust::Policy;
use porthole_runner::trust::Judge;
use porthole_store::embedded::Embedded;
use porthole_store::instances::{self, Instance};
use porthole_store::tenants::{self, Tenant};
use porthole_store::{Store, StoreOptions, TenantTx};
use std::str::FromStr;
use std::sync::Arc;

/// The circumstances of one command.
#[derive(Debug)]
pub(crate) struct Cx {
    pub settings: Settings,
    tenant: Option<String>,
    /// The tenant stands on the command line; it isn't only a default of the environment.
    is_tenant_named: bool,
}

/// `TENANT/INSTANCE`, or the instance alone.
#[derive(Debug, Clone)]
pub(crate) struct InstancePath {
    tenant: Option<Name>,
    instance: Name,
}

impl FromStr for InstancePath {
    type Err = porthole_model::id::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('/') {
            Some((tenant, instance)) => Self { tenant: Some(Name::new(tenant)?), instance: Name::new(instance)? },
            None => Self { tenant: None, instance: Name::new(text)? },
        })
    }
}

/// An open database. A private server runs as long as someone uses it, so this holds on to it.
pub(crate) struct Database {
    pub store: Store,
    server: Option<Embedded>,
}

impl Database {
    /// Closes the connections and leaves the private server; the last one out stops it. Waits for every transaction that
    /// is still open, so a command ends its own first.
    pub(crate) async fn close(self) {
        self.store.close().await;
        if let Some(server) = self.server
            && let Err(e) = server.stop().await
        {
            tracing::error!(error = %e, "the private Postgres didn't stop");
        }
    }
}

impl Cx {
    pub(crate) fn new(settings: Settings, tenant: Option<String>, is_tenant_named: bool) -> Self {
        Self { settings, tenant, is_tenant_named }
    }

    /// Who acts: the login name, as far as the environment tells.
    pub(crate) fn op(&self) -> OpContext {
        let name =
            ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|v| std::env::var(v).ok().filter(|n| !n.is_empty()));
        let name = name.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
        OpContext::new(Actor::Person(name))
    }

    /// The database: an existing one by URL, or the private one, which is started if it doesn't run.
    pub(crate) async fn database(&self) -> Result<Database> {
        if let Some(url) = &self.settings.database_url {
            let store = Store::connect(&StoreOptions::from_url(url)?).await?;
            return Ok(Database { store, server: None });
        }
        if !self.settings.data.join("postgres").exists() {
            bail!("nothing is in {} yet: start with `porthole up`", self.settings.data.display());
        }
        let server = Embedded::start(&self.settings.data).await?;
        Ok(Database { store: server.store().await?, server: Some(server) })
    }

    /// Says which modules may run, under the operator's policy.
    pub(crate) fn judge(&self) -> Arc<Judge> {
        let approval = &self.settings.file.approval;
        Arc::new(Judge::new(Policy { automatic: approval.automatic }).pinned(approval.keys.clone()))
    }

    /// The room for secrets. The key file of this machine or a key service wraps; what the other of the two wrapped
    /// before still opens, so that an operator can move.
    pub(crate) fn vault(&self) -> Result<Arc<Vault>> {
        let path = self.settings.key_file()?;
        let transit = self.settings.transit()?.map(Transit::new).transpose()?;
        let vault = match (self.settings.file.key.service, transit) {
            (KeyService::File, transit) => {
                let folder = path.parent().context("the key file has no folder")?;
                std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
                let vault = Vault::new(Arc::new(KeyFile::open_or_create(&path)?));
                match transit {
                    Some(transit) => vault.with_former(Arc::new(transit)),
                    None => vault,
                }
            }
            (KeyService::Transit, Some(transit)) => {
                let vault = Vault::new(Arc::new(transit));
                if path.exists() { vault.with_former(Arc::new(KeyFile::open(&path)?)) } else { vault }
            }
            (KeyService::Transit, None) => bail!("[key] service = \"transit\" needs `url` and `token-file`"),
        };
        Ok(Arc::new(vault))
    }

    /// The tenant that `--tenant` names. Not the one of the environment: what is done to all tenants without it must not
    /// depend on a variable that was set for something else.
    pub(crate) async fn named_tenant(&self, db: &Database) -> Result<Option<Tenant>> {
        match &self.tenant {
            Some(name) if self.is_tenant_named => {
                Ok(Some(tenants::by_name(&mut db.store.begin().await?, &Name::new(name.clone())?).await?))
            }
            _ => Ok(None),
        }
    }

    /// The tenant that is meant when none is named: `--tenant`, PORTHOLE_TENANT, or the only one.
    pub(crate) async fn the_tenant(&self, db: &Database) -> Result<Tenant> {
        let mut tx = db.store.begin().await?;
        if let Some(name) = &self.tenant {
            return Ok(tenants::by_name(&mut tx, &Name::new(name.clone())?).await?);
        }
        let mut all = tenants::list(&mut tx).await?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => bail!("there is no tenant yet: porthole tenant create NAME"),
            (Some(_), false) => bail!("there are several tenants: say which with --tenant NAME or TENANT/INSTANCE"),
        }
    }

    /// An instance, with a transaction of its tenant.
    pub(crate) async fn open(&self, db: &Database, path: &InstancePath) -> Result<(Tenant, TenantTx, Instance)> {
        let (tenant, name) = self.split(db, path).await?;
        let mut tx = db.store.tenant(tenant.id).await?;
        let instance = instances::by_name(&mut tx, &name).await?;
        Ok((tenant, tx, instance))
    }

    /// The tenant and the instance's name of a path.
    pub(crate) async fn split(&self, db: &Database, path: &InstancePath) -> Result<(Tenant, Name)> {
        let tenant = match &path.tenant {
            Some(name) => tenants::by_name(&mut db.store.begin().await?, name).await?,
            None => self.the_tenant(db).await?,
        };
        Ok((tenant, path.instance.clone()))
    }
}
