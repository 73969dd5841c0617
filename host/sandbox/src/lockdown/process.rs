//! What the kernel keeps per process: privileges, traceability, the parent, resource limits.

use super::LockdownError;
use crate::limits;
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Resource limits of a process. They are the second line: the first is what wasmtime counts for each task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// Addresses, in bytes. Bounds runaway reservations; wasm memories reserve far more than they use.
    pub address_bytes: u64,
    /// Writable memory, in bytes: what can really be filled.
    pub data_bytes: Option<u64>,
    /// CPU time of the whole process, in seconds.
    pub cpu_seconds: Option<u64>,
}

/// The limits of a sandbox with so many lanes of so much memory.
#[must_use]
pub fn sandbox_ceilings(lanes: u32, memory_bytes: u64) -> Ceilings {
    let lanes = u64::from(lanes);
    let memories = lanes.saturating_mul(limits::MEMORIES as u64);
    let tables = u64::from(limits::POOLED_TABLES)
        .saturating_mul(limits::POOLED_TABLE_ELEMENTS as u64)
        .saturating_mul(limits::TABLE_ELEMENT_BYTES);
    let lane = memory_bytes.saturating_add(tables).saturating_add(limits::DATA_LANE_BYTES);
    let data = lanes.saturating_mul(lane);
    Ceilings {
        address_bytes: memories
            .saturating_mul(limits::MEMORY_RESERVATION_BYTES)
            .saturating_add(limits::ADDRESS_BASE_BYTES),
        data_bytes: Some(data.saturating_add(limits::DATA_BASE_BYTES)),
        // A run has any number of tasks; each has its own CPU limit.
        cpu_seconds: None,
    }
}

/// The limits of a compilation.
#[must_use]
pub fn compile_ceilings() -> Ceilings {
    Ceilings {
        address_bytes: limits::COMPILE_ADDRESS_BYTES,
        data_bytes: None,
        cpu_seconds: Some(limits::COMPILE_CPU_SECONDS),
    }
}

/// No new privileges by any means, none of the old ones, and nobody but root looks in.
pub(super) fn drop_privileges() -> Result<(), LockdownError> {
    rustix::thread::set_no_new_privs(true).map_err(failed("no_new_privs"))?;
    // A worker started as root would hand its sandboxes root's capabilities.
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(failed("capabilities"))?;
    // No core file, no ptrace by the same user, and /proc/PID belongs to root.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("dumpable"))
}

/// A worker that is killed takes its sandboxes with it. The socket's end does this too, but only as long as the thread
/// that reads it hasn't been taken over.
///
/// The kernel watches the *thread* that started this process, so a broker starts sandboxes from a thread that lives as
/// long as they do.
pub(super) fn die_with_parent() -> Result<(), LockdownError> {
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("parent death signal"))?;
    // It may have died just before the line above; then nobody sends the signal.
    if rustix::process::getppid() == parent { Ok(()) } else { Err(LockdownError::Orphan) }
}

/// What the kernel says about `no_new_privs`.
pub(super) fn has_no_new_privileges() -> bool {
    rustix::thread::no_new_privs().unwrap_or(false)
}

/// Sets the limits that hold from the start.
pub(super) fn limit(ceilings: &Ceilings) -> Result<(), LockdownError> {
    set("core files", Resource::Core, 0)?;
    // Nothing is ever written to a file. Pipes and sockets aren't files.
    set("file size", Resource::Fsize, 0)?;
    set("locked memory", Resource::Memlock, 0)?;
    set("message queues", Resource::Msgqueue, 0)?;
    set("address space", Resource::As, ceilings.address_bytes)?;
    if let Some(bytes) = ceilings.data_bytes {
        set("writable memory", Resource::Data, bytes)?;
    }
    if let Some(seconds) = ceilings.cpu_seconds {
        set("CPU time", Resource::Cpu, seconds)?;
    }
    Ok(())
}

/// No descriptor can be made any more, by any call.
pub(super) fn forbid_descriptors() -> Result<(), LockdownError> {
    set("descriptors", Resource::Nofile, 0)
}

/// No process or thread can be made any more. (Root is exempt from this limit; the system call filter isn't.)
pub(super) fn forbid_processes() -> Result<(), LockdownError> {
    set("processes", Resource::Nproc, 0)
}

fn set(resource: &'static str, which: Resource, limit: u64) -> Result<(), LockdownError> {
    // A hard limit that is lower already stays: raising it needs a privilege that was just dropped.
    let limit = rustix::process::getrlimit(which).maximum.map_or(limit, |hard| hard.min(limit));
    let both = Rlimit { current: Some(limit), maximum: Some(limit) };
    rustix::process::setrlimit(which, both).map_err(|e| LockdownError::Limit { resource, limit, source: e.into() })
}

fn failed(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> LockdownError {
    move |e| LockdownError::Process { what, source: e.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_leave_room_for_every_lane() {
        let ceilings = sandbox_ceilings(4, 256 << 20);
        assert!(ceilings.address_bytes > 4 * (4 << 30));
        assert!(ceilings.data_bytes.is_some_and(|b| b > 4 * (256 << 20) && b < 2 << 30));
        assert_eq!(sandbox_ceilings(64, u64::MAX).data_bytes, Some(u64::MAX));
    }
}
