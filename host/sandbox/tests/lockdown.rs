//! What is left inside the walls. This program starts itself again as a child, puts the walls up around it with the very
//! code of the sandbox, and lets it try everything that must fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "it is its own test harness")]
#![allow(clippy::disallowed_methods, reason = "the doors that must be shut")]
#![allow(unsafe_code, reason = "system calls that no library makes")]

use porthole_sandbox::lockdown;
use porthole_wire::{
    FromSandbox, Isolation, Limits, MAX_FROM_SANDBOX_BYTES, MAX_TO_SANDBOX_BYTES, PROTOCOL, ToSandbox,
};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

/// Marks the child that puts the walls up.
const INSIDE: &str = "inside";
/// Marks the child that becomes a sandbox on a kernel without something.
const WITHOUT: &str = "without";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(INSIDE) => inside(),
        Some(WITHOUT) => become_sandbox_without(arguments[2].parse().unwrap()),
        _ => {
            walls_stand();
            weak_kernels_are_refused_or_told();
        }
    }
}

fn walls_stand() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(INSIDE)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    let mut report = String::new();
    ours.read_to_string(&mut report).unwrap();
    assert!(child.wait().unwrap().success(), "{report}");
    let mut lines = 0;
    for line in report.lines() {
        lines += 1;
        println!("{line}");
        assert!(line.starts_with("ok "), "{line}");
    }
    assert!(lines >= 25, "only {lines} lines:\n{report}");
    println!("{lines} walls stand");
}

/// A kernel without landlock or without seccomp: refused, unless the operator allows it; then Ready says what is missing.
fn weak_kernels_are_refused_or_told() {
    for (missing, name) in [(libc::SYS_landlock_create_ruleset, "landlock"), (libc::SYS_seccomp, "seccomp")] {
        match start_without(missing, false) {
            FromSandbox::LoadFailed { message } => assert!(message.contains("can't isolate"), "{message}"),
            other => panic!("started without {name}: {other:?}"),
        }
        match start_without(missing, true) {
            FromSandbox::Ready { isolation } => {
                assert!(!isolation.is_full());
                assert_eq!((isolation.landlock_abi == 0, isolation.seccomp), (name == "landlock", name != "seccomp"));
                assert!(isolation.no_new_privs && isolation.rlimits && isolation.descriptors == [0]);
            }
            other => panic!("didn't start although it may: {other:?}"),
        }
        println!("ok without {name} it is refused, or allowed and told");
    }
}

/// Starts the real sandbox behind a filter that makes the kernel look older.
fn start_without(missing: i64, allow_weak_isolation: bool) -> FromSandbox {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([WITHOUT, &missing.to_string()])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    let limits = Limits { lanes: 1, ..Limits::default() };
    let start = ToSandbox::Start { protocol: PROTOCOL, limits, allow_weak_isolation };
    ours.write_all(&porthole_wire::encode(&start, MAX_TO_SANDBOX_BYTES).unwrap()).unwrap();
    let mut head = [0; 4];
    ours.read_exact(&mut head).unwrap();
    let mut bytes = vec![0; porthole_wire::length(head, MAX_FROM_SANDBOX_BYTES).unwrap()];
    ours.read_exact(&mut bytes).unwrap();
    drop(ours);
    child.wait().unwrap();
    porthole_wire::decode(&bytes).unwrap()
}

/// Takes one system call away, as if the kernel had never had it, and becomes the sandbox.
fn become_sandbox_without(missing: i64) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new([(missing, vec![])].into(), SeccompAction::Allow, unknown, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
    panic!("{}", Command::new(env!("CARGO_BIN_EXE_porthole-sandbox")).exec());
}

