//! Audit first: the record of a call is durable before the call is sent. One task per run writes records in batches:
//! whatever has come together while the last batches were being written goes into the next, so a thousand calls at once
//! cost a few transactions, and a single call waits for one. How calls ended is written apart from that and more at a
//! time: nobody waits for it.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use porthole_model::context::OpContext;
use porthole_model::run::Claim;
use porthole_store::calls::{self, CallEnd, DeniedCall, EndedCall, NewCall};
use porthole_store::{Store, StoreError, runs};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, mpsc, oneshot};

/// Records that may wait for the writer. A caller that finds the queue full waits.
const QUEUE_RECORDS: usize = 1_024;
/// Records of one transaction: more gain nothing over a local socket.
const BATCH_RECORDS: usize = 256;
/// Batches that are being made durable at once. With two, a call that comes while the disk is busy with others doesn't
/// wait for it twice; with more, batches get smaller and cost more than they gain.
const BATCHES_AT_ONCE: usize = 2;
/// Ends that are written together, at most: those of [`ENDS_WAIT`] at 20,000 calls a second.
const BATCH_ENDS: usize = 1_024;
/// How long the first of them waits for others; their writer sleeps meanwhile, because being woken for each would cost more
/// than writing it. Not longer: the calls of a worker that dies meanwhile are recorded as lost.
const ENDS_WAIT: Duration = Duration::from_millis(50);

type Written<T> = Result<T, Arc<StoreError>>;

/// A call, and who waits for its record.
struct Start(NewCall, oneshot::Sender<Written<Timestamp>>);

/// A denial, and who waits for its record.
struct Denied(DeniedCall, oneshot::Sender<Written<()>>);

/// Writes the calls of one run. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    starts: mpsc::Sender<Start>,
    denials: mpsc::Sender<Denied>,
    ends: mpsc::Sender<EndedCall>,
    /// Its clones; when the last is gone, nothing more will end.
    _last: Arc<oneshot::Sender<()>>,
}

/// A call whose beginning is durable: it may be sent, and its record be completed. There is no other way to one.
#[derive(Debug)]
pub struct Begun {
    call: NewCall,
    recorded_at: Timestamp,
}

/// The record of a call can't be written; so the call must not be sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the call can't be recorded, so it isn't sent")]
pub struct NotRecorded(#[source] pub Option<Arc<StoreError>>);

impl Recorder {
    /// Starts the writers of a run. They end when every clone of the recorder is gone; the handle then says whether the
    /// last records were written.
    #[must_use]
    pub fn start(store: Store, claim: Claim) -> (Self, tokio::task::JoinHandle<Written<()>>) {
        let (starts, begun) = mpsc::channel(QUEUE_RECORDS);
        let (denials, denied) = mpsc::channel(QUEUE_RECORDS);
        let (ends, ended) = mpsc::channel(BATCH_ENDS);
        let (last, over) = oneshot::channel();
        let writing = async move {
            let book = Book { store, claim, worker: OnceCell::new() };
            let starts = write_starts(&book, begun);
            let (begun, denied, ended) =
                tokio::join!(starts, write_denials(&book, denied), write_ends(&book, ended, over));
            begun.and(denied).and(ended)
        };
        (Self { starts, denials, ends, _last: Arc::new(last) }, tokio::spawn(writing))
    }

    /// Records a call, and returns when the record is durable.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn begin(&self, call: NewCall) -> Result<Begun, NotRecorded> {
        let (done, written) = oneshot::channel();
        self.starts.send(Start(call.clone(), done)).await.map_err(|_| NotRecorded(None))?;
        let written = written.await.map_err(|_| NotRecorded(None))?;
        written.map(|recorded_at| Begun { call, recorded_at }).map_err(|e| NotRecorded(Some(e)))
    }

    /// Records a denial, and returns when the record is durable.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn deny(&self, denied: DeniedCall) -> Result<(), NotRecorded> {
        let (done, written) = oneshot::channel();
        self.denials.send(Denied(denied, done)).await.map_err(|_| NotRecorded(None))?;
        written.await.map_err(|_| NotRecorded(None))?.map_err(|e| NotRecorded(Some(e)))
    }

    /// Completes the record of a call. It is written soon; the handle of [`Recorder::start`] waits for it.
    pub async fn end(&self, begun: Begun, end: CallEnd) {
        let Begun { call, recorded_at } = begun;
        // A writer that has ended has already reported its failure.
        let _ = self.ends.send(EndedCall { call, recorded_at, end }).await;
    }
}

