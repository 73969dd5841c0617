//! Compiled code: made by porthole-compile in a process of its own, sealed with a keyed MAC before anyone maps it, and
//! kept on this machine's disk.
//!
//! Compiled code is trusted like our own binary, so nothing is loaded that this machine did not compile: the MAC binds
//! the code to the module's digest and to the engine that will run it, under a key that only the worker can read.

use bytes::Bytes;
use porthole_model::id::ModuleDigest;
use porthole_wire::MAX_CODE_BYTES;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// How long compiling may take. The process has a CPU limit of its own; this one is for a stuck pipe.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(300);
/// Compiled code that is kept in memory beside the disk, in bytes: some thirty modules of a usual size. What was used
/// last stays; a module that is larger than this is read, and its seal checked, for each run.
const MAX_KEPT_BYTES: usize = 32 * 1024 * 1024;
/// How much of what the compiler complains about is kept, in bytes: the first lines.
const MAX_COMPLAINT_BYTES: u64 = 8 * 1024;
/// The length of a seal, in bytes: HMAC-SHA256.
const SEAL_BYTES: usize = 32;
/// What the first seal key file of a machine is made of, in bytes.
const KEY_BYTES: usize = 32;

/// Why a module can't be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A file or pipe failed.
    #[error("{0}")]
    Io(String, #[source] io::Error),
    /// The compiler refused or crashed.
    #[error("porthole-compile: {0}")]
    Refused(String),
    /// It took too long.
    #[error("porthole-compile took longer than {COMPILE_TIMEOUT:?}")]
    Timeout,
    /// The two binaries are not of one build.
    #[error("porthole-sandbox and porthole-compile are not of one build; build both again")]
    Mismatch,
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> CompileError {
    |e| CompileError::Io(what.into(), e)
}

/// Compiles modules and keeps the results.
#[derive(Debug)]
pub struct Compiler {
    sandbox: PathBuf,
    program: PathBuf,
    folder: PathBuf,
    key: hmac::Key,
    /// One compilation at a time: it takes a core and up to some GiB.
    compatibility: Mutex<Option<String>>,
    kept: std::sync::Mutex<Kept>,
}

/// Code whose seal held when it was read, or that was made here; what was used last is last. This process holds the key
/// of the seal, so whoever could change its memory could forge a seal as well.
#[derive(Debug, Default)]
struct Kept(Vec<(ModuleDigest, Bytes)>);

impl Kept {
    fn get(&mut self, digest: ModuleDigest) -> Option<Bytes> {
        let at = self.0.iter().position(|(kept, _)| *kept == digest)?;
        let found = self.0.remove(at);
        let code = found.1.clone();
        self.0.push(found);
        Some(code)
    }

    fn put(&mut self, digest: ModuleDigest, code: &Bytes) {
        if code.len() > MAX_KEPT_BYTES {
            return;
        }
        self.0.retain(|(kept, _)| *kept != digest);
        self.0.push((digest, code.clone()));
        let mut bytes: usize = self.0.iter().map(|(_, code)| code.len()).sum();
        while bytes > MAX_KEPT_BYTES {
            bytes -= self.0.remove(0).1.len();
        }
    }
}

impl Compiler {
    /// A compiler that keeps its results and its seal key below `data`.
    ///
    /// # Errors
    /// When the folder or the key file can't be read or made.
    pub fn new(bin_dir: &Path, data: &Path) -> Result<Self, CompileError> {
        let folder = data.join("compiled");
        std::fs::create_dir_all(&folder).map_err(io_error(format!("can't make {}", folder.display())))?;
        let key = seal_key(&folder.join("seal.key"))?;
        Ok(Self {
            sandbox: bin_dir.join("porthole-sandbox"),
            program: bin_dir.join("porthole-compile"),
            folder,
            key: hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()),
            compatibility: Mutex::new(None),
            kept: std::sync::Mutex::default(),
        })
    }

    /// Compiled code of a component: from memory, from disk when its seal holds, else compiled now.
    ///
    /// # Errors
    /// When the compiler refuses, or files fail. A broken seal is no error: the file is compiled anew.
    pub async fn code(&self, digest: ModuleDigest, component: &[u8]) -> Result<Bytes, CompileError> {
        // Before the lock below: who only needs what is there doesn't wait for somebody's compilation.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(digest);
        if let Some(code) = kept {
            return Ok(code);
        }
        let code = Bytes::from(self.sealed_or_compiled(digest, component).await?);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(digest, &code);
        Ok(code)
    }

    async fn sealed_or_compiled(&self, digest: ModuleDigest, component: &[u8]) -> Result<Vec<u8>, CompileError> {
        let mut compatibility = self.compatibility.lock().await;
        let engine = match &*compatibility {
            Some(engine) => engine.clone(),
            None => compatibility.insert(self.ask_compatibility().await?).clone(),
        };
        let file = self.folder.join(format!("{}-{engine}.code", digest.to_string().replace(':', "-")));
        if let Some(code) = self.read(&file, digest, &engine) {
            return Ok(code);
        }
        tracing::info!(%digest, "compiling the module");
        let code = self.compile(&engine, component).await?;
        let mut sealed = self.seal(digest, &engine, &code).as_ref().to_vec();
        sealed.extend_from_slice(&code);
        replace(&file, &sealed).map_err(io_error(format!("can't write {}", file.display())))?;
        Ok(code)
    }

    fn seal(&self, digest: ModuleDigest, engine: &str, code: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, &sealed_bytes(digest, engine, code))
    }

    fn read(&self, file: &Path, digest: ModuleDigest, engine: &str) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(file).ok()?;
        let code = bytes.split_off(SEAL_BYTES.min(bytes.len()));
        let good = hmac::verify(&self.key, &sealed_bytes(digest, engine, &code), &bytes);
        if good.is_err() {
            tracing::warn!(file = %file.display(), "the seal of compiled code is broken; compiling anew");
            return None;
        }
        Some(code)
    }

    async fn ask_compatibility(&self) -> Result<String, CompileError> {
        let (sandbox, compiler) = (compatibility(&self.sandbox).await?, compatibility(&self.program).await?);
        if sandbox == compiler { Ok(sandbox) } else { Err(CompileError::Mismatch) }
    }

    async fn compile(&self, expected: &str, component: &[u8]) -> Result<Vec<u8>, CompileError> {
        let mut child = Command::new(&self.program)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(io_error(format!("can't start {}", self.program.display())))?;
        let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(CompileError::Refused("no pipes".to_owned()));
        };
        let length = u32::try_from(component.len()).map_err(|_| CompileError::Refused("too large".to_owned()))?;
        let work = async {
            // Each future owns its pipe, so that one that fails closes it and the process can't wait for us.
            let send = async move {
                stdin.write_all(&length.to_le_bytes()).await?;
                stdin.write_all(component).await?;
                stdin.shutdown().await
            };
            let receive = async move {
                let engine = format!("{:016x}", stdout.read_u64_le().await?);
                let length = stdout.read_u32_le().await?;
                if engine != expected || length > MAX_CODE_BYTES {
                    return Err(io::Error::other(format!("{length} bytes of compiled code for engine {engine}")));
                }
                let mut code = vec![0; length as usize];
                stdout.read_exact(&mut code).await.map(|_| code)
            };
            let mut complaint = String::new();
            let mut complain = (&mut stderr).take(MAX_COMPLAINT_BYTES);
            // What a process that failed says is on its standard error; the pipe's own error says less.
            let (_, code, _) = tokio::join!(send, receive, complain.read_to_string(&mut complaint));
            let status = child.wait().await.map_err(io_error("porthole-compile"))?;
            match code {
                Ok(code) if status.success() => Ok(code),
                _ if complaint.trim().is_empty() => Err(CompileError::Refused(status.to_string())),
                _ => Err(CompileError::Refused(complaint.trim().to_owned())),
            }
        };
        tokio::time::timeout(COMPILE_TIMEOUT, work).await.unwrap_or(Err(CompileError::Timeout))
    }
}

