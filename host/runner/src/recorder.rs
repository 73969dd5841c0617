//! Audit first: the record of a call is durable before the call is sent. One task per run writes records in batches:
//! whatever has come together while the last batch was being written goes into the next, so a thousand calls at once
//! cost a few transactions, and a single call waits for one.

use porthole_model::run::Claim;
use porthole_store::calls::{self, CallEnd, NewCall};
use porthole_store::{Store, StoreError};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Records that may wait for the writer. A caller that finds the queue full waits.
const QUEUE_RECORDS: usize = 1_024;
/// Records of one transaction: more gain nothing over a local socket.
const BATCH_RECORDS: usize = 256;

enum Message {
    Start(Box<NewCall>, oneshot::Sender<Result<(), Arc<StoreError>>>),
    End(Box<CallEnd>),
}

/// Writes the calls of one run. Cheap to clone.
#[derive(Clone)]
pub struct Recorder(mpsc::Sender<Message>);

/// The record of a call can't be written; so the call must not be sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the call can't be recorded, so it isn't sent")]
pub struct NotRecorded(#[source] pub Option<Arc<StoreError>>);

impl Recorder {
    /// Starts the writer of a run. It ends when every clone of the recorder is gone; the handle then says whether the
    /// last records were written.
    #[must_use]
    pub fn start(store: Store, claim: Claim) -> (Self, tokio::task::JoinHandle<Result<(), Arc<StoreError>>>) {
        let (sender, receiver) = mpsc::channel(QUEUE_RECORDS);
        (Self(sender), tokio::spawn(write_all(store, claim, receiver)))
    }

    /// Records a call, or a denial, and returns when the record is durable.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn begin(&self, call: NewCall) -> Result<(), NotRecorded> {
        let (done, written) = oneshot::channel();
        self.0.send(Message::Start(Box::new(call), done)).await.map_err(|_| NotRecorded(None))?;
        written.await.map_err(|_| NotRecorded(None))?.map_err(|e| NotRecorded(Some(e)))
    }

    /// Completes the record of a call. It is written with the next batch; the handle of [`Recorder::start`] waits for it.
    pub async fn end(&self, call: CallEnd) {
        // A writer that has ended has already reported its failure.
        let _ = self.0.send(Message::End(Box::new(call))).await;
    }
}

async fn write_all(store: Store, claim: Claim, mut receiver: mpsc::Receiver<Message>) -> Result<(), Arc<StoreError>> {
    let mut messages = Vec::with_capacity(BATCH_RECORDS);
    let mut result = Ok(());
    while receiver.recv_many(&mut messages, BATCH_RECORDS).await > 0 {
        let (mut starts, mut ends, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages.drain(..) {
            match message {
                Message::Start(call, done) => {
                    starts.push(*call);
                    waiting.push(done);
                }
                Message::End(call) => ends.push(*call),
            }
        }
        let written = write(&store, claim, &starts, &ends).await.map_err(Arc::new);
        for done in waiting {
            // Who asked may be gone; the record stands all the same.
            let _ = done.send(written.clone());
        }
        if written.is_err() {
            result = written;
        }
    }
    result
}

async fn write(store: &Store, claim: Claim, starts: &[NewCall], ends: &[CallEnd]) -> Result<(), StoreError> {
    let mut tx = store.tenant(claim.tenant).await?;
    calls::write(&mut tx, &claim, starts, ends).await?;
    tx.commit().await
}
