//! Audit first: the record of a call is durable before the call is sent. One task per run writes records in batches:
//! whatever has come together while the last batch was being written goes into the next, so a thousand calls at once
//! cost a few transactions, and a single call waits for one. How calls ended is written apart from that and more at a
//! time: nobody waits for it.

use porthole_model::run::Claim;
use porthole_store::calls::{self, CallEnd, NewCall};
use porthole_store::{Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Records that may wait for the writer. A caller that finds the queue full waits.
const QUEUE_RECORDS: usize = 1_024;
/// Records of one transaction: more gain nothing over a local socket.
const BATCH_RECORDS: usize = 256;
/// Ends that are written together. They wait for each other, but not for long: the calls of a worker that dies meanwhile
/// are recorded as lost.
const BATCH_ENDS: usize = 512;
/// How long the first of them waits.
const ENDS_WAIT: Duration = Duration::from_millis(50);

/// A call, and who waits for its record.
struct Start(NewCall, oneshot::Sender<Result<(), Arc<StoreError>>>);

/// Writes the calls of one run. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    starts: mpsc::Sender<Start>,
    ends: mpsc::Sender<CallEnd>,
}

/// The record of a call can't be written; so the call must not be sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the call can't be recorded, so it isn't sent")]
pub struct NotRecorded(#[source] pub Option<Arc<StoreError>>);

impl Recorder {
    /// Starts the writers of a run. They end when every clone of the recorder is gone; the handle then says whether the
    /// last records were written.
    #[must_use]
    pub fn start(store: Store, claim: Claim) -> (Self, tokio::task::JoinHandle<Result<(), Arc<StoreError>>>) {
        let (starts, begun) = mpsc::channel(QUEUE_RECORDS);
        let (ends, ended) = mpsc::channel(QUEUE_RECORDS);
        let writing = async move {
            let (begun, ended) = tokio::join!(write_starts(&store, claim, begun), write_ends(&store, claim, ended));
            begun.and(ended)
        };
        (Self { starts, ends }, tokio::spawn(writing))
    }

    /// Records a call, or a denial, and returns when the record is durable.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn begin(&self, call: NewCall) -> Result<(), NotRecorded> {
        let (done, written) = oneshot::channel();
        self.starts.send(Start(call, done)).await.map_err(|_| NotRecorded(None))?;
        written.await.map_err(|_| NotRecorded(None))?.map_err(|e| NotRecorded(Some(e)))
    }

    /// Completes the record of a call. It is written soon; the handle of [`Recorder::start`] waits for it.
    pub async fn end(&self, call: CallEnd) {
        // A writer that has ended has already reported its failure.
        let _ = self.ends.send(call).await;
    }
}

async fn write_starts(store: &Store, claim: Claim, mut receiver: mpsc::Receiver<Start>) -> Result<(), Arc<StoreError>> {
    let mut messages = Vec::with_capacity(BATCH_RECORDS);
    let mut result = Ok(());
    while receiver.recv_many(&mut messages, BATCH_RECORDS).await > 0 {
        let (calls, waiting): (Vec<_>, Vec<_>) = messages.drain(..).map(|Start(call, done)| (call, done)).unzip();
        let written = write(store, claim, &calls, &[]).await.map_err(Arc::new);
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

async fn write_ends(store: &Store, claim: Claim, mut receiver: mpsc::Receiver<CallEnd>) -> Result<(), Arc<StoreError>> {
    let mut ends = Vec::with_capacity(BATCH_ENDS);
    let mut result = Ok(());
    while receiver.recv_many(&mut ends, BATCH_ENDS).await > 0 {
        let more = async {
            while let room @ 1.. = BATCH_ENDS - ends.len() {
                if receiver.recv_many(&mut ends, room).await == 0 {
                    return;
                }
            }
        };
        // What has come by then is written.
        let _ = tokio::time::timeout(ENDS_WAIT, more).await;
        if let Err(error) = write(store, claim, &[], &ends).await {
            result = Err(Arc::new(error));
        }
        ends.clear();
    }
    result
}

async fn write(store: &Store, claim: Claim, starts: &[NewCall], ends: &[CallEnd]) -> Result<(), StoreError> {
    let mut tx = store.tenant(claim.tenant).await?;
    calls::write(&mut tx, &claim, starts, ends).await?;
    tx.commit().await
}
