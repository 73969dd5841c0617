//! Descriptors by number. The only unsafe code of the lockdown: the kernel's interface for descriptors that this program
//! didn't open is numbers.
#![expect(unsafe_code, reason = "descriptors that were inherited, and whose numbers are all one knows")]

use super::LockdownError;
use rustix::net::AddressFamily;
use std::fs::File;
use std::os::fd::{BorrowedFd, FromRawFd, RawFd};

/// Where a broker puts the socket: descriptor 3, or 0 where it is simpler to hand it over as the standard input.
const SOCKET_PLACES: [RawFd; 2] = [3, 0];

/// Descriptors that are looked at. More can't be open: everything above was just closed.
const PROBED: RawFd = 1024;

/// Takes the inherited socket. Call it once, before anything else uses descriptors. None when nobody handed one over.
#[must_use]
pub fn socket() -> Option<File> {
    SOCKET_PLACES.into_iter().find(|fd| is_local_socket(*fd)).map(|fd| {
        // SAFETY: the descriptor is open (it was just asked for its kind), and this program uses neither of the two
        // places for anything else: nothing has been opened yet, and nobody reads the standard input.
        unsafe { File::from_raw_fd(fd) }
    })
}

fn is_local_socket(fd: RawFd) -> bool {
    if !is_open(fd) {
        return false;
    }
    // SAFETY: the descriptor is open and nothing closes it during the question.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::net::sockopt::socket_domain(borrowed).is_ok_and(|family| family == AddressFamily::UNIX)
}

/// Closes every descriptor that isn't in `kept`, up to the highest number there can be.
pub(super) fn close_all_but(kept: &[RawFd]) -> Result<(), LockdownError> {
    let mut first = 0;
    let mut sorted = kept.to_vec();
    sorted.sort_unstable();
    for fd in sorted {
        let fd = fd.unsigned_abs();
        if let Some(last) = fd.checked_sub(1).filter(|last| *last >= first) {
            close_range(first, last)?;
        }
        first = fd.saturating_add(1);
    }
    close_range(first, libc::c_uint::MAX)
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> Result<(), LockdownError> {
    // SAFETY: the numbers belong to nobody in this program. Its standard streams are replaced by nothing on purpose, and
    // writes to them fail; the socket is in a range of its own.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if answer == 0 {
        return Ok(());
    }
    Err(LockdownError::Process { what: "the descriptors (close_range)", source: std::io::Error::last_os_error() })
}

/// The descriptors that are open, by asking for each number. All numbers in one question, as long as this process may
/// still have as many descriptors; one by one afterwards.
pub(super) fn open_descriptors() -> Vec<RawFd> {
    let mut all: Vec<libc::pollfd> = (0..PROBED).map(|fd| libc::pollfd { fd, events: 0, revents: 0 }).collect();
    // SAFETY: the array has as many entries as it is said to have, and nothing else uses it. No events are asked for, so
    // the kernel only says which numbers are no descriptors.
    let answer = unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, 0) };
    if answer < 0 {
        return (0..PROBED).filter(|fd| is_open(*fd)).collect();
    }
    all.iter().filter(|probe| probe.revents & libc::POLLNVAL == 0).map(|probe| probe.fd).collect()
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD reads a flag of a number; a number that isn't open is answered with an error.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}
