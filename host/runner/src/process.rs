//! The sandbox process of one run: spawned with one socket and nothing else, spoken to in frames, killed when dropped.

use porthole_wire::{
    FrameError, FromSandbox, Isolation, Limits, MAX_CODE_BYTES, MAX_FROM_SANDBOX_BYTES, MAX_TO_SANDBOX_BYTES, PROTOCOL,
    ToSandbox,
};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// How long a sandbox may take to lock itself down, or to map compiled code. Both take milliseconds; a loaded machine a
/// little longer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a sandbox can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The process can't be started.
    #[error("can't start `{0}`")]
    Spawn(PathBuf, #[source] io::Error),
    /// The socket broke.
    #[error("the sandbox's socket broke")]
    Socket(#[source] io::Error),
    /// It ended without a word.
    #[error("the sandbox ended: {0}")]
    Ended(String),
    /// It said something that is no frame.
    #[error("the sandbox sent a bad frame")]
    Frame(#[from] FrameError),
    /// It said something out of turn.
    #[error("the sandbox sent {0} out of turn")]
    OutOfTurn(&'static str),
    /// It was silent for too long.
    #[error("the sandbox was silent for {0:?} while starting")]
    Silent(Duration),
    /// The component can't be loaded.
    #[error("the module can't be loaded: {0}")]
    Load(String),
    /// The kernel can't isolate it.
    #[error("the sandbox is not isolated here: {0}; `--allow-weak-isolation` accepts that and says so in every run")]
    Weak(String),
}

/// A running sandbox process.
#[derive(Debug)]
pub struct Sandbox {
    child: Child,
    reader: OwnedReadHalf,
    /// The last frame, for its room.
    buffer: Vec<u8>,
    writer: Sender,
}

/// The sending half; frames of concurrent answers don't mix.
#[derive(Debug, Clone)]
pub struct Sender(Arc<Mutex<Writing>>);

#[derive(Debug)]
struct Writing {
    socket: OwnedWriteHalf,
    /// The last frame, for its room.
    buffer: Vec<u8>,
}

impl Sender {
    /// Sends one frame.
    ///
    /// # Errors
    /// When the frame is too long or the sandbox is gone.
    pub async fn send(&self, frame: &ToSandbox) -> Result<(), SandboxError> {
        self.send_with(frame, &[]).await
    }

    /// Sends one frame, and plain bytes right behind it.
    async fn send_with(&self, frame: &ToSandbox, plain: &[u8]) -> Result<(), SandboxError> {
        let mut writing = self.0.lock().await;
        let Writing { socket, buffer } = &mut *writing;
        porthole_wire::encode_into(frame, MAX_TO_SANDBOX_BYTES, buffer)?;
        socket.write_all(buffer).await.map_err(SandboxError::Socket)?;
        porthole_wire::keep_room(buffer);
        socket.write_all(plain).await.map_err(SandboxError::Socket)
    }
}

impl Sandbox {
    /// Starts the process and waits until it is locked down.
    ///
    /// # Errors
    /// When it can't be started, or the kernel can't isolate it and `allow_weak` is off.
    pub async fn start(program: &Path, limits: Limits, allow_weak: bool) -> Result<(Self, Isolation), SandboxError> {
        let spawn_error = |e| SandboxError::Spawn(program.to_owned(), e);
        let (ours, theirs) = StdUnixStream::pair().map_err(spawn_error)?;
        ours.set_nonblocking(true).map_err(spawn_error)?;
        let child = spawn(program, theirs.into()).map_err(spawn_error)?;
        let (reader, writer) = UnixStream::from_std(ours).map_err(spawn_error)?.into_split();
        let writing = Writing { socket: writer, buffer: Vec::new() };
        let mut sandbox = Self { child, reader, buffer: Vec::new(), writer: Sender(Arc::new(Mutex::new(writing))) };
        let start = ToSandbox::Start { protocol: PROTOCOL, limits, allow_weak_isolation: allow_weak };
        sandbox.writer.send(&start).await?;
        match sandbox.soon().await? {
            FromSandbox::Ready { isolation } if isolation.is_full() || allow_weak => Ok((sandbox, isolation)),
            FromSandbox::Ready { isolation } => Err(SandboxError::Weak(format!("{isolation:?}"))),
            FromSandbox::LoadFailed { message } => Err(SandboxError::Weak(message)),
            _ => Err(SandboxError::OutOfTurn("a frame")),
        }
    }

    /// Hands over compiled code and waits until it is loaded.
    ///
    /// # Errors
    /// When the component doesn't load.
    pub async fn load(&mut self, code: &[u8]) -> Result<(), SandboxError> {
        let length = u32::try_from(code.len()).ok().filter(|length| *length <= MAX_CODE_BYTES);
        let length = length.ok_or(FrameError::TooLong(code.len(), MAX_CODE_BYTES as usize))?;
        self.writer.send_with(&ToSandbox::Load { length }, code).await?;
        match self.soon().await? {
            FromSandbox::Loaded => Ok(()),
            FromSandbox::LoadFailed { message } => Err(SandboxError::Load(message)),
            _ => Err(SandboxError::OutOfTurn("a frame")),
        }
    }

    async fn soon(&mut self) -> Result<FromSandbox, SandboxError> {
        tokio::time::timeout(START_TIMEOUT, self.receive()).await.unwrap_or(Err(SandboxError::Silent(START_TIMEOUT)))
    }

    /// The next frame. Not safe to drop while waiting: a frame would be cut.
    ///
    /// # Errors
    /// When the process ended, with the cause, or sent no frame.
    pub async fn receive(&mut self) -> Result<FromSandbox, SandboxError> {
        let mut head = [0; 4];
        if let Err(e) = self.reader.read_exact(&mut head).await {
            return Err(self.cause(e).await);
        }
        self.buffer.resize(porthole_wire::length(head, MAX_FROM_SANDBOX_BYTES)?, 0);
        if let Err(e) = self.reader.read_exact(&mut self.buffer).await {
            return Err(self.cause(e).await);
        }
        let frame = porthole_wire::decode(&self.buffer)?;
        porthole_wire::keep_room(&mut self.buffer);
        Ok(frame)
    }

    /// Why the socket is closed: the way the process ended says more than the socket.
    async fn cause(&mut self, socket: io::Error) -> SandboxError {
        match tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await {
            Ok(Ok(status)) => SandboxError::Ended(describe(status)),
            _ => SandboxError::Socket(socket),
        }
    }

    /// It still runs, as far as the kernel knows just now.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The sending half.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.writer.clone()
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The highest resident memory so far, in bytes, as the kernel counts it.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        self.child.id().map_or(0, |id| peak_memory_of(&format!("/proc/{id}/status")))
    }

    /// Ends the process and waits for it.
    pub async fn stop(mut self) {
        // It may be gone already.
        let _ = self.child.kill().await;
    }
}

/// The highest resident memory, in bytes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Peaks {
    /// Of the sandbox process.
    pub sandbox: u64,
    /// Of the worker, over its whole life.
    pub worker: u64,
}

/// `VmHWM` of a process's status file, in bytes; 0 where it can't be read.
#[must_use]
pub fn peak_memory_of(status_file: &str) -> u64 {
    let text = std::fs::read_to_string(status_file).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Starts the program with the socket as its standard input, so that nothing has to be done between fork and exec: the
/// standard library then uses `vfork`, which doesn't copy this process's page tables.
fn spawn(program: &Path, socket: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").stdin(socket).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn()
}

fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(9), _) => "killed by signal 9 (someone, or the kernel for want of memory)".to_owned(),
        (Some(31), _) => "killed by signal 31: it tried a system call that the sandbox forbids".to_owned(),
        (Some(signal), _) => format!("crashed with signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended without a status".to_owned(),
    }
}
