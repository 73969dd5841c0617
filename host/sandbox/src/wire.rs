//! The socket, from this side: frames in, frames out. One thread reads, any thread writes a whole frame at a time.

use porthole_wire::{FrameError, FromSandbox, MAX_FROM_SANDBOX_BYTES, MAX_TO_SANDBOX_BYTES, ToSandbox};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Why the conversation can't go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The socket failed.
    #[error("the socket to the broker failed")]
    Socket(#[source] io::Error),
    /// A frame is too long or malformed.
    #[error("the broker sent a bad frame")]
    Frame(#[source] FrameError),
}

/// Reads frames.
pub(crate) struct Reading {
    socket: Arc<File>,
    /// The last frame, for its room.
    buffer: Vec<u8>,
}

/// Writes frames. Shared by all threads.
pub(crate) struct Writing {
    socket: Arc<File>,
    /// One frame at a time, and the last one, for its room.
    turn: Mutex<Vec<u8>>,
}

/// The two halves, on one descriptor. Plain `read` and `write` calls on a `File`, because the socket types of the
/// standard library use `recv` and `send`, which aren't on the list of system calls.
pub(crate) fn halves(socket: File) -> (Reading, Writing) {
    let socket = Arc::new(socket);
    let reading = Reading { socket: Arc::clone(&socket), buffer: Vec::new() };
    (reading, Writing { socket, turn: Mutex::default() })
}

impl Reading {
    /// The next frame; none when the broker has closed the socket.
    pub(crate) fn next(&mut self) -> Result<Option<ToSandbox>, WireError> {
        let mut head = [0; 4];
        let Some(()) = fill(&self.socket, &mut head)? else { return Ok(None) };
        let length = porthole_wire::length(head, MAX_TO_SANDBOX_BYTES).map_err(WireError::Frame)?;
        self.buffer.resize(length, 0);
        let Some(()) = fill(&self.socket, &mut self.buffer)? else { return Ok(None) };
        let frame = porthole_wire::decode(&self.buffer).map(Some).map_err(WireError::Frame);
        porthole_wire::keep_room(&mut self.buffer);
        frame
    }

    /// Fills the room with what comes, whatever it is; none when the broker has closed the socket.
    pub(crate) fn plain(&mut self, room: &mut [u8]) -> Result<Option<()>, WireError> {
        fill(&self.socket, room)
    }
}

fn fill(mut socket: &File, room: &mut [u8]) -> Result<Option<()>, WireError> {
    match socket.read_exact(room) {
        Ok(()) => Ok(Some(())),
        Err(e) if ends(&e) => Ok(None),
        Err(e) => Err(WireError::Socket(e)),
    }
}

fn ends(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

impl Writing {
    /// Sends a frame. A broker that is gone has no use for this process, so a failure ends it.
    pub(crate) fn send(&self, frame: &FromSandbox) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if porthole_wire::encode_into(frame, MAX_FROM_SANDBOX_BYTES, &mut turn).is_err() {
            // Every part of a frame is limited before it gets here, so this is a mistake of ours.
            std::process::exit(crate::sandbox::EXIT_PROTOCOL);
        }
        if (&*self.socket).write_all(&turn).is_err() {
            std::process::exit(crate::sandbox::EXIT_CLOSED);
        }
        porthole_wire::keep_room(&mut turn);
    }
}
