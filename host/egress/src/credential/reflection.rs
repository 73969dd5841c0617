//! The secrets of a run, kept to be recognised in replies. A provider that echoes a request header, or quotes a token in
//! an error, would otherwise hand a guest what it must never see.

use super::needle::{MIN_SECRET_BYTES, needles};
use super::search::Search;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// What a secret is replaced with. It has no character that JSON, XML or a URL would have to escape.
const REDACTED: &[u8] = b"[redacted]";
/// How many bought tokens are looked for: those of every slot that may still be valid. Older ones have expired.
const MAX_TOKENS: usize = 32;

/// The secrets that replies are searched for. Wiped when the run is over.
#[derive(Default)]
pub(super) struct Reflections {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    secrets: Vec<Zeroizing<String>>,
    tokens: VecDeque<Zeroizing<String>>,
    search: Arc<Search>,
}

impl Reflections {
    /// Adds a stored secret; it is looked for until the run is over.
    pub(super) fn add_secret(&self, secret: &str) {
        self.add(secret, |known, secret| known.secrets.push(secret));
    }

    /// Adds a bought token.
    pub(super) fn add_token(&self, token: &str) {
        self.add(token, |known, token| {
            known.tokens.push_back(token);
            if known.tokens.len() > MAX_TOKENS {
                known.tokens.pop_front();
            }
        });
    }

    fn add(&self, text: &str, put: impl FnOnce(&mut Known, Zeroizing<String>)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.secrets.iter().chain(&known.tokens).any(|other| other.as_str() == text);
        if is_known || text.len() < MIN_SECRET_BYTES {
            return;
        }
        put(&mut known, Zeroizing::new(text.to_owned()));
        // Rare (once for each token), so everything is prepared anew.
        let all = known.secrets.iter().chain(&known.tokens).flat_map(|text| needles(text.as_bytes())).collect();
        known.search = Arc::new(Search::new(all));
    }

    /// Blanks what is found, and counts it.
    pub(super) fn scrub(&self, body: Vec<u8>) -> (Vec<u8>, u32) {
        let search = Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).search);
        let places = search.find(&body);
        if places.is_empty() {
            return (body, 0);
        }
        let body = Zeroizing::new(body);
        let mut clean = Vec::with_capacity(body.len() + places.len() * REDACTED.len());
        let mut done = 0;
        for place in &places {
            clean.extend_from_slice(body.get(done..place.start).unwrap_or_default());
            clean.extend_from_slice(REDACTED);
            done = place.end;
        }
        clean.extend_from_slice(body.get(done..).unwrap_or_default());
        (clean, u32::try_from(places.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn scrub_text(&self, text: &str) -> String {
        let (clean, _) = self.scrub(text.as_bytes().to_vec());
        String::from_utf8(clean).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }
}

#[cfg(test)]
#[path = "reflection_tests.rs"]
mod tests;
