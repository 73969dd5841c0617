//! `porthole credential`: secrets go in and never come out. They are read from a prompt, standard input or a file, never
//! from the command line, where every process of the machine could see them.

use crate::context::{Cx, InstancePath};
use crate::output;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use porthole_egress::secret::{Binding, MAX_INPUT_BYTES, SecretFields, SecretText};
use porthole_model::id::{InstanceId, Slot};
use porthole_model::manifest::{CredentialKind, CredentialMethod, Manifest};
use porthole_runner::keys;
use porthole_store::credentials::{self, NewCredential};
use porthole_store::instances::Instance;
use porthole_store::{TenantTx, modules};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Credential {
    /// Fill a slot. Asks for the secret; or reads it from a file or from standard input.
    Set(Set),
    /// Replace the secret of a slot by a new one for the same method. Runs under way finish with the one they have; its
    /// stored bytes are deleted with the same stroke.
    Rotate(Rotate),
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
    #[command(flatten)]
    input: Input,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// TENANT/NAME.
    instance: InstancePath,
    /// The slot.
    #[arg(long)]
    slot: Slot,
    #[command(flatten)]
    input: Input,
}

/// Where a secret comes from.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// Read the secret from this file (`-`: standard input): the one field's text, or a JSON object of all fields.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read one field from a file of its own, such as a private key; may be given several times.
    #[arg(long, value_name = "FIELD=FILE")]
    field_file: Vec<String>,
    /// Give one field that is a name and no secret, such as `role_arn`; may be given several times.
    #[arg(long, value_name = "FIELD=VALUE")]
    field: Vec<String>,
}

impl Credential {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        match self {
            Self::Set(set) => set.run(&cx).await?,
            Self::Rotate(rotate) => rotate.run(&cx).await?,
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
        let fields = self.input.read(method, &instance)?;
        let mut tx = db.store.tenant(tenant.id).await?;
        let version = seal(cx, &mut tx, instance.id, method, fields).await?;
        tx.commit().await?;
        if method.kind == CredentialKind::Sigv4Keys {
            output::line(
                "warning: this key doesn't expire and nothing narrows it but its own policy; a role is safer: it is assumed \
                 with a session policy of exactly what is granted",
            );
        }
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
}

impl Rotate {
    async fn run(self, cx: &Cx) -> Result<()> {
        let db = cx.database().await?;
        let (tenant, mut tx, instance) = cx.open(&db, &self.instance).await?;
        let (name, slot) = (&instance.name, &self.slot);
        let manifest = modules::get(&mut tx, instance.module).await?.manifest;
        let former = credentials::live(&mut tx, instance.id, slot).await?;
        // Nobody holds a transaction while a person types.
        tx.rollback().await?;
        let Some(former) = former else {
            bail!("slot {slot} of {}/{name} is empty: porthole credential set {name} --slot {slot}", tenant.name);
        };
        let method = manifest.credentials.iter().find(|m| m.slot == *slot && m.method == former.method);
        let Some(method) = method else {
            bail!("the module no longer has method `{}`: porthole credential set {name} --slot {slot}", former.method);
        };
        let fields = self.input.read(method, &instance)?;
        let mut tx = db.store.tenant(tenant.id).await?;
        let live = credentials::live(&mut tx, instance.id, slot).await?;
        if live.is_none_or(|live| live.version != former.version) {
            bail!("slot {slot} of {}/{name} was changed by someone else in the meantime; try again", tenant.name);
        }
        let version = seal(cx, &mut tx, instance.id, method, fields).await?;
        tx.commit().await?;
        output::line(format!(
            "slot {slot} of {}/{name}: {} v{} is replaced by v{version}, and its stored bytes are deleted",
            tenant.name, method.method, former.version
        ));
        db.close().await;
        Ok(())
    }
}

impl Input {
    fn read(&self, method: &CredentialMethod, instance: &Instance) -> Result<SecretFields> {
        let mut fields = SecretFields::new(method)?;
        if matches!(method.kind, CredentialKind::Sigv4Role { .. }) {
            // The platform's to choose, so that no two instances have the same.
            fields.set("external_id", SecretText::new(instance.external_id.clone()))?;
        }
        for text in &self.field {
            let (field, value) = text.split_once('=').with_context(|| format!("`{text}` is not FIELD=VALUE"))?;
            if !method.kind.names().contains(&field) {
                bail!("`{field}` is no name but a secret: not on the command line, where every process can see it");
            }
            fields.set(field, SecretText::new(value.to_owned()))?;
        }
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

/// Seals a secret as the slot's next version, and ends the one before it. Returns the version.
async fn seal(
    cx: &Cx,
    tx: &mut TenantTx,
    instance: InstanceId,
    method: &CredentialMethod,
    fields: SecretFields,
) -> Result<i32> {
    let vault = cx.vault()?;
    let (key_id, key) = keys::sealing_key(&cx.op(), tx, &vault).await?;
    let version = credentials::next_version(tx, instance, &method.slot).await?;
    let binding = Binding { tenant: tx.tenant(), instance, slot: method.slot.clone(), version };
    let sealed = vault.seal(&key, &binding, fields).await?;
    let (slot, method, sealed) = (&method.slot, method.method.as_str(), sealed.bytes.as_slice());
    let new = NewCredential { instance, slot, method, version, key_id, sealed };
    Ok(credentials::set(&cx.op(), tx, new).await?.version)
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
            vec![
                c.slot.to_string(),
                c.method,
                c.version.to_string(),
                format!("v{}", c.key_id),
                c.set_at.to_string(),
                c.set_by,
            ]
        };
        output::table(&["slot", "method", "version", "data key", "set", "by"], all.into_iter().map(row));
    }
    db.close().await;
    Ok(())
}
