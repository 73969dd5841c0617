//! The walls around a guest's address space, in the order that makes each one possible:
//!
//! 1. [`enter`], while there is one thread: no new privileges, no capabilities, not traceable, dies with its parent,
//!    limits, every other descriptor closed, landlock. Threads inherit all of it; landlock would not reach threads that
//!    exist already (before its ABI 8).
//! 2. The caller starts its threads.
//! 3. [`seal`]: no more threads, no more descriptors, and the list of system calls, for all threads at once.
//! 4. The caller loads code.
//! 5. [`forbid_new_code`]: nothing becomes executable any more.
//!
//! It takes nothing on trust: what [`Isolation`] says is what the kernel answered.

mod landlock;
mod process;
mod seccomp;
mod sys;

pub use process::{Ceilings, compile_ceilings, sandbox_ceilings};
pub use sys::socket;

use porthole_wire::Isolation;
use std::os::fd::RawFd;

/// Why a wall can't be put up.
#[derive(Debug, thiserror::Error)]
pub enum LockdownError {
    /// A setting of the process.
    #[error("can't set {what}")]
    Process {
        /// Which.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// A resource limit.
    #[error("can't limit {resource} to {limit}")]
    Limit {
        /// Which.
        resource: &'static str,
        /// To what.
        limit: u64,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// The process that started this one is gone already.
    #[error("the process that started this one is gone")]
    Orphan,
    /// Landlock refused its rules, which is not the same as a kernel without landlock.
    #[error("landlock refused its rules")]
    Landlock(#[source] ::landlock::RulesetError),
    /// The filter can't be built or installed.
    #[error("can't filter system calls")]
    Seccomp(#[source] seccompiler::Error),
}

/// First wall: everything that new threads inherit. Call it while there is one thread.
///
/// # Errors
/// When the kernel refuses something that every kernel has. A kernel without landlock is no error: it shows in the
/// answer, and the caller decides.
pub fn enter(socket: RawFd, ceilings: &Ceilings) -> Result<Isolation, LockdownError> {
    process::drop_privileges()?;
    process::die_with_parent()?;
    sys::close_all_but(&[socket])?;
    process::limit(ceilings)?;
    let landlock_abi = landlock::deny_everything()?;
    // Landlock needed one descriptor for its rules; from here on nobody needs a new one, and nobody can make one: what is
    // open now is all that will ever be.
    let descriptors = sys::open_descriptors();
    process::forbid_descriptors()?;
    let no_new_privs = process::has_no_new_privileges();
    Ok(Isolation { landlock_abi, seccomp: false, no_new_privs, rlimits: true, descriptors })
}

/// Second wall: no more threads, and system calls by list, for every thread there is.
///
/// # Errors
/// When the limit can't be set. A kernel without seccomp shows in the answer.
pub fn seal(mut isolation: Isolation) -> Result<Isolation, LockdownError> {
    process::forbid_processes()?;
    isolation.seccomp = seccomp::allow_listed_only().is_ok();
    Ok(isolation)
}

/// Third wall: from here on no memory becomes executable, and the filters stay as they are.
///
/// # Errors
/// When the filter can't be installed.
pub fn forbid_new_code() -> Result<(), LockdownError> {
    seccomp::forbid_new_code()
}

/// The walls of the compiler process: as many as the kernel has. Descriptors 0, 1 and 2 stay, for the component, the
/// code and a message.
///
/// # Errors
/// When the kernel refuses something that every kernel has.
pub fn enter_compiler() -> Result<(), LockdownError> {
    process::drop_privileges()?;
    process::die_with_parent()?;
    sys::close_all_but(&[0, 1, 2])?;
    process::limit(&compile_ceilings())?;
    landlock::deny_everything()?;
    process::forbid_descriptors()?;
    process::forbid_processes()?;
    // Best effort: a worker that insists on full isolation has seen that this kernel filters system calls, because its
    // sandboxes would not start otherwise.
    let _ = seccomp::allow_listed_only();
    Ok(())
}
