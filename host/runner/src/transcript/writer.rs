//! The file of a transcript: a thread that compresses and writes while the run goes on, so that the run is never in
//! memory. The file is its owner's alone, and has its name only when it is complete.

use super::line::{BodyLine, Line};
use super::recording::{RecordError, line as json_line};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Lines that may wait for the thread. A call that finds the queue full waits; a line may have a body of megabytes.
const QUEUE_LINES: usize = 16;
/// Between speed and size: replies of providers shrink tenfold at this level, and further ones gain little.
const LEVEL: Compression = Compression::new(4);

/// See the module's documentation.
pub(super) struct Writer {
    part: Part,
    path: PathBuf,
    queue: mpsc::Sender<Item>,
    thread: JoinHandle<io::Result<()>>,
}

/// A line, and the body that goes after it, which the thread brings into form.
struct Item {
    line: Vec<u8>,
    body: Vec<u8>,
}

/// A file that isn't complete; it goes when nobody completes it.
struct Part {
    path: PathBuf,
    keep: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.keep {
            // There is nothing to be done about a file that can't be removed.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Writer {
    /// Makes `FILE.part` and starts the thread.
    pub(super) fn create(path: &Path) -> Result<Self, RecordError> {
        let refuse = |e| RecordError::File(path.to_owned(), e);
        if path.exists() {
            return Err(refuse(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already")));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        // What an earlier process left behind when it was killed.
        match std::fs::remove_file(&part) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(refuse(e)),
            _ => {}
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(&part).map_err(refuse)?;
        let part = Part { path: part, keep: false };
        let (sender, queue) = mpsc::channel(QUEUE_LINES);
        let thread = std::thread::Builder::new().name("transcript".to_owned());
        let thread = thread.spawn(move || write_all(file, queue)).map_err(refuse)?;
        Ok(Self { part, path: path.to_owned(), queue: sender, thread })
    }

    /// Hands a line over.
    pub(super) async fn write(&self, line: Vec<u8>) -> Result<(), RecordError> {
        self.write_with(line, Vec::new()).await
    }

    /// Hands over a line and the body that belongs to it; none when it is empty.
    pub(super) async fn write_with(&self, line: Vec<u8>, body: Vec<u8>) -> Result<(), RecordError> {
        self.queue.send(Item { line, body }).await.map_err(|_| {
            // The thread ended, which it does only when it can't write; `finish` would have its error.
            RecordError::File(self.path.clone(), io::Error::other("writing it has failed: is the disk full?"))
        })
    }

    /// Waits until everything is on disk, and gives the file its name.
    pub(super) async fn finish(self) -> Result<(), RecordError> {
        let Self { mut part, path, queue, thread } = self;
        drop(queue);
        let refuse = |e| RecordError::File(path.clone(), e);
        let written = tokio::task::spawn_blocking(move || thread.join()).await.map_err(|e| refuse(e.into()))?;
        written.unwrap_or_else(|_| Err(io::Error::other("the writing thread crashed"))).map_err(refuse)?;
        std::fs::rename(&part.path, &path).map_err(refuse)?;
        part.keep = true;
        Ok(())
    }
}

fn write_all(file: File, mut queue: mpsc::Receiver<Item>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let mut write = |line: &[u8]| {
        let mut member = GzEncoder::new(&mut out, LEVEL);
        member.write_all(line)?;
        member.finish().map(drop)
    };
    while let Some(Item { line, body }) = queue.blocking_recv() {
        write(&line)?;
        if !body.is_empty() {
            write(&json_line(&Line::Body(BodyLine::of(&body)))?)?;
        }
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
