//! Logs and keys for tests.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::checkpoint::Checkpoint;
use crate::export::Writer;
use crate::key::LogKey;
use crate::name::KeyName;
use crate::note::{Note, VerifierKey};
use crate::tree::{Frontier, Hash, NodeMap, leaf_hash};
use crate::trust::Trust;
use jiff::Timestamp;
use porthole_model::audit::{Action, CallEnded, CallMade, Entry, Log, Object};
use porthole_model::context::{Actor, OpContext};
use porthole_model::id::{RunId, TenantId};
use porthole_model::run::SliceKey;
use uuid::Uuid;

/// A key that follows from a number.
pub(crate) fn key(number: u8) -> LogKey {
    LogKey::from_seed(&[number; 32]).unwrap()
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

/// A log in memory, stored as a database would: leaves' hashes and tiles.
#[derive(Default, Clone)]
pub(crate) struct TestLog {
    pub(crate) frontier: Frontier,
    pub(crate) nodes: NodeMap,
    pub(crate) roots: Vec<Hash>,
}

impl TestLog {
    pub(crate) fn of(leaves: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut log = Self { roots: vec![Hash::empty_root()], ..Self::default() };
        leaves.into_iter().for_each(|leaf| log.push(&leaf));
        log
    }

    pub(crate) fn numbered(size: u64) -> Self {
        Self::of((0..size).map(|n| format!("leaf {n}").into_bytes()))
    }

    pub(crate) fn push(&mut self, leaf: &[u8]) {
        let hash = leaf_hash(leaf);
        let index = self.frontier.push_noting(hash, |node| self.nodes.insert(node.level, node.index, node.hash));
        self.nodes.insert(0, index, hash);
        self.roots.push(self.frontier.root());
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        self.roots[size as usize]
    }

    pub(crate) fn checkpoint(&self, origin: &str, size: u64) -> Checkpoint {
        Checkpoint::new(name(origin), size, self.root(size))
    }

    pub(crate) fn signed(&self, origin: &str, size: u64, key: &LogKey) -> Note {
        self.checkpoint(origin, size).sign(&key.signer(name(origin))).unwrap()
    }
}

pub(crate) fn vkey(key: &LogKey, origin: &str) -> VerifierKey {
    key.signer(name(origin)).verifier_key().clone()
}

pub(crate) fn trust(key: &LogKey, origin: &str) -> Trust {
    Trust::log(vec![vkey(key, origin)]).unwrap()
}

/// The id of the tenant whose log the tests export.
pub(crate) const TENANT: u128 = 0x0190_0000_0000_7000_8000_0000_0000_00aa;

pub(crate) fn tenant_log() -> Log {
    Log::Tenant(TenantId(Uuid::from_u128(TENANT)))
}

/// The origin of that log.
pub(crate) fn origin() -> String {
    format!("porthole.example/{}", tenant_log().path())
}

/// The leaves of a tenant's log: set up, then one run after the other.
pub(crate) struct Leaves {
    made: u128,
    pub(crate) all: Vec<Vec<u8>>,
}

impl Leaves {
    /// At least so many.
    pub(crate) fn of(least: usize) -> Vec<Vec<u8>> {
        let mut leaves = Self { made: 0, all: Vec::new() };
        leaves.push(Entry::new(Action::TenantCreated, Object::new("tenant", "acme")).fact("name", "acme"));
        leaves.push(Entry::new(Action::InstanceCreated, Object::new("instance", "one")).commit("config", "{}"));
        let mut run = 0;
        while leaves.all.len() < least {
            run += 1;
            leaves.run(run, 9);
        }
        leaves.all
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.made += 1;
        let ctx = OpContext { actor: Actor::Person("ada".to_owned()), request: Uuid::from_u128(self.made) };
        let id = Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + self.made);
        let at = Timestamp::from_second(1_770_000_000 + self.made as i64).unwrap();
        self.all.push(entry.into_record(&ctx, id, at, &[7; 32]).to_leaf().into_bytes());
    }

    /// A run with so many calls, one of them refused.
    pub(crate) fn run(&mut self, number: u128, calls: i64) {
        let run = RunId(Uuid::from_u128(0x0190_0000_0000_7000_a000_0000_0000_0000 + number));
        let slice = SliceKey { step: "repos".parse().unwrap(), partition: "eu".parse().unwrap() };
        let entry = |action| Entry::new(action, Object::run(run)).run(run);
        self.push(entry(Action::RunQueued));
        self.push(entry(Action::RunStarted));
        self.push(entry(Action::RunPlanned).digest("plan", "blake3:00"));
        for first in (1..=calls).step_by(4) {
            let batch = first..(first + 4).min(calls + 1);
            let made = batch.clone().map(|seq| CallMade::new(seq, &slice, "list-repos", None)).collect();
            self.push(entry(Action::CallsBegun).calls(made));
            self.push(entry(Action::CallsEnded).ends(batch.map(|s| CallEnded::new(s, Some(200), None, 512)).collect()));
        }
        let refused = CallMade::new(calls + 1, &slice, "delete-repo", Some("granted"));
        self.push(entry(Action::CallsDenied).denied("granted").calls(vec![refused]));
        let finished = entry(Action::RunFinished).fact("outcome", "succeeded");
        self.push(
            finished.count("calls", calls as u64).count("calls-denied", 1).count("response-bytes", calls as u64 * 512),
        );
    }
}

/// An export with a checkpoint after each of these numbers of leaves, co-signed by the witness if there is one.
pub(crate) fn export(leaves: &[Vec<u8>], sizes: &[u64], key: &LogKey, witness: Option<&LogKey>) -> Vec<u8> {
    let origin = origin();
    let mut writer = Writer::start(Vec::new(), tenant_log(), &vkey(key, &origin)).unwrap();
    let mut log = TestLog::of([]);
    for size in 0..=leaves.len() as u64 {
        if sizes.contains(&size) {
            let mut note = log.signed(&origin, size, key);
            if let Some(witness) = witness {
                let text = note.text().to_owned();
                note.add(witness.cosigner(name("witness.example/w1")).cosign(&text, 1_770_000_000 + size));
            }
            writer.checkpoint(&note).unwrap();
        }
        if let Some(leaf) = leaves.get(size as usize) {
            writer.leaf(leaf).unwrap();
            log.push(leaf);
        }
    }
    writer.finish().unwrap()
}
