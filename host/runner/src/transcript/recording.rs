//! Writes the transcript of a run: its digest always, its file when someone wants it.

use super::line::{CallLine, EndLine, Ended, Header, Line, RecordedAnswer, RecordedCall, TaskKey, TaskLine};
use super::writer::Writer;
use porthole_wire::{AskId, Call, CallError, Response};
use ring::digest::{Context, SHA256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The transcript can't be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file.
    #[error("can't write the transcript {0}")]
    File(PathBuf, #[source] io::Error),
    /// A line that JSON can't express; there is none.
    #[error("a line of the transcript can't be written")]
    Line(#[from] serde_json::Error),
}

/// What a task heard so far, as a running hash over its lines.
#[derive(Clone)]
pub(crate) struct Heard {
    hash: Context,
    calls: u64,
}

impl Default for Heard {
    fn default() -> Self {
        Self { hash: Context::new(&SHA256), calls: 0 }
    }
}

impl Heard {
    pub(super) fn take(&mut self, line: &[u8]) {
        self.hash.update(line);
        self.calls += 1;
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn sha256(&self) -> String {
        hex::encode(self.hash.clone().finish())
    }
}

/// The transcript of one run while it is being made. Its tasks take lines at once; each has a [`Heard`] of its own.
pub struct Recording {
    begin: Vec<u8>,
    tasks: Mutex<BTreeMap<TaskKey, Vec<u8>>>,
    calls: AtomicU64,
    file: Option<Writer>,
}

impl Recording {
    /// Begins a transcript. With a path, it is also kept there: under `FILE.part` until it is complete.
    ///
    /// # Errors
    /// When the file can't be made, or is there already.
    pub async fn begin(header: &Header, file: Option<&Path>) -> Result<Self, RecordError> {
        let begin = line(&Line::Begin(header.clone()))?;
        let file = match file {
            Some(path) => {
                let writer = Writer::create(path)?;
                writer.write(begin.clone()).await?;
                Some(writer)
            }
            None => None,
        };
        Ok(Self { begin, tasks: Mutex::default(), calls: AtomicU64::new(0), file })
    }

    /// Takes the calls of one question of a task, with their answers.
    pub(crate) async fn answered(
        &self,
        key: &TaskKey,
        heard: &Mutex<Heard>,
        ask: AskId,
        calls: &[Call],
        answers: &[Result<Response, CallError>],
    ) -> Result<(), RecordError> {
        for (place, (call, answer)) in (0..).zip(calls.iter().zip(answers)) {
            let line = line(&Line::Call(CallLine {
                step: key.step.clone(),
                partition: key.partition.clone(),
                task: key.work,
                ask,
                place,
                call: RecordedCall::of(call),
                answer: RecordedAnswer::of(answer),
            }))?;
            heard.lock().unwrap_or_else(PoisonError::into_inner).take(&line);
            self.calls.fetch_add(1, Ordering::Relaxed);
            if let Some(file) = &self.file {
                let body = answer.as_ref().map(|response| response.body.clone()).unwrap_or_default();
                file.write_with(line, body).await?;
            }
        }
        Ok(())
    }

    /// A task ended.
    pub(crate) async fn ended(&self, key: TaskKey, heard: &Mutex<Heard>, ended: Ended) -> Result<(), RecordError> {
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let line = line(&Line::Task(TaskLine {
            step: key.step.clone(),
            partition: key.partition.clone(),
            task: key.work,
            ended,
            calls: heard.calls(),
            sha256: heard.sha256(),
        }))?;
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).insert(key, line.clone());
        match &self.file {
            Some(file) => file.write(line).await,
            None => Ok(()),
        }
    }

    /// Completes the transcript, and its file gets its name. The result is its digest.
    ///
    /// # Errors
    /// When the file can't be completed.
    pub async fn finish(self) -> Result<String, RecordError> {
        let tasks = self.tasks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let digest = digest(&self.begin, tasks.values());
        let calls = self.calls.into_inner();
        if let Some(file) = self.file {
            let end = EndLine { tasks: tasks.len() as u64, calls, digest: digest.clone() };
            file.write(line(&Line::End(end))?).await?;
            file.finish().await?;
        }
        Ok(digest)
    }
}

pub(super) fn line(line: &Line<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Over the first line and the task lines in the order of their keys.
pub(super) fn digest<'a>(begin: &[u8], tasks: impl Iterator<Item = &'a Vec<u8>>) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(begin);
    tasks.for_each(|line| hash.update(line));
    format!("sha256:{}", hex::encode(hash.finish()))
}
