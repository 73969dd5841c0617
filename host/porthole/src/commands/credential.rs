//! `porthole credential`: secrets go in and never come out. They are read from a prompt, standard input or a file, never
//! from the command line, where every process of the machine could see them.

use crate::context::{Cx, InstancePath};
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use porthole_egress::secret::{Binding, MAX_INPUT_BYTES, SecretFields, SecretText, WrappedKey};
use porthole_model::id::{Slot, TenantId};
use porthole_model::manifest::{CredentialMethod, Manifest};
use porthole_store::credentials::{self, NewCredential};
use porthole_store::{TenantTx, modules, tenants};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Credential {
    /// Fill a slot. Asks for the secret; or reads it from a file or from standard input.
    Set(Set),
    /// Which slots are filled, since when and by whom.
    List {
        /// TENANT/NAME.
        instance: InstancePath,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Empty a slot; the sealed bytes are deleted.
    Remove {
        /// TENANT/NAME.
        instance: InstancePath,
        /// The slot.
        #[arg(long)]
        slot: Slot,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// TENANT/NAME.
    instance: InstancePath,
    /// The slot, if the module has several.
    #[arg(long)]
    slot: Option<Slot>,
    /// The way to fill it, if the slot has several.
    #[arg(long)]
    method: Option<String>,
    /// Read the secret from this file (`-`: standard input): the one field's text, or a JSON object of all fields.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read one field from a file of its own, such as a private key; may be given several times.
    #[arg(long, value_name = "FIELD=FILE")]
    field_file: Vec<String>,
}

impl Credential {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        match self {
            Self::Set(set) => set.run(&cx).await?,
            Self::List { instance, json } => list(&cx, &instance, json).await?,
            Self::Remove { instance, slot } => {
                let db = cx.database().await?;
                let (tenant, mut tx, found) = cx.open(&db, &instance).await?;
                let name = &found.name;
                credentials::remove(&cx.op(), &mut tx, found.id, &slot).await?;
                tx.commit().await?;
                output::line(format!("slot {slot} of {}/{name} is empty", tenant.name));
                db.close().await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Set {
    async fn run(self, cx: &Cx) -> Result<()> {
        let db = cx.database().await?;
        let (tenant, mut tx, instance) = cx.open(&db, &self.instance).await?;
        let name = &instance.name;
        let manifest = modules::get(&mut tx, instance.module).await?.manifest;
        // Nobody holds a transaction while a person types.
        tx.rollback().await?;
        let method = self.method(&manifest)?;
        let fields = self.read(method)?;
        let mut tx = db.store.tenant(tenant.id).await?;
        let key = tenant_key(cx, &mut tx, tenant.id).await?;
        let version = credentials::next_version(&mut tx, instance.id, &method.slot).await?;
        let binding = Binding { tenant: tenant.id, instance: instance.id, slot: method.slot.clone(), version };
        let sealed = cx.vault()?.seal(&key, &binding, fields).await?;
        let new = NewCredential {
            instance: instance.id,
            slot: &method.slot,
            method: &method.method,
            version,
            sealed: &sealed.bytes,
        };
        credentials::set(&cx.op(), &mut tx, new).await?;
        tx.commit().await?;
        output::line(format!(
            "slot {} of {}/{name}: {} v{version} sealed and stored",
            method.slot, tenant.name, method.method
        ));
        db.close().await;
        Ok(())
    }

    fn method<'m>(&self, manifest: &'m Manifest) -> Result<&'m CredentialMethod> {
        let fits = |c: &&CredentialMethod| {
            self.slot.as_ref().is_none_or(|slot| *slot == c.slot)
                && self.method.as_ref().is_none_or(|method| *method == c.method)
        };
        let found: Vec<_> = manifest.credentials.iter().filter(fits).collect();
        match found.as_slice() {
            [one] => Ok(one),
            _ => {
                let all = manifest.credentials.iter().map(|c| format!("--slot {} --method {}", c.slot, c.method));
                bail!("say which: {}", all.collect::<Vec<_>>().join(", or "))
            }
        }
    }

    fn read(&self, method: &CredentialMethod) -> Result<SecretFields> {
        let mut fields = SecretFields::new(method)?;
        for text in &self.field_file {
            let (field, path) = text.split_once('=').with_context(|| format!("`{text}` is not FIELD=FILE"))?;
            let file = std::fs::File::open(path).with_context(|| format!("can't read {path}"))?;
            fields.set(field, SecretText::read_from(file, MAX_INPUT_BYTES)?)?;
        }
        let missing: Vec<(String, bool)> = fields.missing().map(|(f, lines)| (f.to_owned(), lines)).collect();
        if missing.is_empty() {
            return Ok(fields);
        }
        match &self.file {
            Some(path) if path.as_os_str() != "-" => {
                let file = std::fs::File::open(path).with_context(|| format!("can't read {}", path.display()))?;
                fields.add(SecretText::read_from(file, MAX_INPUT_BYTES)?)?;
            }
            None if std::io::stdin().is_terminal() => {
                for (field, many_lines) in missing {
                    if many_lines {
                        bail!("`{field}` has many lines: give it as --field-file {field}=FILE");
                    }
                    let text = rpassword::prompt_password(format!("{field}: ")).context("can't read the secret")?;
                    fields.set(&field, SecretText::new(text))?;
                }
            }
            _ => fields.add(SecretText::read_from(std::io::stdin(), MAX_INPUT_BYTES)?)?,
        }
        Ok(fields)
    }
}

/// The tenant's data key; its first secret makes it.
async fn tenant_key(cx: &Cx, tx: &mut TenantTx, tenant: TenantId) -> Result<WrappedKey> {
    if let Some(newest) = tenants::keys(tx).await?.into_iter().next() {
        return serde_json::from_value(newest.wrapped).context("the tenant's data key can't be read");
    }
    let key = cx.vault()?.new_tenant_key(tenant).await?;
    let row = tenants::WrappedKey { key_id: 1, wrapped: serde_json::to_value(&key)? };
    tenants::add_key(&cx.op(), tx, &row).await?;
    Ok(key)
}

async fn list(cx: &Cx, path: &InstancePath, json: bool) -> Result<()> {
    let db = cx.database().await?;
    let (_, mut tx, instance) = cx.open(&db, path).await?;
    let all = credentials::list(&mut tx, instance.id).await?;
    tx.rollback().await?;
    if json {
        output::json(&all)?;
    } else {
        let row = |c: credentials::Credential| {
            vec![c.slot.to_string(), c.method, c.version.to_string(), c.set_at.to_string(), c.set_by]
        };
        output::table(&["slot", "method", "version", "set", "by"], all.into_iter().map(row));
    }
    db.close().await;
    Ok(())
}
