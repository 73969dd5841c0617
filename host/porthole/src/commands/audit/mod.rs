//! `porthole audit`: the logs of who did what. Reading one is an act that is logged; checking one needs neither the
//! database nor the network.

mod export;
mod keys;
mod prove;
mod show;
mod status;
mod verify;
mod witness;

use super::runs::Which;
use crate::commands::up::signer;
use crate::context::{Cx, Database};
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use porthole_audit::note::{Note, VerifierKey};
use porthole_model::audit::{Entry, Log};
use porthole_runner::sequencer;
use porthole_store::audit::read::{Checkpoint, LogTx};
use porthole_store::{Store, audit};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long a command waits for a worker to sequence what is pending.
const SEQUENCED_WITHIN: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// What happened in a run, as a person reads it: who, what, decisions, calls, digests.
    Show {
        /// The run; or TENANT/INSTANCE for its newest.
        run: Which,
        /// The records as JSON.
        #[arg(long)]
        json: bool,
    },
    /// The newest records of a log.
    List {
        /// The platform's log instead of a tenant's.
        #[arg(long)]
        platform: bool,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// The records as JSON Lines.
        #[arg(long)]
        json: bool,
    },
    /// Write a log into a file that anybody can check with `porthole audit verify`.
    Export {
        /// The platform's log instead of a tenant's.
        #[arg(long)]
        platform: bool,
        /// Where to write it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a log file: nothing missing, added, moved or changed since it was signed. Needs no database. Exit code 0: it
    /// holds. 1: it doesn't. 2: it is signed, but its records don't fit together.
    Verify(verify::Verify),
    /// Write the proof that a record is in its log.
    Prove {
        /// The record's id, or its number in the log.
        record: String,
        /// The platform's log instead of a tenant's.
        #[arg(long)]
        platform: bool,
        /// Where to write it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check the proof of a record. Needs no database.
    VerifyProof(prove::VerifyProof),
    /// The public keys that verify the logs: one line for each.
    Key {
        /// Only the platform's.
        #[arg(long)]
        platform: bool,
    },
    /// The newest signed checkpoint of a log; with --since, as a request to a witness.
    Checkpoint {
        /// The platform's log instead of a tenant's.
        #[arg(long)]
        platform: bool,
        /// With the proof that the log grew from so many leaves: what the witness has seen, 0 at first.
        #[arg(long, value_name = "SIZE")]
        since: Option<u64>,
        /// Where to write it, instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Co-sign a checkpoint of someone's log, or refuse it because the log forked. Needs no database.
    Witness(witness::Witness),
    /// Each log's size, what is pending, and when it was last signed.
    Status {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Audit {
    pub(crate) async fn run(self, cx: Cx) -> Result<ExitCode> {
        let with = match self {
            Self::Verify(verify) => return verify.run(),
            Self::VerifyProof(verify) => return verify.run(),
            Self::Witness(witness) => return witness.run(),
            other => other,
        };
        let db = cx.database().await?;
        let done = with.with_database(&cx, &db).await;
        db.close().await;
        done.map(|()| ExitCode::SUCCESS)
    }

    async fn with_database(self, cx: &Cx, db: &Database) -> Result<()> {
        match self {
            Self::Show { run, json } => show::run(cx, db, run, json).await,
            Self::List { platform, limit, json } => show::list(cx, db, platform, limit, json).await,
            Self::Export { platform, out } => export::export(cx, db, platform, &out).await,
            Self::Prove { record, platform, out } => prove::prove(cx, db, &record, platform, &out).await,
            Self::Key { platform } => status::key(cx, db, platform).await,
            Self::Checkpoint { platform, since, out } => status::checkpoint(cx, db, platform, since, out).await,
            Self::Status { json } => status::status(cx, db, json).await,
            Self::Verify(_) | Self::VerifyProof(_) | Self::Witness(_) => Ok(()),
        }
    }
}

/// The log that is meant: the platform's, or that of the tenant in question.
async fn log_of(cx: &Cx, db: &Database, platform: bool) -> Result<Log> {
    if platform { Ok(Log::Platform) } else { Ok(Log::Tenant(cx.the_tenant(db).await?.id)) }
}

/// Records an act of reading in the log that is read, and sees to it that everything until then is sequenced.
async fn recorded(cx: &Cx, db: &Database, log: Log, entry: Entry) -> Result<()> {
    match log {
        Log::Platform => {
            let mut tx = db.store.begin().await?;
            audit::append(&cx.op(), &mut tx, entry).await?;
            tx.commit().await?;
        }
        Log::Tenant(tenant) => {
            let mut tx = db.store.tenant(tenant).await?;
            audit::append(&cx.op(), &mut tx, entry).await?;
            tx.commit().await?;
        }
    }
    sequenced(cx, db, log).await
}

/// Sequences what is pending, if this machine has the signing key; else waits for a worker that has it.
async fn sequenced(cx: &Cx, db: &Database, log: Log) -> Result<()> {
    // With a server of its own, this machine is the installation, and makes the key if need be.
    let has_key = cx.settings.audit_key_file().exists() || cx.settings.database_url.is_none();
    let signer = if has_key { Some(signer(cx, &db.store).await?) } else { None };
    let end = Instant::now() + SEQUENCED_WITHIN;
    loop {
        if let Some(signer) = &signer {
            sequencer::drain(&db.store, signer).await?;
        }
        let pending = LogTx::open(&db.store, log).await?.pending().await?;
        if pending == 0 {
            return Ok(());
        }
        if Instant::now() > end {
            bail!(
                "{pending} records of the log `{log}` are not sequenced yet: a worker that has the signing key does that \
                 (`porthole up` or `porthole work`)"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The newest checkpoint, which there is once a log has been sequenced.
async fn newest(log: &mut LogTx) -> Result<(Checkpoint, Note)> {
    let checkpoint = log.checkpoint(None).await?.context("the log has no checkpoint yet: nothing was recorded")?;
    let note = Note::parse(checkpoint.note.as_bytes()).context("the stored checkpoint can't be read")?;
    Ok((checkpoint, note))
}

/// What verifies a log.
async fn verifier_key(store: &Store, log: Log) -> Result<VerifierKey> {
    let own = LogTx::open(store, log).await?.head().await?.signer;
    if let Some(key) = own {
        return Ok(key.parse()?);
    }
    // Nothing of it is signed yet: by the key that signs the platform's log, under the name that this one will have.
    let platform = LogTx::open(store, Log::Platform).await?.head().await?.signer;
    let platform: VerifierKey =
        platform.context("nothing is signed yet: the first worker makes the key (`porthole up`)")?.parse()?;
    let origin = platform.name().as_str().strip_suffix("platform").context("the platform's log has an odd name")?;
    let name = porthole_audit::name::KeyName::new(format!("{origin}{}", log.path()))?;
    Ok(VerifierKey::new(name, platform.algorithm(), *platform.public()))
}
