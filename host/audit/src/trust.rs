//! Whom somebody who verifies believes: the log's key or keys, and witnesses. It comes from the verifier's own hands,
//! never from what is verified.

use crate::checkpoint::Checkpoint;
use crate::error::AuditError;
use crate::key::PublicKey;
use crate::name::KeyName;
use crate::note::{Algorithm, Note, VerifierKey};

/// The most keys of a kind: a check of a signature tries each of them.
const MAX_KEYS: usize = 64;

/// Keys that are believed.
#[derive(Debug, Clone)]
pub struct Trust {
    log: LogKeys,
    witnesses: Vec<VerifierKey>,
    quorum: usize,
}

#[derive(Debug, Clone)]
enum LogKeys {
    /// Of one log. Several if its key was changed.
    Named(Vec<VerifierKey>),
    /// Of a deployment: of each of its logs.
    Public(Vec<PublicKey>),
}

/// A checkpoint with the signature of a believed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The note as it came.
    pub note: Note,
    /// Its text, read.
    pub checkpoint: Checkpoint,
    /// The log's keys that signed it.
    pub signed_by: Vec<VerifierKey>,
    /// The believed witnesses that co-signed it.
    pub cosigned: Vec<Cosigned>,
}

/// A witness's co-signature: up to then, it had seen no other history of this log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness.
    pub witness: KeyName,
    /// When, in seconds since 1970, by the witness's clock.
    pub at: u64,
}

impl Trust {
    /// Believes the key or keys of one log.
    ///
    /// # Errors
    /// When there is none, when they are of several logs, or when one is a witness's.
    pub fn log(keys: Vec<VerifierKey>) -> Result<Self, AuditError> {
        let first = keys.first().ok_or(AuditError::Trust("there is no key of the log"))?;
        if keys.iter().any(|key| key.name() != first.name()) {
            return Err(AuditError::Trust("the log's keys have several names"));
        }
        if keys.iter().any(|key| key.algorithm() != Algorithm::Ed25519) {
            return Err(AuditError::Trust("a log's key is of the kind that witnesses use"));
        }
        if keys.len() > MAX_KEYS {
            return Err(AuditError::Trust("there are more than 64 keys of the log"));
        }
        Ok(Self { log: LogKeys::Named(keys), witnesses: Vec::new(), quorum: 0 })
    }

    /// Believes the keys of a deployment, for each of its logs.
    ///
    /// # Errors
    /// When there is none.
    pub fn deployment(keys: Vec<PublicKey>) -> Result<Self, AuditError> {
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(AuditError::Trust("there have to be 1 to 64 keys"));
        }
        Ok(Self { log: LogKeys::Public(keys), witnesses: Vec::new(), quorum: 0 })
    }

    /// Believes witnesses too, and demands so many of them.
    ///
    /// # Errors
    /// When there are fewer than are demanded, when a key is no witness's, or when one key stands under two names: a
    /// co-signature doesn't commit to its name, so one witness could count as two.
    pub fn with_witnesses(self, witnesses: Vec<VerifierKey>, quorum: usize) -> Result<Self, AuditError> {
        if witnesses.iter().any(|key| key.algorithm() != Algorithm::CosignatureV1) {
            return Err(AuditError::Trust("a witness's key is not of the kind cosignature/v1"));
        }
        let twice = |(at, key): (usize, &VerifierKey)| witnesses.iter().take(at).any(|k| k.public() == key.public());
        if witnesses.iter().enumerate().any(twice) {
            return Err(AuditError::Trust("one witness's key is given twice"));
        }
        if witnesses.iter().any(|witness| self.is_log_key(witness.public())) {
            return Err(AuditError::Trust("a witness's key is the log's own"));
        }
        if quorum > witnesses.len() || witnesses.len() > MAX_KEYS {
            return Err(AuditError::Trust("more witnesses are demanded than are known, or more than 64 are known"));
        }
        Ok(Self { witnesses, quorum, ..self })
    }

    fn is_log_key(&self, public: &PublicKey) -> bool {
        match &self.log {
            LogKeys::Named(keys) => keys.iter().any(|key| key.public() == public),
            LogKeys::Public(keys) => keys.contains(public),
        }
    }

    /// The log, where keys of one log are believed.
    #[must_use]
    pub fn origin(&self) -> Option<&KeyName> {
        match &self.log {
            LogKeys::Named(keys) => keys.first().map(VerifierKey::name),
            LogKeys::Public(_) => None,
        }
    }

    /// The believed keys of the log with this origin.
    #[must_use]
    pub fn keys_of(&self, origin: &KeyName) -> Vec<VerifierKey> {
        match &self.log {
            LogKeys::Named(keys) => keys.iter().filter(|key| key.name() == origin).cloned().collect(),
            LogKeys::Public(keys) => {
                keys.iter().map(|key| VerifierKey::new(origin.clone(), Algorithm::Ed25519, *key)).collect()
            }
        }
    }

    /// Opens a checkpoint: reads it, and verifies the log's signature and those of witnesses. Witnesses are not counted
    /// here: see [`Trust::demand_quorum`].
    ///
    /// # Errors
    /// When it is no checkpoint, is of another log, is not signed by a believed key of the log, or carries a wrong
    /// signature under a believed key's name.
    pub fn open(&self, note: &[u8]) -> Result<SignedCheckpoint, AuditError> {
        self.open_note(Note::parse(note)?)
    }

    pub(crate) fn open_note(&self, note: Note) -> Result<SignedCheckpoint, AuditError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        if let Some(wanted) = self.origin().filter(|wanted| **wanted != checkpoint.origin) {
            return Err(AuditError::Origin { wanted: wanted.to_string(), found: checkpoint.origin.to_string() });
        }
        let log_keys = self.keys_of(&checkpoint.origin);
        // One after the other: a note that only witnesses signed is not the log's.
        let signed_by = note.verify(&log_keys)?.into_iter().map(|verified| verified.key.clone()).collect();
        let cosigned = match note.verify(&self.witnesses) {
            Err(AuditError::Unsigned { .. }) => Vec::new(),
            verified => verified?
                .into_iter()
                .filter_map(|v| Some(Cosigned { witness: v.key.name().clone(), at: v.at? }))
                .collect(),
        };
        Ok(SignedCheckpoint { note, checkpoint, signed_by, cosigned })
    }

    /// As many witnesses as are demanded have co-signed.
    ///
    /// # Errors
    /// When fewer have.
    pub fn demand_quorum(&self, checkpoint: &SignedCheckpoint) -> Result<(), AuditError> {
        let found = checkpoint.cosigned.len();
        if found < self.quorum { Err(AuditError::Quorum { found, wanted: self.quorum }) } else { Ok(()) }
    }

    /// A signature is of a believed key, of the log or of a witness.
    pub(crate) fn knows(&self, origin: &KeyName, signature: &crate::note::Signature) -> bool {
        self.keys_of(origin).iter().chain(&self.witnesses).any(|key| key.signs(signature))
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
