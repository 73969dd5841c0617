//! A broker for tests: starts the real sandbox, speaks the frames, answers questions and remembers everything.

use crate::artifacts;
use porthole_wire::*;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// No test waits longer than this for one frame.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Broker {
    pub child: Child,
    pub socket: UnixStream,
    pub isolation: Isolation,
    next: TaskId,
}

/// What came of a task.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub end: TaskEnd,
    pub usage: Usage,
    pub questions: Vec<(AskId, Question)>,
    pub logs: Vec<(u8, String)>,
    pub progress: Vec<(u64, Option<u64>)>,
}

impl Outcome {
    /// The limit that ended it.
    pub(crate) fn limit(&self) -> &str {
        match &self.end {
            TaskEnd::Limit { limit, .. } => limit,
            other => panic!("not ended by a limit: {other:?}"),
        }
    }

    /// The message of a `call` error: how the guest says what the host answered.
    pub(crate) fn answered(&self) -> &str {
        match &self.end {
            TaskEnd::Failed { kind, message } if kind == "call" => message,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// The trap's message.
    pub(crate) fn trap(&self) -> &str {
        match &self.end {
            TaskEnd::Trapped { message } => message,
            other => panic!("no trap: {other:?}"),
        }
    }

    /// All emitted lines.
    pub(crate) fn emitted(&self) -> String {
        let batches = self.questions.iter().filter_map(|(_, q)| match q {
            Question::Emit(batch) => Some(String::from_utf8_lossy(batch).into_owned()),
            _ => None,
        });
        batches.collect()
    }
}

/// Small limits, so that tests are quick.
pub(crate) fn limits() -> Limits {
    Limits { memory_bytes: 32 << 20, cpu_ms: 300, lanes: 1, ..Limits::default() }
}

/// The friendly broker: everything is there and everything is allowed.
pub(crate) fn yes(question: &Question) -> Answer {
    match question {
        Question::Open { .. } => Answer::Open(Ok(())),
        Question::Calls(calls) => Answer::Calls(calls.iter().map(|_| Ok(response(None))).collect()),
        Question::Emit(_) => Answer::Emitted(Ok(())),
        Question::Entities { .. } => Answer::Entities(Ok(EntityPage { lines: Vec::new(), next: None })),
    }
}

pub(crate) fn response(next: Option<u64>) -> Response {
    Response {
        status: 200,
        headers: vec![("etag".to_owned(), "x".to_owned())],
        body: b"[]".to_vec(),
        empty: false,
        next,
    }
}

/// Starts a sandbox without a word; the socket is its standard input.
pub(crate) fn spawn() -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = Command::new(artifacts::SANDBOX)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (child, ours)
}

impl Broker {
    /// A sandbox with the hostile guest loaded.
    pub(crate) fn start(limits: Limits) -> Self {
        Self::load(limits, artifacts::hostile()).unwrap()
    }

    /// A sandbox with this code loaded, or why it can't be.
    pub(crate) fn load(limits: Limits, code: &[u8]) -> Result<Self, String> {
        let (child, socket) = spawn();
        Self::greet(child, socket, limits, code)
    }

    /// Start, Ready, Load, Loaded.
    pub(crate) fn greet(child: Child, mut socket: UnixStream, limits: Limits, code: &[u8]) -> Result<Self, String> {
        send(&mut socket, &ToSandbox::Start { protocol: PROTOCOL, limits, allow_weak_isolation: false });
        let isolation = match receive(&mut socket) {
            Some(FromSandbox::Ready { isolation }) => isolation,
            Some(FromSandbox::LoadFailed { message }) => return Err(message),
            other => panic!("not ready: {other:?}"),
        };
        send_code(&mut socket, code);
        match receive(&mut socket) {
            Some(FromSandbox::Loaded) => Ok(Self { child, socket, isolation, next: 1 }),
            Some(FromSandbox::LoadFailed { message }) => Err(message),
            other => panic!("not loaded: {other:?}"),
        }
    }

    /// Runs an attack with a friendly broker.
    pub(crate) fn attack(&mut self, step: &str) -> Outcome {
        self.attack_with(step, yes)
    }

    /// Runs an attack with a broker that answers like this.
    pub(crate) fn attack_with(&mut self, step: &str, answer: impl FnMut(&Question) -> Answer) -> Outcome {
        let id = self.begin(TaskKind::Run, step, "");
        self.finish(id, answer)
    }

    /// Begins a task.
    pub(crate) fn begin(&mut self, kind: TaskKind, step: &str, partition: &str) -> TaskId {
        let id = self.next;
        self.next += 1;
        let (step, partition) = (step.to_owned(), partition.to_owned());
        let task = Task { id, kind, step, partition, config: "{}".to_owned(), started_at_ms: 1_700_000_000_000 };
        send(&mut self.socket, &ToSandbox::Task(task));
        id
    }

    /// Answers until the task is done.
    pub(crate) fn finish(&mut self, id: TaskId, mut answer: impl FnMut(&Question) -> Answer) -> Outcome {
        let (mut questions, mut logs, mut progress) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match receive(&mut self.socket).expect("the sandbox ended before the task did") {
                FromSandbox::Ask { task, ask, question } => {
                    let answer = answer(&question);
                    send(&mut self.socket, &ToSandbox::Answer { task, ask, answer });
                    questions.push((ask, question));
                }
                FromSandbox::Log { level, message, .. } => logs.push((level, message)),
                FromSandbox::Progress { done, total, .. } => progress.push((done, total)),
                FromSandbox::Done { task, end, usage } if task == id => {
                    return Outcome { end, usage, questions, logs, progress };
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Closes the socket and waits for the sandbox's end.
    pub(crate) fn close(mut self) -> ExitStatus {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(socket: &mut UnixStream, frame: &ToSandbox) {
    socket.write_all(&encode(frame, MAX_TO_SANDBOX_BYTES).unwrap()).unwrap();
}

/// A Load frame and the code behind it.
pub(crate) fn send_code(socket: &mut UnixStream, code: &[u8]) {
    send(socket, &ToSandbox::Load { length: u32::try_from(code.len()).unwrap() });
    socket.write_all(code).unwrap();
}

/// The next frame; none when the sandbox has closed its end.
pub(crate) fn receive(socket: &mut UnixStream) -> Option<FromSandbox> {
    let mut head = [0; 4];
    match socket.read_exact(&mut head) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset) => {
            return None;
        }
        Err(e) => panic!("{e}"),
    }
    let mut bytes = vec![0; length(head, MAX_FROM_SANDBOX_BYTES).unwrap()];
    socket.read_exact(&mut bytes).unwrap();
    Some(decode(&bytes).unwrap())
}
