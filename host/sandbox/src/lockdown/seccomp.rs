//! The system calls that remain. Everything else is refused with EPERM: no file, no socket, no process, no thread, no
//! look at another process, no kernel interface that a guest could use to grow out of its address space.

use super::LockdownError;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed with any argument. One line each says who needs it.
const ALLOWED: &[i64] = &[
    // The socket; there is no other descriptor to use them on.
    libc::SYS_read,
    libc::SYS_write,
    // Locks, condition variables, channels.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // The allocator and linear memories. `mmap` and `mprotect` have conditions, below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // The ticker, CPU clocks (those of threads don't go through the vDSO).
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    // Wasm traps are signals; each lane sets up its signal stack at its first guest.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Keys of hash maps.
    libc::SYS_getrandom,
    // `abort`, which also needs `tgkill`, below.
    libc::SYS_gettid,
    libc::SYS_getpid,
    // Publishing code on processors with separate instruction caches.
    libc::SYS_membarrier,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Installs the list for every thread.
pub(super) fn allow_listed_only() -> Result<(), LockdownError> {
    install(listed().map_err(backend)?, refuse(), SeccompAction::Allow)
}

/// Installs a second filter on top: of two filters the stricter answer counts.
pub(super) fn forbid_new_code() -> Result<(), LockdownError> {
    let rules = new_code().map_err(backend)?;
    install(rules, SeccompAction::Allow, refuse())
}

fn refuse() -> SeccompAction {
    SeccompAction::Errno(libc::EPERM.unsigned_abs())
}

fn listed() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Wasmtime maps memory writable, fills in the code and makes it executable with mprotect, once. Nothing ever asks
    // for executable memory outright.
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![protection_without_exec()?])?]);
    rules.insert(libc::SYS_mprotect, Vec::new());
    // `abort` sends a signal to this process, and nobody sends one to another.
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![equals(0, u64::from(std::process::id()))?])?]);
    // The second filter: its flag and its call. It takes both away.
    let no_new_privs = u64::from(libc::PR_SET_NO_NEW_PRIVS.unsigned_abs());
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(vec![equals(0, no_new_privs)?])?]);
    rules.insert(libc::SYS_seccomp, Vec::new());
    Ok(rules)
}

fn new_code() -> Result<Rules, seccompiler::BackendError> {
    let exec = u64::from(libc::PROT_EXEC.unsigned_abs());
    let with_exec = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(exec), exec)?;
    Ok(Rules::from([
        (libc::SYS_mprotect, vec![SeccompRule::new(vec![with_exec])?]),
        (libc::SYS_prctl, Vec::new()),
        (libc::SYS_seccomp, Vec::new()),
        (libc::SYS_membarrier, Vec::new()),
    ]))
}

fn protection_without_exec() -> Result<SeccompCondition, seccompiler::BackendError> {
    let exec = u64::from(libc::PROT_EXEC.unsigned_abs());
    SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(exec), 0)
}

fn equals(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// `others` is the answer to what no rule matches, `matched` to what one does. A call of another architecture's numbering
/// kills the process.
fn install(rules: Rules, others: SeccompAction, matched: SeccompAction) -> Result<(), LockdownError> {
    let arch = std::env::consts::ARCH.try_into().map_err(backend)?;
    let filter = SeccompFilter::new(rules, others, matched, arch).map_err(backend)?;
    let program: BpfProgram = filter.try_into().map_err(backend)?;
    apply_filter_all_threads(&program).map_err(LockdownError::Seccomp)
}

fn backend(e: seccompiler::BackendError) -> LockdownError {
    LockdownError::Seccomp(seccompiler::Error::Backend(e))
}
