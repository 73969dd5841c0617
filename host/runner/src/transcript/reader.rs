//! Reads a transcript from a file that anyone may have made. Everything is checked before anything is used: the order of
//! the lines, each task's hash, the digest. What is kept is where each line stands; bodies stay in the file.

use super::line::{BodyHash, BodyLine, CallLine, EndLine, Header, Line, TaskKey, TaskLine};
use super::recording::{Heard, digest};
use super::{Ended, MAX_LINE_BYTES, MAX_LINES, TRANSCRIPT_VERSION};
use flate2::bufread::GzDecoder;
use porthole_wire::{AskId, Call, CallError, MAX_CALLS_AT_ONCE, Response};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Why a transcript can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The file can't be read.
    #[error("can't read {0}")]
    Io(PathBuf, #[source] io::Error),
    /// A line is wrong.
    #[error("{path}, line {line}, at byte {byte}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Where its member begins in the file.
        byte: u64,
        /// What is wrong, and perhaps why.
        what: String,
    },
}

/// A transcript whose lines, hashes and digest agree. That proves that it is whole, not whose it is: that takes the digest
/// in the run's record.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    file: File,
    header: Header,
    tasks: BTreeMap<TaskKey, TaskLines>,
    calls: u64,
    digest: String,
}

/// Where a task's lines stand.
#[derive(Debug, Default)]
struct TaskLines {
    /// Line and byte.
    calls: Vec<(u64, u64)>,
    ended: Option<Ended>,
}

/// A call of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The number of the question.
    pub ask: AskId,
    /// The place of the call in it.
    pub place: u32,
    /// The call.
    pub call: Call,
    /// Its answer.
    pub answer: Result<Response, CallError>,
}

impl Transcript {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it can't be read, is cut, was edited, or is no transcript.
    pub fn open(path: &Path) -> Result<Self, TranscriptError> {
        let file = File::open(path).map_err(|e| TranscriptError::Io(path.to_owned(), e))?;
        let mut lines = Lines::new(path, &file);
        let mut check = Check::default();
        while let Some(bytes) = lines.next()? {
            check.line(&bytes, lines.place()).map_err(|what| lines.wrong(what))?;
        }
        let Check { begin, end, tasks, calls, .. } = check;
        let (Some((header, _)), Some(digest)) = (begin, end) else {
            return Err(lines.wrong("the file ends here, without an `end` line: it was cut, or its run didn't finish"));
        };
        let tasks = tasks.into_iter().map(|(key, open)| (key, open.lines)).collect();
        Ok(Self { path: path.to_owned(), file, header, tasks, calls, digest })
    }

    /// What the guest could perceive besides its calls.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The transcript's digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Its tasks, sorted.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskKey> {
        self.tasks.keys()
    }

    /// How a task ended; none when there is no such task.
    pub(crate) fn ended(&self, key: &TaskKey) -> Option<Ended> {
        self.tasks.get(key)?.ended
    }

    /// How many calls a task made; none when there is no such task.
    #[must_use]
    pub fn calls_of(&self, key: &TaskKey) -> Option<usize> {
        self.tasks.get(key).map(|t| t.calls.len())
    }

    /// A call of a task, by its place in the task's order; none when it made no further one.
    ///
    /// # Errors
    /// When the file can't be read any more, or has changed since it was opened.
    pub fn call(&self, key: &TaskKey, at: usize) -> Result<Option<Answered>, TranscriptError> {
        let Some(&(line, byte)) = self.tasks.get(key).and_then(|t| t.calls.get(at)) else { return Ok(None) };
        let changed = |what: &str| TranscriptError::Line {
            path: self.path.clone(),
            line,
            byte,
            what: format!("the file has changed since it was opened: {what}"),
        };
        let source = BufReader::new(At { file: &self.file, at: byte });
        let (bytes, source) = member(source).map_err(|e| changed(&e.to_string()))?;
        let line = match parse(&bytes) {
            Ok(Line::Call(call)) if call.step == key.step && call.partition == key.partition => call,
            _ => return Err(changed("another line stands here")),
        };
        let body = match line.answer.body() {
            None => Vec::new(),
            Some(expected) => {
                let bytes = member(source).map_err(|e| changed(&e.to_string()))?.0;
                let Ok(Line::Body(body)) = parse(&bytes) else { return Err(changed("the body is gone")) };
                checked(body, expected).map_err(|what| changed(&what))?
            }
        };
        let CallLine { ask, place, call, answer, .. } = line;
        Ok(Some(Answered { ask, place, call: call.into_wire(), answer: answer.into_wire(body) }))
    }
}

/// The bytes of a body, if they are those that its call speaks of.
fn checked(body: BodyLine<'_>, expected: &BodyHash) -> Result<Vec<u8>, String> {
    let bytes = body.into_bytes().ok_or("a body is no base64")?;
    if BodyHash::of(&bytes) == *expected {
        Ok(bytes)
    } else {
        Err("the body is not the one that was recorded: the line was edited".to_owned())
    }
}

fn parse(bytes: &[u8]) -> Result<Line<'_>, String> {
    // One line break, at the end: else the hash of two lines could be that of one.
    let text = bytes.strip_suffix(b"\n").filter(|t| !t.contains(&b'\n')).ok_or("is not one line")?;
    serde_json::from_slice(text).map_err(|e| format!("is no line of a transcript: {e}"))
}

/// What was read so far.
#[derive(Default)]
struct Check {
    begin: Option<(Header, Vec<u8>)>,
    tasks: BTreeMap<TaskKey, Open>,
    calls: u64,
    /// The body that has to come next.
    body: Option<BodyHash>,
    end: Option<String>,
}

