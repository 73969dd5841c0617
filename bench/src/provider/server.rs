//! As much of HTTP/1.1 as a benchmark's provider needs: one thread for each connection, requests without a body, answers
//! with a length. Not a server for anything else.

use anyhow::{Context as _, Result};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A request's head that is longer than this isn't from one of our guests, bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The stack of a connection's thread, bytes: nothing here recurses, and a thousand runs have a thousand connections.
const STACK_BYTES: usize = 128 * 1024;

/// An answer that is being made. Its buffers are used again for the next one.
#[derive(Default)]
pub(crate) struct Answer {
    /// The status; 200 unless said otherwise.
    pub(crate) status: u16,
    /// More headers, each with its `\r\n`.
    pub(crate) headers: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Prints the port and serves until the process is ended. `handle` gets the path with its query, and the head of the
/// request with all its headers.
///
/// # Errors
/// When it can't listen.
pub(crate) fn serve(handle: impl Fn(&str, &str, &mut Answer) + Send + Sync + 'static) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("listen on loopback")?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?.port())?;
    out.flush()?;
    let handle = Arc::new(handle);
    for stream in listener.incoming() {
        let (stream, handle) = (stream?, Arc::clone(&handle));
        // A connection that breaks is its client's business.
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn(move || drop(connection(stream, &*handle)))?;
    }
    Ok(())
}

fn connection(mut stream: TcpStream, handle: &dyn Fn(&str, &str, &mut Answer)) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, mut answer, mut out) = (Vec::new(), Answer::default(), Vec::new());
    let mut piece = [0; 4096];
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            let n = stream.read(&mut piece)?;
            if n == 0 || read.len() > MAX_HEAD_BYTES {
                return Ok(());
            }
            read.extend_from_slice(piece.get(..n).unwrap_or_default());
        };
        let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).into_owned();
        read.drain(..end);
        answer.status = 200;
        answer.headers.clear();
        answer.body.clear();
        handle(head.split(' ').nth(1).unwrap_or_default(), &head, &mut answer);
        out.clear();
        write!(
            out,
            "HTTP/1.1 {} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{}\r\n",
            answer.status,
            answer.body.len(),
            answer.headers
        )?;
        out.extend_from_slice(&answer.body);
        stream.write_all(&out)?;
        if head.to_ascii_lowercase().contains("connection: close") {
            return Ok(());
        }
    }
}
