//! The sequencer: pending audit records become leaves of their logs, and each log's new state is signed. It runs in
//! every worker that has the signing key; any number may run at once, because whoever grows a log holds its head.
//!
//! It never waits for a log that another has, and it takes them in turn: a log with a million pending records keeps no
//! other waiting for longer than one step. Killed at any moment, a step happened or it didn't.

use crate::prepare::chain;
use porthole_audit::checkpoint::Checkpoint;
use porthole_audit::error::AuditError;
use porthole_audit::key::LogKey;
use porthole_audit::name::KeyName;
use porthole_audit::note::{Algorithm, VerifierKey};
use porthole_audit::tree::{Frontier, leaf_hash};
use porthole_model::audit::Log;
use porthole_store::audit::read::LogTx;
use porthole_store::audit::sequence::{self, Grown, NewNode, StepLimits};
use porthole_store::{Store, StoreError};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What one step takes: enough that its round trips don't matter, little enough that it is over in a fraction of a
/// second and others get their turn.
const STEP: StepLimits = StepLimits { records: 5_000, bytes: 8 * 1024 * 1024 };
/// Between two rounds, unless a log has more than a step's worth: records that come together meanwhile share a step, a
/// signature and a checkpoint, and a disk that runs need gets fewer flushes. A command that reads a log doesn't wait.
const PAUSE: Duration = Duration::from_millis(500);
/// After a round in which nothing but failures happened.
const BACK_OFF: Duration = Duration::from_secs(5);

/// The key that signs this installation's logs, and the name under which it does.
#[derive(Clone)]
pub struct LogSigner {
    key: Arc<LogKey>,
    origin: String,
}

/// Why a log doesn't grow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequenceError {
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The key, a name or the stored frontier is not what it should be.
    #[error("the log `{log}` can't be signed")]
    Audit {
        /// Which.
        log: String,
        /// Why not.
        #[source]
        source: AuditError,
    },
    /// This machine doesn't have the key.
    #[error(
        "the logs are signed by `{signer}`, and its key is not in {path}: copy the key file from a machine that has it"
    )]
    NoKey {
        /// Who signs.
        signer: String,
        /// Where the key was looked for.
        path: PathBuf,
    },
    /// This machine has another key.
    #[error(
        "the log `{log}` is signed by `{signer}`, and this machine would sign as `{ours}`: the key file or `[audit] origin` \
         is another installation's"
    )]
    OtherSigner {
        /// Which.
        log: Log,
        /// Who signed so far.
        signer: String,
        /// Who would sign now.
        ours: String,
    },
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSigner").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl LogSigner {
    /// A signer. Without an origin, it is `porthole-` and the first 8 digits of the public key.
    #[must_use]
    pub fn new(key: LogKey, origin: Option<&str>) -> Self {
        let origin = origin.map_or_else(|| default_origin(&key), str::to_owned);
        Self { key: Arc::new(key), origin }
    }

    /// The signer of this machine: the key in this file. The first machine of an installation makes it; after that a
    /// machine has it or doesn't sign.
    ///
    /// # Errors
    /// When the key file can't be used, isn't there although the logs are signed already, or is another's.
    pub async fn open(store: &Store, path: &Path, origin: Option<&str>) -> Result<Self, SequenceError> {
        let log = Log::Platform;
        let failed = |source| SequenceError::Audit { log: log.to_string(), source };
        let signer = LogTx::open(store, log).await?.head().await?.signer;
        let key = match (LogKey::open(path), signer) {
            (Ok(key), _) => key,
            (Err(AuditError::KeyFile { source, .. }), Some(signer))
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Err(SequenceError::NoKey { signer, path: path.to_owned() });
            }
            (Err(AuditError::KeyFile { source, .. }), None) if source.kind() == std::io::ErrorKind::NotFound => {
                LogKey::open_or_create(path).map_err(failed)?
            }
            (Err(e), _) => return Err(failed(e)),
        };
        let signer = Self::new(key, origin);
        // Of two machines that start at the same moment with a key each, one is the signer from now on.
        let ours = signer.verifier_key(log)?.to_string();
        let counts = sequence::claim_signer(store, &ours).await?;
        if counts == ours { Ok(signer) } else { Err(SequenceError::OtherSigner { log, signer: counts, ours }) }
    }

    /// The name of a log, which stands in its checkpoints.
    ///
    /// # Errors
    /// When the operator's origin can't be part of a name.
    pub fn origin(&self, log: Log) -> Result<KeyName, SequenceError> {
        KeyName::new(format!("{}/{}", self.origin, log.path()))
            .map_err(|source| SequenceError::Audit { log: log.to_string(), source })
    }

    /// What verifies a log's checkpoints.
    ///
    /// # Errors
    /// As [`LogSigner::origin`].
    pub fn verifier_key(&self, log: Log) -> Result<VerifierKey, SequenceError> {
        Ok(VerifierKey::new(self.origin(log)?, Algorithm::Ed25519, self.key.public()))
    }
}