/// What a seal covers: which module, for which engine, and a digest of the code.
fn sealed_bytes(digest: ModuleDigest, engine: &str, code: &[u8]) -> Vec<u8> {
    let mut bytes = b"porthole compiled code 1\0".to_vec();
    bytes.extend_from_slice(&digest.0);
    bytes.extend_from_slice(ring::digest::digest(&ring::digest::SHA256, code).as_ref());
    bytes.extend_from_slice(engine.as_bytes());
    bytes
}

async fn compatibility(program: &Path) -> Result<String, CompileError> {
    let output = Command::new(program).arg("--compatibility").env_clear().output().await;
    let output = output.map_err(io_error(format!("can't start {}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let plain = !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric());
    if output.status.success() && plain {
        Ok(text)
    } else {
        Err(CompileError::Refused(format!("{} --compatibility said {text:?}", program.display())))
    }
}

fn seal_key(file: &Path) -> Result<Zeroizing<Vec<u8>>, CompileError> {
    let read = || std::fs::read(file).map(Zeroizing::new);
    match read() {
        Ok(key) if key.len() == KEY_BYTES => Ok(key),
        Ok(_) => {
            let e = io::Error::other("not a seal key; delete it, and modules are compiled anew");
            Err(CompileError::Io(file.display().to_string(), e))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
            let random = SystemRandom::new().fill(&mut key);
            random.map_err(|_| CompileError::Refused("no randomness".to_owned()))?;
            create_once(file, &key).map_err(io_error(file.display().to_string()))?;
            read().map_err(io_error(file.display().to_string()))
        }
        Err(e) => Err(CompileError::Io(file.display().to_string(), e)),
    }
}

/// Writes a file beside the one that is meant, readable by its owner alone.
fn write_fresh(file: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let fresh = file.with_extension(format!("new-{}", uuid::Uuid::new_v4()));
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    Ok(fresh)
}

/// Replaces a file, whole or not at all.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::rename(write_fresh(file, bytes)?, file)
}

/// Makes a file unless another process was first; that one stays then.
fn create_once(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = write_fresh(file, bytes)?;
    let linked = std::fs::hard_link(&fresh, file);
    std::fs::remove_file(&fresh)?;
    match linked {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_kept_within_the_budget() {
        let (mut kept, third) = (Kept::default(), Bytes::from(vec![0; MAX_KEPT_BYTES / 3]));
        let digest = |n| ModuleDigest([n; 32]);
        for n in 1..=3 {
            kept.put(digest(n), &third);
        }
        assert!(kept.get(digest(1)).is_some());
        kept.put(digest(4), &third);
        let has = [1, 2, 3, 4].map(|n| kept.get(digest(n)).is_some());
        assert_eq!(has, [true, false, true, true]);
        kept.put(digest(5), &Bytes::from(vec![0; MAX_KEPT_BYTES + 1]));
        assert!(kept.get(digest(5)).is_none() && kept.get(digest(4)).is_some());
    }
}