/// Walls up, then every door is tried, from the first thread and from one that was there before the filter.
fn inside() {
    let mut socket = lockdown::socket().unwrap();
    let fd = socket.as_raw_fd();
    let isolation = lockdown::enter(fd, &lockdown::sandbox_ceilings(1, 64 << 20)).unwrap();
    let (ask, asked) = mpsc::channel::<()>();
    let (answer, answered) = mpsc::channel();
    let running = Arc::new(Barrier::new(2));
    let started = Arc::clone(&running);
    std::thread::spawn(move || {
        started.wait();
        asked.recv().unwrap();
        answer.send(doors("another thread")).unwrap();
    });
    // The standard library finishes a thread's set-up on that thread, with calls that are about to be taken away.
    running.wait();
    let isolation = lockdown::seal(isolation).unwrap();
    let made_executable = mprotect_exec();
    let mut report = vec![
        line("the isolation is full", isolation.is_full(), &isolation),
        line("one descriptor is open, the socket", isolation.descriptors == [fd], &isolation.descriptors),
        line("code can be loaded before the third wall", made_executable.is_ok(), &made_executable),
    ];
    lockdown::forbid_new_code().unwrap();
    report.extend(doors("the first thread"));
    ask.send(()).unwrap();
    report.extend(answered.recv().unwrap());
    report.push(still_alive(&isolation));
    socket.write_all(report.join("\n").as_bytes()).unwrap();
    std::process::exit(0);
}

/// Memory, locks, time and chance still work; the sandbox needs them.
fn still_alive(isolation: &Isolation) -> String {
    let big: Vec<u8> = vec![1; 32 << 20];
    std::thread::sleep(Duration::from_millis(1));
    let map: std::collections::HashMap<_, _> = big.iter().take(3).enumerate().collect();
    line("memory, sleep and chance work", map.len() == 3, isolation)
}

fn line(what: &str, holds: bool, seen: &impl std::fmt::Debug) -> String {
    if holds { format!("ok {what}") } else { format!("FAILED {what}: {seen:?}") }
}

/// Tries every door. Each must be shut.
fn doors(who: &str) -> Vec<String> {
    let tries: [(&str, io::Result<i64>); 22] = [
        ("open() a file to read", File::open("/etc/passwd").map(|_| 0)),
        ("open() a file to write", File::create("/tmp/porthole-escaped").map(|_| 0)),
        ("open() its own memory", File::open("/proc/self/mem").map(|_| 0)),
        ("list a folder", std::fs::read_dir("/").map(|_| 0)),
        ("stat() a file", std::fs::metadata("/etc/passwd").map(|_| 0)),
        ("socket() for TCP", call(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0])),
        ("socket() for Unix", call(libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0])),
        ("connect() by TCP", std::net::TcpStream::connect("127.0.0.1:9").map(|_| 0)),
        ("connect() to a Unix socket", UnixStream::connect("/run/none").map(|_| 0)),
        ("bind() a port", std::net::TcpListener::bind("127.0.0.1:0").map(|_| 0)),
        ("execve() a program", execve()),
        ("start a process", Command::new("/bin/true").spawn().map(|_| 0)),
        ("fork()", call(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0])),
        ("start a thread", std::thread::Builder::new().spawn(|| ()).map(|_| 0)),
        ("kill() its parent", call(libc::SYS_kill, [i64::from(std::os::unix::process::parent_id()), 0, 0])),
        ("ptrace() its parent", call(libc::SYS_ptrace, [16, i64::from(std::os::unix::process::parent_id()), 0])),
        ("make a descriptor of memory", call(libc::SYS_memfd_create, [c"x".as_ptr() as i64, 0, 0])),
        ("dup() the socket", call(libc::SYS_dup, [0, 0, 0])),
        ("io_uring", call(libc::SYS_io_uring_setup, [8, 0, 0])),
        ("raise a limit", call(libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE.into(), 0])),
        ("mmap() executable memory", mmap_exec()),
        ("mprotect() memory executable", mprotect_exec()),
    ];
    tries.into_iter().map(|(what, result)| line(&format!("{who} can't {what}"), result.is_err(), &result)).collect()
}

fn call(number: i64, arguments: [i64; 3]) -> io::Result<i64> {
    // SAFETY: the calls are refused before they look at their arguments; those that aren't fail the test.
    let answer = unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2]) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn execve() -> io::Result<i64> {
    let arguments = [std::ptr::null::<libc::c_char>()];
    call(libc::SYS_execve, [c"/bin/true".as_ptr() as i64, arguments.as_ptr() as i64, 0])
}

fn mmap_exec() -> io::Result<i64> {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
    if address == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(0) }
}

fn mprotect_exec() -> io::Result<i64> {
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new anonymous mapping, and its protection.
    unsafe {
        let address = libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0);
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match libc::mprotect(address, 4096, libc::PROT_READ | libc::PROT_EXEC) {
            0 => Ok(0),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
