//! The life of `porthole-sandbox`.
//!
//! A broker starts it with an empty environment, `/` as its working directory and one end of a Unix socket pair, as
//! descriptor 3 or as the standard input (descriptor 0, which needs no unsafe code in the broker). Every other
//! descriptor is closed. The thread that starts it must live as long as it: the kernel kills the sandbox when that
//! *thread* ends. The broker must read and write at the same time: a lane that sends a frame waits until it is read.
//!
//! Its end is the end of the socket. The exit codes below tell the rest; a signal is the kernel's or the operator's.

use crate::code::{self, Code, CodePages};
use crate::lane::{self, DuplicateTask, Queue, Shared};
use crate::limits;
use crate::load::Loader;
use crate::lockdown::{self, LockdownError};
use crate::meter::Ticker;
use crate::stop::cut;
use crate::task::Cancellation;
use crate::wire::{Reading, WireError, Writing, halves};
use porthole_wire::{FromSandbox, Limits, MAX_CODE_BYTES, PROTOCOL, ToSandbox};
use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

/// The broker closed the socket: the ordinary end.
pub const EXIT_CLOSED: i32 = 0;
/// The broker sent what doesn't belong there, or a frame of ours was too long.
pub const EXIT_PROTOCOL: i32 = 2;
/// A wall can't be put up.
pub const EXIT_LOCKDOWN: i32 = 3;
/// The component can't be loaded.
pub const EXIT_LOAD: i32 = 4;
/// A mistake in the sandbox itself.
pub const EXIT_PANIC: i32 = 70;
/// Started by hand.
pub const EXIT_USAGE: i32 = 64;

