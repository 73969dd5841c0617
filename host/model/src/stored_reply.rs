//! Stored replies: what a provider answered to a GET, kept so that the next run can ask whether it still holds instead of
//! fetching it anew (RFC 9110, 13; RFC 9111, 4.3). Pure: what a stored reply is found by, how long it is believed, and
//! which of them go when an instance has too many.
//!
//! A stored reply never answers a request by itself: the provider is asked each time. Being wrong here therefore costs a
//! request, or room; only a provider that says "not modified" of what it did modify can make a graph wrong, and
//! [`MAX_AGE`] bounds for how long.

use crate::id::CredentialId;
use crate::manifest::{CredentialMethod, Operation, ScrubRule};
use crate::object::first_half;
use crate::operation::PreparedRequest;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// How long a reply is asked about before it is fetched anew whatever the provider says: a 304 that was wrong, or that
/// left out a header which had changed, is made good within a week. Daily runs save six fetches of seven.
pub const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// So much earlier some of them are fetched anew, by their key: what came in one run shouldn't be due in one run.
const SPREAD: Duration = Duration::from_secs(2 * 24 * 3600);
/// The longest stored reply, in bytes, compressed and sealed: a sixty-fourth of an instance's room, so that no single one
/// takes the place of many. JSON of 10 MB is about as long.
pub const MAX_REPLY_BYTES: usize = 1024 * 1024;
/// Bytes that one instance's stored replies may take in the database. Lists compress about ten to one: this is 600 MB of
/// JSON, an organisation of some 100,000 objects with a kilobyte for each of several lists.
pub const MAX_INSTANCE_BYTES: u64 = 64 * 1024 * 1024;
/// Stored replies of one instance: what a run holds of each in memory is below 400 bytes, so all of them are below 20 MB.
pub const MAX_INSTANCE_REPLIES: usize = 50_000;

/// What an operation is, as far as its replies depend on it: its declaration, what is blanked in its replies, and the way
/// its credential is used. Whatever of them changes, replies that were stored before are no longer found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(pub [u8; 16]);

impl Shape {
    /// Of an operation of a manifest. None when it can't be written as JSON, which is when nothing may be stored.
    #[must_use]
    pub fn of(operation: &Operation, method: Option<&CredentialMethod>, scrub: &[ScrubRule]) -> Option<Self> {
        let paths: Vec<&str> = scrub
            .iter()
            .filter(|rule| rule.operations.contains(&operation.id))
            .map(|rule| rule.path.as_str())
            .collect();
        let text = serde_json::to_vec(&(operation, method, paths)).ok()?;
        Some(Self(hash(b"shape", &[&text])))
    }
}

/// What a stored reply is found by, within its instance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyKey(pub [u8; 16]);

impl ReplyKey {
    /// Of a request: the operation's shape, the request as it would be recorded, where it is sent (an operator may map a
    /// host to another machine, whose tags mean nothing here), and whose eyes see the answer.
    #[must_use]
    pub fn of(shape: Shape, request: &PreparedRequest, sent_to: &str, credential: Option<CredentialId>) -> Self {
        let credential = credential.map(|id| id.0.into_bytes());
        let parts: [&[u8]; 5] = [
            &shape.0,
            request.method.as_str().as_bytes(),
            request.url.as_str().as_bytes(),
            sent_to.as_bytes(),
            credential.as_ref().map_or(&[], |id| id),
        ];
        Self(hash(b"reply", &parts))
    }

    /// A reply of this age is fetched anew: at [`MAX_AGE`], or up to two days earlier.
    #[must_use]
    pub fn is_due(self, age: Duration) -> bool {
        let [share, ..] = self.0;
        age >= MAX_AGE - SPREAD * u32::from(share) / 255
    }
}

/// Each part with its length in front, so that no two lists of parts have the same bytes.
fn hash(kind: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    first_half(&hasher.finalize())
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({})", hex::encode(self.0))
    }
}

impl fmt::Debug for ReplyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyKey({})", hex::encode(self.0))
    }
}

/// The room that one instance has for stored replies, during one run.
///
/// It never holds more than it may. When it is full, what a run fetches isn't stored; at the end of the run, what that run
/// did not use goes, oldest first, as far as room was missing. So what is used stays although it was stored first, a
/// module whose pages don't all fit keeps the same part of them instead of pushing each out before its turn comes again,
/// and nothing has to be written down about an unchanged page to know which are used.
#[derive(Debug)]
pub struct Shelf {
    max_bytes: u64,
    bytes: u64,
    replies: HashMap<ReplyKey, Standing>,
    turned_away: u64,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    bytes: u64,
    age: Duration,
    used: bool,
}

impl Shelf {
    /// An empty one, for so many bytes.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes, bytes: 0, replies: HashMap::new(), turned_away: 0 }
    }

    /// A reply that is there from an earlier run.
    pub fn holds(&mut self, key: ReplyKey, bytes: u64, age: Duration) {
        self.put(key, Standing { bytes, age, used: false });
    }

    fn put(&mut self, key: ReplyKey, standing: Standing) {
        let former = self.replies.insert(key, standing).map_or(0, |former| former.bytes);
        self.bytes = self.bytes.saturating_sub(former).saturating_add(standing.bytes);
    }

    /// The run asked for it.
    pub fn used(&mut self, key: ReplyKey) {
        if let Some(standing) = self.replies.get_mut(&key) {
            standing.used = true;
        }
    }

    /// Is there room for a reply that the run fetched? It takes the place of one with its key.
    pub fn admits(&mut self, key: ReplyKey, bytes: u64) -> bool {
        let former = self.replies.get(&key).map(|former| former.bytes);
        let after = self.bytes.saturating_sub(former.unwrap_or(0)).saturating_add(bytes);
        let is_one_more = former.is_none() && self.replies.len() >= MAX_INSTANCE_REPLIES;
        if bytes > MAX_REPLY_BYTES as u64 {
            return false;
        }
        if after > self.max_bytes || is_one_more {
            self.turned_away = self.turned_away.saturating_add(bytes);
            return false;
        }
        self.put(key, Standing { bytes, age: Duration::ZERO, used: true });
        true
    }

    /// It is gone.
    pub fn forget(&mut self, key: ReplyKey) {
        if let Some(former) = self.replies.remove(&key) {
            self.bytes = self.bytes.saturating_sub(former.bytes);
        }
    }

    /// At the end of a run: what has to go so that the next run finds room for what this one had to turn away.
    #[must_use]
    pub fn make_room(&mut self) -> Vec<ReplyKey> {
        let mut unused: Vec<_> = self.replies.iter().filter(|(_, s)| !s.used).map(|(key, s)| (*key, *s)).collect();
        unused.sort_by_key(|(key, s)| (std::cmp::Reverse(s.age), *key));
        let mut missing = std::mem::take(&mut self.turned_away);
        let mut gone = Vec::new();
        for (key, standing) in unused {
            if missing == 0 {
                break;
            }
            missing = missing.saturating_sub(standing.bytes);
            self.forget(key);
            gone.push(key);
        }
        gone
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
#[path = "stored_reply_tests.rs"]
mod tests;