/// Where the writers of a run write.
struct Book {
    store: Store,
    claim: Claim,
    /// Who holds the claim; asked once.
    worker: OnceCell<OpContext>,
}

impl Book {
    async fn begin(&self, calls: &[NewCall]) -> Result<Timestamp, StoreError> {
        let worker = self.worker.get_or_try_init(|| async {
            let mut tx = self.store.tenant(self.claim.tenant).await?;
            let worker = runs::worker(&mut tx, &self.claim).await?;
            tx.rollback().await?;
            Ok::<_, StoreError>(worker)
        });
        calls::begin(&self.store, &self.claim, worker.await?, calls).await
    }

    async fn deny(&self, calls: &[DeniedCall]) -> Result<(), StoreError> {
        let mut tx = self.store.tenant(self.claim.tenant).await?;
        calls::deny(&mut tx, &self.claim, calls).await?;
        tx.commit().await
    }

    async fn end(&self, calls: &[EndedCall]) -> Result<(), StoreError> {
        let mut tx = self.store.tenant(self.claim.tenant).await?;
        calls::end(&mut tx, &self.claim, calls).await?;
        tx.commit().await
    }
}

async fn write_starts(book: &Book, mut receiver: mpsc::Receiver<Start>) -> Written<()> {
    let mut under_way = FuturesUnordered::new();
    let (mut result, mut open) = (Ok(()), true);
    while open || !under_way.is_empty() {
        let mut starts = Vec::new();
        tokio::select! {
            biased;
            Some(written) = under_way.next() => result = result.and(written),
            n = receiver.recv_many(&mut starts, BATCH_RECORDS), if open && under_way.len() < BATCHES_AT_ONCE => {
                open = n > 0;
                if open {
                    under_way.push(write_batch(book, starts));
                }
            }
        }
    }
    result
}

async fn write_batch(book: &Book, starts: Vec<Start>) -> Written<()> {
    let (calls, waiting): (Vec<_>, Vec<_>) = starts.into_iter().map(|Start(call, done)| (call, done)).unzip();
    let written = book.begin(&calls).await.map_err(Arc::new);
    for done in waiting {
        // Who asked may be gone; the record stands all the same.
        let _ = done.send(written.clone());
    }
    written.map(drop)
}

async fn write_denials(book: &Book, mut receiver: mpsc::Receiver<Denied>) -> Written<()> {
    let (mut batch, mut result) = (Vec::new(), Ok(()));
    while receiver.recv_many(&mut batch, BATCH_RECORDS).await > 0 {
        let (calls, waiting): (Vec<_>, Vec<_>) = batch.drain(..).map(|Denied(call, done)| (call, done)).unzip();
        let written = book.deny(&calls).await.map_err(Arc::new);
        for done in waiting {
            let _ = done.send(written.clone());
        }
        result = result.and(written);
    }
    result
}

async fn write_ends(
    book: &Book,
    mut receiver: mpsc::Receiver<EndedCall>,
    mut over: oneshot::Receiver<()>,
) -> Written<()> {
    let mut result = Ok(());
    while let Some(first) = receiver.recv().await {
        // What has come by then is written. Nothing is ever said over `over`; it only closes.
        if !over.is_terminated() {
            let _ = tokio::time::timeout(ENDS_WAIT, &mut over).await;
        }
        let mut batch = vec![first];
        batch.extend(std::iter::from_fn(|| receiver.try_recv().ok()).take(BATCH_ENDS));
        result = result.and(book.end(&batch).await.map_err(Arc::new));
    }
    result
}