/// Why the sandbox ends early.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    /// The broker spoke out of turn.
    #[error("the broker sent an unexpected frame")]
    Turn,
    /// Other frames than ours.
    #[error("the broker speaks version {0} of the frames, this is {PROTOCOL}")]
    Version(u32),
    /// The socket.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The walls.
    #[error("the sandbox can't be locked down")]
    Lockdown(#[from] LockdownError),
    /// Something is missing, and the operator hasn't allowed it.
    #[error("this kernel can't isolate a guest: {0}")]
    Weak(String),
    /// A thread or wasmtime didn't start.
    #[error("the sandbox can't start: {0}")]
    Start(String),
    /// The component.
    #[error(transparent)]
    Load(#[from] crate::load::LoadError),
}

/// Runs the sandbox on the socket that the broker handed over. Returns the exit code.
#[must_use]
pub fn main(socket: File) -> i32 {
    // A lane that panicked would leave its task without an end. There is nobody to read a message, so the code says it.
    std::panic::set_hook(Box::new(|_| std::process::exit(EXIT_PANIC)));
    let fd = socket.as_raw_fd();
    let (mut reading, writing) = halves(socket);
    let writing = Arc::new(writing);
    match serve(fd, &mut reading, &writing) {
        Ok(()) => EXIT_CLOSED,
        Err(e) => {
            writing.send(&FromSandbox::LoadFailed { message: cut(crate::told(&e)) });
            e.exit_code()
        }
    }
}

impl Fatal {
    fn exit_code(&self) -> i32 {
        match self {
            Self::Turn | Self::Version(_) | Self::Wire(_) => EXIT_PROTOCOL,
            Self::Lockdown(_) | Self::Weak(_) | Self::Start(_) => EXIT_LOCKDOWN,
            Self::Load(_) => EXIT_LOAD,
        }
    }
}

/// The broker answered a question that nobody asked, or with the wrong kind of answer. That is a mistake in the broker;
/// whatever this process would do next rests on it.
pub(crate) fn broker_is_wrong() -> ! {
    std::process::exit(EXIT_PROTOCOL)
}

fn serve(fd: RawFd, reading: &mut Reading, writing: &Arc<Writing>) -> Result<(), Fatal> {
    let Some((mut limits, allow_weak)) = start(reading)? else { return Ok(()) };
    limits.lanes = limits.lanes.clamp(1, limits::MAX_LANES);
    code::learn_page_size();
    let isolation = lockdown::enter(fd, &lockdown::sandbox_ceilings(limits.lanes, limits.memory_bytes))?;
    let loader = Loader::pooled(&limits)?;
    let pages = CodePages::ready();
    let shared = Arc::new(shared(limits, Arc::clone(writing)));
    start_threads(&shared)?;
    let isolation = lockdown::seal(isolation)?;
    if !allow_weak && !isolation.is_full() {
        return Err(Fatal::Weak(format!("{isolation:?}; the operator can allow it with --allow-weak-isolation")));
    }
    let filtered = isolation.seccomp;
    writing.send(&FromSandbox::Ready { isolation });

    let Some(code) = receive_code(reading, pages)? else { return Ok(()) };
    let module = loader.load(&code)?;
    if filtered {
        lockdown::forbid_new_code()?;
    }
    if shared.module.set(module).is_err() {
        return Err(Fatal::Turn);
    }
    writing.send(&FromSandbox::Loaded);
    read_until_closed(reading, &shared)
}

/// The first frame. None when the broker closed the socket instead.
fn start(reading: &mut Reading) -> Result<Option<(Limits, bool)>, Fatal> {
    match reading.next()? {
        None => Ok(None),
        Some(ToSandbox::Start { protocol: PROTOCOL, limits, allow_weak_isolation }) => {
            Ok(Some((limits, allow_weak_isolation)))
        }
        Some(ToSandbox::Start { protocol, .. }) => Err(Fatal::Version(protocol)),
        Some(_) => Err(Fatal::Turn),
    }
}

/// The second frame, and the code behind it.
fn receive_code(reading: &mut Reading, pages: CodePages) -> Result<Option<Code>, Fatal> {
    match reading.next()? {
        None => Ok(None),
        Some(ToSandbox::Load { length: length @ ..=MAX_CODE_BYTES }) => {
            let mut pages = pages.fit(length as usize);
            let Some(()) = reading.plain(pages.bytes())? else { return Ok(None) };
            pages.freeze().map(Some).map_err(|e| Fatal::Start(e.to_string()))
        }
        Some(_) => Err(Fatal::Turn),
    }
}

fn shared(limits: Limits, writing: Arc<Writing>) -> Shared {
    Shared {
        limits,
        writing,
        ticker: Arc::new(Ticker::default()),
        cancellation: Arc::new(Cancellation::default()),
        module: OnceLock::new(),
        queue: Queue::default(),
    }
}

/// Starts the ticker and the lanes, and waits until each of them runs: the standard library finishes a thread's set-up
/// on that thread, with system calls that are about to be taken away.
fn start_threads(shared: &Arc<Shared>) -> Result<(), Fatal> {
    let lanes = shared.limits.lanes as usize;
    let running = Arc::new(Barrier::new(lanes + 2));
    let ticker = Arc::clone(shared);
    let tick = {
        let shared = Arc::clone(shared);
        move || {
            if let Some(module) = shared.module.get() {
                module.engine().increment_epoch();
            }
        }
    };
    spawn("ticker", &running, move || ticker.ticker.run(tick))?;
    for _ in 0..lanes {
        let lane = Arc::clone(shared);
        spawn("lane", &running, move || lane::run(&lane))?;
    }
    running.wait();
    Ok(())
}

fn spawn(name: &str, running: &Arc<Barrier>, work: impl FnOnce() -> Infallible + Send + 'static) -> Result<(), Fatal> {
    let running = Arc::clone(running);
    let builder = thread::Builder::new().name(name.to_owned()).stack_size(limits::LANE_STACK_BYTES);
    builder
        .spawn(move || {
            running.wait();
            work()
        })
        .map(drop)
        .map_err(|e| Fatal::Start(e.to_string()))
}

/// Hands frames on until there are no more. It never writes, so a broker that is slow to read can't stop it.
fn read_until_closed(reading: &mut Reading, shared: &Shared) -> Result<(), Fatal> {
    while let Some(frame) = reading.next()? {
        match frame {
            ToSandbox::Task(task) => shared.queue.push(task).map_err(|DuplicateTask| Fatal::Turn)?,
            ToSandbox::Answer { task, ask, answer } => shared.queue.answer(task, ask, answer),
            ToSandbox::Cancel => shared.cancellation.cancel(),
            ToSandbox::Start { .. } | ToSandbox::Load { .. } => return Err(Fatal::Turn),
        }
    }
    Ok(())
}
