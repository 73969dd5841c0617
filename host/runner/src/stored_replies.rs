//! The stored replies of one run: which request may be asked about instead of fetched, and where its reply comes from and
//! goes to. This is where the database (sealed bytes), egress (who asks, opens and scrubs) and the run's calls meet.
//!
//! None of it may make a run fail. What can't be read, opened or written is fetched anew, now or by the next run; the run
//! log of a slow database is the only place where anyone notices.
//!
//! A run reads at its beginning what its instance can ask about: the validators, some hundred bytes each. A reply itself
//! is read when a 304 has come for it, so that no call waits for its turn with a page in its hands. An unchanged page
//! writes nothing. One task reads and writes for all calls of the run, over one connection at a time.

use crate::keys;
use porthole_egress::secret::{ReplyKeys, ReplyPart, ReplyPlace, Vault};
use porthole_egress::{Condition, Reply, Session, StoredReply, Validator};
use porthole_model::id::{CredentialId, OperationId, RunId, Slot};
use porthole_model::manifest::Manifest;
use porthole_model::operation::PreparedRequest;
use porthole_model::run::Claim;
use porthole_model::stored_reply::{ReplyKey, Shape, Shelf};
use porthole_store::stored_replies::{self, Known, NewReply};
use porthole_store::{Store, StoreError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Messages that may wait: as many sealed replies of at most a mebibyte. A call that finds the queue full waits.
const QUEUE_MESSAGES: usize = 16;

/// What a run's stored replies are opened from.
pub struct Opening<'a> {
    /// Where they are.
    pub store: &'a Store,
    /// Who opens them.
    pub vault: &'a Vault,
    /// Whose they are.
    pub claim: Claim,
    /// What the module asks for.
    pub manifest: &'a Manifest,
    /// The credentials of the run: by slot, with the method that each fills.
    pub credentials: &'a HashMap<Slot, (CredentialId, String)>,
    /// What they may take in the database.
    pub max_bytes: u64,
    /// The longest body.
    pub max_body_bytes: usize,
}

/// See the module's documentation.
pub struct StoredReplies(Option<Open>);

struct Open {
    room: Arc<Room>,
    queue: mpsc::Sender<Message>,
}

/// What the calls and the one task share.
struct Room {
    keys: ReplyKeys,
    /// The data key that seals.
    key_id: i32,
    run: RunId,
    shapes: HashMap<OperationId, Shape>,
    credentials: HashMap<Slot, CredentialId>,
    known: HashMap<ReplyKey, Asked>,
    shelf: Mutex<Shelf>,
    max_body_bytes: usize,
    /// Every step came to its end: what wasn't used by now isn't used any more.
    is_through: AtomicBool,
}

/// What can be asked about.
struct Asked {
    validator: Validator,
    place: ReplyPlace,
}

/// Where the reply of a request is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) key: ReplyKey,
    shape: Shape,
    credential: Option<CredentialId>,
}

enum Message {
    Load(ReplyPlace, oneshot::Sender<Vec<u8>>),
    Keep(Box<NewReply>),
    Forget(ReplyKey),
}

impl StoredReplies {
    /// Nothing is stored, and nothing asked about.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Reads what an instance can ask about, and deletes what is of no use any more. Nothing is stored, and nothing asked
    /// about, when no operation says so, when the tenant has no data key, or when something fails. The task ends after the
    /// last use.
    pub async fn open(opening: Opening<'_>) -> (Self, tokio::task::JoinHandle<()>) {
        let (store, claim) = (opening.store.clone(), opening.claim);
        match Room::open(opening).await {
            Ok(Some(room)) => {
                let room = Arc::new(room);
                let (queue, receiver) = mpsc::channel(QUEUE_MESSAGES);
                let task = tokio::spawn(serve(store, claim, Arc::clone(&room), receiver));
                (Self(Some(Open { room, queue })), task)
            }
            Ok(None) => Self::without(),
            Err(error) => {
                let message = crate::prepare::chain(&error);
                tracing::warn!(run = %claim.run, %message, "stored replies can't be used, everything is fetched");
                Self::without()
            }
        }
    }

    fn without() -> (Self, tokio::task::JoinHandle<()>) {
        (Self(None), tokio::spawn(async {}))
    }

    /// Where the reply of a request is stored; none when its operation doesn't say that it may be.
    pub(crate) fn spot(&self, session: &Session, request: &PreparedRequest) -> Option<Spot> {
        let room = &self.0.as_ref()?.room;
        let shape = *room.shapes.get(&request.operation)?;
        let credential = match &request.auth {
            Some(slot) => Some(*room.credentials.get(slot)?),
            None => None,
        };
        let sent_to = session.sent_to(&request.url)?;
        Some(Spot { key: ReplyKey::of(shape, request, sent_to.as_str(), credential), shape, credential })
    }

