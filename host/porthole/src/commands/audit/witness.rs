//! A witness: co-signs checkpoints of logs that only ever grow. What it has seen of each log is a file in its folder,
//! written before the co-signature is given out.

use super::keys::read_all;
use crate::output;
use anyhow::{Context as _, Result};
use clap::Args;
use jiff::Timestamp;
use porthole_audit::checkpoint::Checkpoint;
use porthole_audit::cosign::{Refusal, WitnessRequest, review};
use porthole_audit::key::LogKey;
use porthole_audit::name::KeyName;
use porthole_audit::note::Note;
use porthole_audit::trust::Trust;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The longest file that a request can be, in bytes, and some.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// A signed checkpoint (enough for a log that was never seen), or a request: `porthole audit checkpoint --since`.
    request: PathBuf,
    /// The log's public key (`porthole audit key`), or a file of it; several if the log's key was changed.
    #[arg(long, value_name = "VKEY|FILE", required = true)]
    log_key: Vec<String>,
    /// The witness's private key, made if it isn't there. Not a key that signs logs.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The witness's name: a URL without a scheme.
    #[arg(long)]
    name: KeyName,
    /// Where the witness keeps what it has seen.
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// Where to write the co-signed checkpoint, instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Witness {
    pub(super) fn run(self) -> Result<ExitCode> {
        let trust = Trust::log(read_all(&self.log_key)?)?;
        let request = self.request()?;
        let offered = Checkpoint::parse(request.checkpoint.text())?;
        std::fs::create_dir_all(&self.state).with_context(|| format!("can't make {}", self.state.display()))?;
        // Of two reviews that start from the same checkpoint only one may succeed.
        let lock = File::create(self.state.join("lock")).context("can't lock the witness's folder")?;
        flock(&lock, FlockOperation::LockExclusive).context("can't lock the witness's folder")?;
        let seen_file = self.state.join(file_name(&offered.origin));
        let seen = match std::fs::read(&seen_file) {
            Ok(bytes) => Some(Note::parse(&bytes).with_context(|| seen_file.display().to_string())?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(e).with_context(|| format!("can't read {}", seen_file.display())),
        };
        let known = seen.as_ref().map(|note| Checkpoint::parse(note.text())).transpose()?;
        let approved = match review(known.as_ref(), &request, &trust) {
            Ok(approved) => approved,
            Err(refusal) => return self.refuse(&refusal, &request, seen.as_ref()),
        };
        let key = LogKey::open_or_create(&self.key)?;
        let cosigner = key.cosigner(self.name.clone());
        let note = approved.cosign(&cosigner, Timestamp::now());
        write_durably(&seen_file, note.to_string().as_bytes())?;
        match &self.out {
            Some(path) => {
                std::fs::write(path, note.to_string()).with_context(|| format!("can't write {}", path.display()))?;
            }
            None => output::line(note.to_string().trim_end_matches('\n')),
        }
        output::note(format!(
            "co-signed {} at {} records, as {}",
            offered.origin,
            output::number(offered.size),
            cosigner.verifier_key()
        ));
        Ok(ExitCode::SUCCESS)
    }

    /// A request, or a bare checkpoint, which is a request from where nothing was seen.
    fn request(&self) -> Result<WitnessRequest> {
        let about = std::fs::metadata(&self.request);
        let about = about.with_context(|| format!("can't read {}", self.request.display()))?;
        anyhow::ensure!(about.len() <= MAX_REQUEST_BYTES, "{} is too long", self.request.display());
        let bytes = std::fs::read(&self.request).with_context(|| format!("can't read {}", self.request.display()))?;
        if bytes.starts_with(b"old ") {
            return Ok(WitnessRequest::parse(&bytes)?);
        }
        let checkpoint = Note::parse(&bytes).with_context(|| self.request.display().to_string())?;
        let text = Checkpoint::parse(checkpoint.text())?;
        // The same checkpoint again needs no proof either.
        let seen = std::fs::read(self.state.join(file_name(&text.origin))).ok();
        let seen = seen.and_then(|bytes| Note::parse(&bytes).ok()).and_then(|n| Checkpoint::parse(n.text()).ok());
        let old_size = seen.filter(|seen| seen.size == text.size).map_or(0, |seen| seen.size);
        Ok(WitnessRequest { old_size, proof: Vec::new(), checkpoint })
    }

    /// Says why not. Of a fork both sides are kept: together they show it to anybody.
    fn refuse(&self, refusal: &Refusal, request: &WitnessRequest, seen: Option<&Note>) -> Result<ExitCode> {
        let mut source = std::error::Error::source(refusal);
        let mut text = refusal.to_string();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        output::line(format!("not co-signed: {text}"));
        if let Refusal::OtherStart { seen, .. } = refusal {
            output::line(format!("  ask the log for: porthole audit checkpoint --since {seen}"));
        }
        if let (Refusal::Fork { size, .. } | Refusal::BadProof { to: size, .. }, Some(seen)) = (refusal, seen) {
            let at = Timestamp::now().as_millisecond();
            let evidence = self.state.join(format!("fork-{size}-{at}.txt"));
            write_durably(&evidence, format!("{seen}\n{request}").as_bytes())?;
            output::line(format!("  both checkpoints are kept in {}", evidence.display()));
        }
        Ok(ExitCode::FAILURE)
    }
}

/// A file for each log, whatever characters its name has.
fn file_name(origin: &KeyName) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
    let start: String = origin.as_str().chars().map(plain).take(100).collect();
    let digest = ring::digest::digest(&ring::digest::SHA256, origin.as_str().as_bytes());
    let digest: String = digest.as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("{start}-{digest}.checkpoint")
}

/// Written whole or not at all, and still there after a power cut.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let draft = path.with_extension("draft");
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("can't write {}", path.display()))
}
