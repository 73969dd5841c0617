//! The shell process that keeps the server as long as someone holds the pipe, and this side of the pipe.

use crate::error::{Result, StoreError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Arguments: the pipe, the server's pid file, and then the server's command line.
///
/// The pipe is opened before the server starts, so there is no server without someone who wants it. `cat` ends when the
/// last user is gone; then the server gets SIGINT, its fast shutdown, until it has gone. If the server ends first, `cat`
/// is ended, the pipe has no reader any more, and the next user sees that.
const SCRIPT: &str = r#"
alive=$1 pidfile=$2
shift 2
[ -p "$alive" ] || mkfifo -m 600 "$alive" || exit 1
exec 3<"$alive"
cat <&3 >/dev/null &
users=$!
exec 3<&-
( "$@" </dev/null; kill "$users" 2>/dev/null ) &
server=$!
wait "$users"
while kill -0 "$server" 2>/dev/null; do
    read -r pid 2>/dev/null <"$pidfile" && kill -INT "$pid" 2>/dev/null
    sleep 1
done
"#;

/// Holds the server: as long as this is open, it runs.
#[derive(Debug)]
pub(super) struct Alive {
    _pipe: OwnedFd,
}

/// Opens the pipe. None when nobody reads it: there is no supervisor.
pub(super) fn open(pipe: &Path) -> Result<Option<Alive>> {
    // Without O_NONBLOCK this would wait for a reader. CLOEXEC, because a sandbox that inherited it would keep the
    // server running, and may not hold a descriptor anyway.
    match rustix::fs::open(pipe, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(Some(Alive { _pipe: fd })),
        Err(Errno::NXIO | Errno::NOENT) => Ok(None),
        Err(e) => Err(StoreError::File { what: "can't open", path: pipe.to_owned(), source: e.into() }),
    }
}

/// Starts the shell process. It is in a process group of its own: Ctrl-C at a terminal is for the program, which then
/// stops the server when it is done with it.
pub(super) fn spawn(mut shell: Command, pipe: &Path, pid_file: &Path, server: &Command, log: File) -> Result<Child> {
    let error = |source| StoreError::File { what: "can't run", path: "/bin/sh".into(), source };
    let log_too = log.try_clone().map_err(error)?;
    shell
        .args(["-c", SCRIPT, "porthole-postgres"])
        .args([pipe, pid_file])
        .arg(server.get_program())
        .args(server.get_args())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .process_group(0)
        .spawn()
        .map_err(error)
}