    /// What to ask about there, if a reply is stored.
    pub(crate) fn question(&self, spot: Option<Spot>) -> Option<Question<'_>> {
        let open = self.0.as_ref()?;
        Some(Question { open, asked: open.room.known.get(&spot?.key)? })
    }

    /// A call has ended well, and its next page, if there is one, is known: stores what came, if it may be.
    pub(crate) async fn ended(&self, spot: Option<Spot>, reply: &Reply) {
        let (Some(open), Some(spot)) = (&self.0, spot) else { return };
        match (&reply.reused, &reply.validator) {
            (Some(reused), _) if reused.outdated => self.forget(spot.key).await,
            (Some(_), _) => open.room.shelf().used(spot.key),
            (None, Some(validator)) => {
                if let Some(new) = open.room.seal(spot, validator, reply) {
                    let _ = open.queue.send(Message::Keep(Box::new(new))).await;
                }
            }
            // It can't be asked about any more, or mustn't be stored any more.
            (None, None) if open.room.known.contains_key(&spot.key) => self.forget(spot.key).await,
            (None, None) => {}
        }
    }

    /// What is stored there led nowhere, or may have: the next run fetches it anew.
    pub(crate) async fn forget(&self, key: ReplyKey) {
        let Some(open) = &self.0 else { return };
        open.room.shelf().forget(key);
        // The task outlives every sender.
        let _ = open.queue.send(Message::Forget(key)).await;
    }

    /// Every step of the run came to its end.
    pub fn through(&self) {
        if let Some(open) = &self.0 {
            open.room.is_through.store(true, Ordering::Relaxed);
        }
    }
}

impl Room {
    async fn open(opening: Opening<'_>) -> Result<Option<Self>, keys::KeysError> {
        let Opening { store, vault, claim, manifest, credentials, max_bytes, max_body_bytes } = opening;
        // An operator who gives them no room wants none.
        let shapes = if max_bytes == 0 { HashMap::new() } else { shapes(manifest, credentials) };
        let wanted: Vec<Shape> = shapes.values().copied().collect();
        let mut tx = store.tenant(claim.tenant).await?;
        // Also for a module that revalidates nothing: the one before it may have.
        let found = stored_replies::open(&mut tx, claim.instance, &wanted).await?;
        let live = if wanted.is_empty() { Vec::new() } else { porthole_store::keys::live(&mut tx).await? };
        tx.commit().await?;
        let Some(key_id) = live.first().map(|newest| newest.key_id) else { return Ok(None) };
        let mut wrapped = Vec::with_capacity(live.len());
        for key in &live {
            wrapped.push((key.key_id, keys::open(claim.tenant, key)?));
        }
        let keys = vault.reply_keys(claim.tenant, claim.instance, &wrapped).await?;
        let mut shelf = Shelf::new(max_bytes);
        let known = found.into_iter().filter_map(|found| known(&keys, &mut shelf, found)).collect();
        Ok(Some(Self {
            keys,
            key_id,
            run: claim.run,
            shapes,
            credentials: credentials.iter().map(|(slot, (id, _))| (slot.clone(), *id)).collect(),
            known,
            shelf: Mutex::new(shelf),
            max_body_bytes,
            is_through: AtomicBool::new(false),
        }))
    }

    /// Seals a reply, if there is room for it.
    fn seal(&self, spot: Spot, validator: &Validator, reply: &Reply) -> Option<NewReply> {
        let place = ReplyPlace { key_id: self.key_id, run: self.run, key: spot.key };
        let packed = StoredReply::pack(reply.status, &reply.headers, reply.link.as_deref(), &reply.body)?;
        let seal = |part, bytes: &[u8]| self.keys.seal(&place, part, bytes).ok().map(|sealed| sealed.bytes);
        let (validator, reply) = (seal(ReplyPart::Validator, &validator.to_bytes())?, seal(ReplyPart::Reply, &packed)?);
        let bytes = (validator.len() + reply.len()) as u64;
        let Spot { key, shape, credential } = spot;
        let is_admitted = self.shelf().admits(key, bytes);
        is_admitted.then_some(NewReply { key, shape, credential, key_id: self.key_id, validator, reply })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shape of each operation that says so and whose credential, if it has one, is there.
fn shapes(manifest: &Manifest, credentials: &HashMap<Slot, (CredentialId, String)>) -> HashMap<OperationId, Shape> {
    let shape = |operation: &porthole_model::manifest::Operation| {
        let method = match &operation.auth {
            Some(slot) => {
                let (_, method) = credentials.get(slot)?;
                Some(manifest.credentials.iter().find(|m| m.slot == *slot && m.method == *method)?)
            }
            None => None,
        };
        Some((operation.id.clone(), Shape::of(operation, method, &manifest.scrub)?))
    };
    manifest.operations.iter().filter(|operation| operation.revalidate).filter_map(shape).collect()
}

/// A stored reply, as something to ask about. One that doesn't open, or is old, only takes room until it is replaced.
fn known(keys: &ReplyKeys, shelf: &mut Shelf, found: Known) -> Option<(ReplyKey, Asked)> {
    let Known { key, key_id, run, validator, bytes, age } = found;
    shelf.holds(key, bytes, age);
    if key.is_due(age) {
        return None;
    }
    let place = ReplyPlace { key_id, run, key };
    let validator = Validator::from_bytes(&keys.open(&place, ReplyPart::Validator, &validator).ok()?)?;
    Some((key, Asked { validator, place }))
}

/// A stored reply that a call asks about.
pub(crate) struct Question<'a> {
    open: &'a Open,
    asked: &'a Asked,
}

impl Condition for Question<'_> {
    fn validator(&self) -> &Validator {
        &self.asked.validator
    }