fn default_origin(key: &LogKey) -> String {
    format!("porthole-{}", hex::encode(key.public().0).chars().take(8).collect::<String>())
}

/// Sequences until `stop`, and then what is left.
pub async fn run(store: Store, signer: LogSigner, stop: CancellationToken) {
    loop {
        let round = round(&store, &signer).await;
        let pause = match &round {
            Ok(Round { more: true, .. }) => Duration::ZERO,
            Ok(Round { failed: true, sequenced: 0, .. }) => BACK_OFF,
            Ok(_) => PAUSE,
            Err(e) => {
                tracing::error!(error = %chain(e), "can't look for pending audit records");
                BACK_OFF
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    if let Err(e) = drain(&store, &signer).await {
        tracing::warn!(error = %chain(&e), "audit records stay pending");
    }
}

/// Sequences what is pending now, in every log that nobody else is growing. Returns how many records.
///
/// # Errors
/// When the database fails. What one log's trouble is, is told and doesn't keep the others.
pub async fn drain(store: &Store, signer: &LogSigner) -> Result<u64, SequenceError> {
    let mut sequenced = 0;
    loop {
        let round = round(store, signer).await?;
        sequenced += round.sequenced;
        if round.sequenced == 0 {
            return Ok(sequenced);
        }
    }
}

/// What a visit to every log with pending records came to.
#[derive(Debug, Default)]
struct Round {
    /// Records.
    sequenced: u64,
    /// Some log has more.
    more: bool,
    /// Some log could not grow.
    failed: bool,
}

async fn round(store: &Store, signer: &LogSigner) -> Result<Round, StoreError> {
    let mut round = Round::default();
    let mut last = None;
    while let Some(log) = sequence::next_log(store, last).await? {
        match step(store, signer, log).await {
            Ok(records) => {
                round.sequenced += records;
                round.more |= records >= u64::from(STEP.records);
            }
            Err(e) => {
                round.failed = true;
                tracing::error!(%log, error = %chain(&e), "an audit log can't be sequenced");
            }
        }
        last = Some(log);
    }
    Ok(round)
}

/// Sequences one step's worth of one log. Returns how many records; none when nothing is pending or another sequencer
/// is at it.
///
/// # Errors
/// When the database fails, or the log is not this signer's. Nothing happened then.
pub async fn step(store: &Store, signer: &LogSigner, log: Log) -> Result<u64, SequenceError> {
    let Some(growing) = sequence::grow(store, log, STEP).await? else { return Ok(0) };
    let failed = |source| SequenceError::Audit { log: log.to_string(), source };
    let ours = signer.verifier_key(log)?.to_string();
    if let Some(other) = growing.signer.as_ref().filter(|s| **s != ours) {
        return Err(SequenceError::OtherSigner { log, signer: other.clone(), ours });
    }
    let mut frontier = Frontier::from_bytes(growing.size, &growing.frontier).map_err(failed)?;
    let (mut leaf_hashes, mut nodes) = (Vec::with_capacity(growing.pending.len()), Vec::new());
    for pending in &growing.pending {
        let hash = leaf_hash(pending.record.as_bytes());
        leaf_hashes.push(hash.0);
        frontier.push_noting(hash, |node| {
            nodes.push(NewNode { level: node.level, index: node.index, hash: node.hash.0 });
        });
    }
    let origin = signer.origin(log)?;
    let root = frontier.root();
    let checkpoint = Checkpoint::new(origin.clone(), frontier.size(), root);
    let note = checkpoint.sign(&signer.key.signer(origin)).map_err(failed)?.to_string();
    let records = growing.pending.len() as u64;
    let grown = Grown { leaf_hashes, nodes, frontier: frontier.to_bytes(), root: root.0, signer: ours, note };
    growing.commit(grown).await?;
    Ok(records)
}