#[derive(Default)]
struct Open {
    lines: TaskLines,
    heard: Heard,
    last: Option<(AskId, u32)>,
    /// Its own line.
    line: Option<Vec<u8>>,
}

impl Check {
    fn line(&mut self, bytes: &[u8], at: (u64, u64)) -> Result<(), String> {
        if self.end.is_some() {
            return Err("something stands after the `end` line".to_owned());
        }
        let line = parse(bytes)?;
        if let Some(expected) = self.body.take() {
            let Line::Body(body) = line else { return Err("the body of the call before is gone".to_owned()) };
            return checked(body, &expected).map(drop);
        }
        match (line, self.begin.is_some()) {
            (Line::Begin(header), false) => {
                let version = header.porthole_transcript;
                if version != TRANSCRIPT_VERSION {
                    return Err(format!("version {version} of the format; this program reads {TRANSCRIPT_VERSION}"));
                }
                self.begin = Some((header, bytes.to_vec()));
                Ok(())
            }
            (Line::Call(call), true) => self.call(call, bytes, at),
            (Line::Task(task), true) => self.task(task, bytes),
            (Line::End(end), true) => self.end(&end),
            (_, false) => Err("a transcript begins with a `begin` line".to_owned()),
            (Line::Begin(_), true) => Err("a second `begin` line".to_owned()),
            (Line::Body(_), true) => Err("a body without a call".to_owned()),
        }
    }

    fn call(&mut self, call: CallLine<'_>, bytes: &[u8], at: (u64, u64)) -> Result<(), String> {
        let key = TaskKey { step: call.step.clone(), partition: call.partition.clone(), work: call.task };
        let place = (call.ask, call.place);
        let open = self.tasks.entry(key.clone()).or_default();
        if open.line.is_some() {
            return Err(format!("a call of task `{key}`, which has ended"));
        }
        if open.last.is_some_and(|last| last >= place) || call.place as usize >= MAX_CALLS_AT_ONCE {
            return Err(format!("the calls of task `{key}` are out of order"));
        }
        self.body = call.answer.body().cloned();
        open.last = Some(place);
        open.heard.take(bytes);
        open.lines.calls.push(at);
        self.calls += 1;
        Ok(())
    }

    fn task(&mut self, task: TaskLine, bytes: &[u8]) -> Result<(), String> {
        let key = TaskKey { step: task.step, partition: task.partition, work: task.task };
        let open = self.tasks.entry(key.clone()).or_default();
        if open.line.is_some() {
            return Err(format!("task `{key}` ends twice"));
        }
        if (task.calls, task.sha256) != (open.heard.calls(), open.heard.sha256()) {
            return Err(format!(
                "the calls of task `{key}` are not those that were recorded: a line was edited or is gone"
            ));
        }
        open.lines.ended = Some(task.ended);
        open.line = Some(bytes.to_vec());
        Ok(())
    }

    fn end(&mut self, end: &EndLine) -> Result<(), String> {
        if let Some((key, _)) = self.tasks.iter().find(|(_, open)| open.line.is_none()) {
            return Err(format!("task `{key}` has calls and no end"));
        }
        let begin = self.begin.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        let found = digest(begin, self.tasks.values().filter_map(|open| open.line.as_ref()));
        if (end.tasks, end.calls) != (self.tasks.len() as u64, self.calls) || end.digest != found {
            return Err(format!("the lines hash to {found} and not to {}: a line was edited or is gone", end.digest));
        }
        self.end = Some(found);
        Ok(())
    }
}

/// The members of a file, one after the other.
struct Lines<'a> {
    path: &'a Path,
    source: BufReader<&'a File>,
    line: u64,
    /// Where the current member begins, and where the next one does.
    byte: u64,
    next: u64,
}

impl<'a> Lines<'a> {
    fn new(path: &'a Path, file: &'a File) -> Self {
        Self { path, source: BufReader::with_capacity(64 * 1024, file), line: 0, byte: 0, next: 0 }
    }

    fn place(&self) -> (u64, u64) {
        (self.line, self.byte)
    }

    fn wrong(&self, what: impl Into<String>) -> TranscriptError {
        TranscriptError::Line { path: self.path.to_owned(), line: self.line, byte: self.byte, what: what.into() }
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, TranscriptError> {
        self.line += 1;
        self.byte = self.next;
        if self.source.fill_buf().map_err(|e| TranscriptError::Io(self.path.to_owned(), e))?.is_empty() {
            return Ok(None);
        }
        if self.line > MAX_LINES {
            return Err(self.wrong(format!("a transcript has at most {MAX_LINES} lines")));
        }
        let mut counting = Counting { source: &mut self.source, taken: 0 };
        let read = member(&mut counting).map(|(bytes, _)| bytes);
        self.next += counting.taken;
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(self.wrong("the file is cut in this line")),
            Err(e) => Err(self.wrong(format!("the line is damaged: {e}"))),
        }
    }
}

/// The content of one gzip member, and what it was read from.
fn member<R: BufRead>(source: R) -> io::Result<(Vec<u8>, R)> {
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(source);
    (&mut decoder).take(MAX_LINE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_LINE_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_LINE_BYTES} bytes")));
    }
    Ok((bytes, decoder.into_inner()))
}

/// Counts what is taken of a reader.
struct Counting<R> {
    source: R,
    taken: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(out)?;
        self.taken += n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.taken += n as u64;
        self.source.consume(n);
    }
}

/// Reads a file from a place, without moving anyone else's.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