    fn load(&self) -> futures_util::future::BoxFuture<'_, Option<StoredReply>> {
        Box::pin(async {
            let (Open { room, queue }, place) = (self.open, self.asked.place);
            let (answer, loaded) = oneshot::channel();
            queue.send(Message::Load(place, answer)).await.ok()?;
            let sealed = loaded.await.ok()?;
            let packed = room.keys.open(&place, ReplyPart::Reply, &sealed).ok()?;
            StoredReply::unpack(&packed, room.max_body_bytes)
        })
    }
}

async fn serve(store: Store, claim: Claim, room: Arc<Room>, mut receiver: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(QUEUE_MESSAGES);
    while receiver.recv_many(&mut messages, QUEUE_MESSAGES).await > 0 {
        let batch = Batch::of(messages.drain(..));
        tell(claim, batch.work(&store, claim).await);
    }
    let gone = if room.is_through.load(Ordering::Relaxed) { room.shelf().make_room() } else { Vec::new() };
    if !gone.is_empty() {
        let batch = Batch { forget: gone, ..Batch::default() };
        tell(claim, batch.work(&store, claim).await);
    }
}

/// Whoever waits for an answer that doesn't come asks the provider.
fn tell(claim: Claim, done: Result<(), StoreError>) {
    if let Err(error) = done {
        let message = crate::prepare::chain(&error);
        tracing::warn!(run = %claim.run, %message, "stored replies could not be read or written");
    }
}

/// Messages that came together.
#[derive(Default)]
struct Batch {
    load: Vec<(ReplyPlace, oneshot::Sender<Vec<u8>>)>,
    /// One for each key: a guest may ask for a page twice.
    keep: HashMap<ReplyKey, NewReply>,
    forget: Vec<ReplyKey>,
}

impl Batch {
    fn of(messages: impl Iterator<Item = Message>) -> Self {
        let mut batch = Self::default();
        for message in messages {
            match message {
                Message::Load(place, answer) => batch.load.push((place, answer)),
                Message::Keep(new) => {
                    batch.forget.retain(|key| *key != new.key);
                    batch.keep.insert(new.key, *new);
                }
                Message::Forget(key) => {
                    batch.keep.remove(&key);
                    batch.forget.push(key);
                }
            }
        }
        batch
    }

    async fn work(self, store: &Store, claim: Claim) -> Result<(), StoreError> {
        let mut tx = store.tenant(claim.tenant).await?;
        if !self.load.is_empty() {
            let keys: Vec<ReplyKey> = self.load.iter().map(|(place, _)| place.key).collect();
            let found = stored_replies::load(&mut tx, claim.instance, &keys).await?;
            // A reply that this very run has replaced isn't the one that was asked about.
            let mut found: HashMap<(ReplyKey, RunId), Vec<u8>> =
                found.into_iter().map(|(key, run, reply)| ((key, run), reply)).collect();
            for (place, answer) in self.load {
                if let Some(reply) = found.remove(&(place.key, place.run)) {
                    // Who asked may be gone.
                    let _ = answer.send(reply);
                }
            }
        }
        if !self.forget.is_empty() {
            stored_replies::forget(&mut tx, claim.instance, &self.forget).await?;
        }
        if !self.keep.is_empty() {
            let keep: Vec<NewReply> = self.keep.into_values().collect();
            stored_replies::keep(&mut tx, &claim, &keep).await?;
        }
        tx.commit().await
    }
}
