//! Where a verification stands, and what each line does to it. What is kept of a file is its right edge, the ids of its
//! records, and what is open in its runs.

use super::control::{Control, End, Header, MARK};
use super::report::{FaultKind, Place, Report};
use super::verify::Options;
use crate::checkpoint::Checkpoint;
use crate::error::cut;
use crate::name::KeyName;
use crate::note::{Note, VerifierKey};
use crate::semantics::Semantics;
use crate::tree::{Frontier, Hash, leaf_hash};
use crate::trust::SignedCheckpoint;
use porthole_model::audit::{Log, Record};
use porthole_model::id::TenantId;
use ring::digest::{Context, SHA256};
use std::collections::HashSet;

/// Where a verification stands.
pub(super) struct Verifier<'o> {
    options: &'o Options,
    report: Report,
    /// The line in hand, the first is 1.
    line: u64,
    digest: Context,
    frontier: Frontier,
    /// The log, by what is trusted or else by the first line.
    origin: Option<KeyName>,
    /// The key that the first line names.
    header_key: Option<VerifierKey>,
    /// Checkpoints that are known and not reached yet, the largest first.
    known: Vec<&'o Checkpoint>,
    /// Up to how many leaves, and which line, the log is the known one.
    agreed: (u64, u64),
    /// The line after which leaves are not covered yet.
    covered_line: u64,
    /// The line of the last checkpoint, right or wrong.
    checkpoint_line: u64,
    /// The size of the last checkpoint, right or wrong.
    last_size: Option<u64>,
    /// The newest checkpoint that holds, and its size.
    last_signed: Option<(u64, SignedCheckpoint)>,
    /// The leaves are not those that were signed: no later root can be right.
    broken: bool,
    /// The last line was read.
    ended: bool,
    /// Reading was given up.
    stopped: bool,
    ids: HashSet<u128>,
    semantics: Semantics,
}

impl<'o> Verifier<'o> {
    pub(super) fn new(options: &'o Options) -> Self {
        let mut known: Vec<&Checkpoint> = options.known.iter().chain(&options.newest).collect();
        known.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        let origin = options.origin.as_ref().or(options.trust.origin()).cloned();
        Self {
            options,
            report: Report::default(),
            line: 0,
            digest: Context::new(&SHA256),
            frontier: Frontier::new(),
            origin,
            header_key: None,
            known,
            agreed: (0, 1),
            covered_line: 1,
            checkpoint_line: 1,
            last_size: None,
            last_signed: None,
            broken: false,
            ended: false,
            stopped: false,
            ids: HashSet::new(),
            semantics: Semantics::default(),
        }
    }

    /// Goes to the next line and says which it is.
    pub(super) fn next_line(&mut self) -> u64 {
        self.line += 1;
        self.line
    }

    fn fault(&mut self, kind: FaultKind) {
        self.report.fault(Place::line(self.line), kind);
    }

    /// Gives up.
    pub(super) fn stop(&mut self, kind: FaultKind) -> bool {
        self.fault(kind);
        self.stopped = true;
        false
    }

    /// Takes a line; says whether another should follow.
    pub(super) fn take(&mut self, line: &[u8]) -> bool {
        if self.ended {
            return self.stop(FaultKind::AfterEnd);
        }
        let control = (line.first() == Some(&MARK)).then(|| Control::parse(line));
        if self.line == 1 && !matches!(control, Some(Ok(Control::Header(_)) | Err(_))) {
            self.fault(FaultKind::NoHeader);
        }
        match control {
            None => self.leaf(line),
            Some(Ok(Control::Header(header))) if self.line == 1 => self.header(&header),
            Some(Ok(Control::Header(_))) => self.fault(FaultKind::SecondHeader),
            Some(Ok(Control::Checkpoint(number, note))) => self.checkpoint(number, &note),
            Some(Ok(Control::End(end))) => self.end(&end),
            Some(Err(rule)) => self.fault(FaultKind::Control(rule)),
        }
        self.digest.update(line);
        self.digest.update(b"\n");
        true
    }

    fn header(&mut self, header: &Header) {
        let log_fits = header.origin.ends_with(&format!("/{}", header.log)) && is_log(&header.log);
        if !log_fits {
            let (log, origin) = (cut(&header.log), cut(&header.origin));
            self.fault(FaultKind::LogName { log, origin });
        }
        let Ok(key) = header.vkey.parse::<VerifierKey>() else {
            return self.fault(FaultKind::ForeignKey(cut(&header.vkey)));
        };
        if key.name().as_str() != header.origin {
            let (wanted, found) = (cut(&header.origin), key.name().to_string());
            self.fault(FaultKind::OtherLog { wanted, found });
        }
        if let Some(wanted) = self.origin.as_ref().filter(|wanted| wanted.as_str() != header.origin) {
            let (wanted, found) = (wanted.to_string(), cut(&header.origin));
            return self.fault(FaultKind::OtherLog { wanted, found });
        }
        if !self.options.trust.keys_of(key.name()).contains(&key) {
            return self.fault(FaultKind::ForeignKey(key.to_string()));
        }
        if let Some(known) = self.known.iter().find(|known| known.origin != *key.name()) {
            // Roots of two logs differ, and that is no fork.
            let (wanted, found) = (known.origin.to_string(), key.name().to_string());
            self.fault(FaultKind::OtherLog { wanted, found });
            self.known.retain(|known| known.origin == *key.name());
        }
        self.origin = Some(key.name().clone());
        self.header_key = Some(key);
    }

    fn leaf(&mut self, line: &[u8]) {
        if line.first() != Some(&b'{') {
            return self.fault(FaultKind::Neither);
        }
        let index = self.frontier.push(leaf_hash(line));
        let place = Place::leaf(self.line, index);
        match Record::parse(line) {
            Err(error) => self.report.fault(place, FaultKind::Record(error)),
            Ok(record) => {
                if !self.ids.insert(record.id.as_u128()) {
                    self.report.fault(place.clone(), FaultKind::Doubled(record.id.to_string()));
                }
                let report = &mut self.report;
                self.semantics.take(&record, |oddity| report.fault(place.clone(), FaultKind::Oddity(oddity)));
            }
        }
        self.compare_known();
    }

    /// Compares the tree with the checkpoints that are known, when it has reached one.
    fn compare_known(&mut self) {
        while let Some(known) = self.known.pop_if(|known| known.size <= self.frontier.size()) {
            // That the log once was empty may be known too.
            let found = if known.size == 0 { Hash::empty_root() } else { self.frontier.root() };
            if known.root == found {
                self.agreed = (known.size, self.line);
            } else if !self.broken {
                // Where the leaves are not the signed ones, that they aren't the known ones either is no news.
                let kind = FaultKind::Fork { size: known.size, known: known.root, found };
                let (leaf, line) = self.agreed;
                let leaves = known.size.checked_sub(1).map(|last| leaf..=last);
                self.report.fault(Place::since(line, self.line, leaves), kind);
                // Told once: all that follows differs too.
                self.known.clear();
            }
        }
    }

    fn checkpoint(&mut self, number: u64, note: &str) {
        self.report.checkpoints += 1;
        let expected = self.report.checkpoints;
        if number != expected {
            let place = Place::since(self.checkpoint_line, self.line, None);
            self.report.fault(place, FaultKind::CheckpointNumber { expected, found: number });
        }
        self.checkpoint_line = self.line;
        let signed = match self.options.trust.open(note.as_bytes()) {
            Ok(signed) => signed,
            Err(error) => return self.fault(FaultKind::Checkpoint(error)),
        };
        let checkpoint = &signed.checkpoint;
        let origin = self.origin.get_or_insert_with(|| checkpoint.origin.clone());
        if *origin != checkpoint.origin {
            let (wanted, found) = (origin.to_string(), checkpoint.origin.to_string());
            return self.fault(FaultKind::OtherLog { wanted, found });
        }
        if signed.note.in_order(&checkpoint.origin) != signed.note {
            self.fault(FaultKind::Control("its signatures are in another order than they were written"));
        }
        self.strangers(&signed.note, &signed.checkpoint);
        if !signed.checkpoint.extensions.is_empty() {
            self.fault(FaultKind::Extension);
        }
        let size = signed.checkpoint.size;
        if let Some(before) = self.last_size.filter(|before| size <= *before) {
            return self.fault(FaultKind::NotGrowing { before, size });
        }
        self.last_size = Some(size);
        self.compare_root(signed);
    }

    /// The leaves since the last checkpoint that held.
    fn since_covered(&self) -> Place {
        let last = self.frontier.size().checked_sub(1);
        let leaves = last.filter(|last| *last >= self.report.covered).map(|last| self.report.covered..=last);
        Place::since(self.covered_line, self.line, leaves)
    }

    /// Compares the tree with a checkpoint that is signed.
    fn compare_root(&mut self, signed: SignedCheckpoint) {
        let (size, stands_after) = (signed.checkpoint.size, self.frontier.size());
        let found = self.frontier.root();
        let kind = if size != stands_after {
            FaultKind::CheckpointPlace { size, stands_after }
        } else if signed.checkpoint.root != found {
            FaultKind::Root { signed: signed.checkpoint.root, found }
        } else {
            self.report.covered = size;
            self.covered_line = self.line;
            self.last_signed = Some((size, signed));
            return;
        };
        // The first one tells where; that no later root is right follows from it.
        if !self.broken {
            let place = self.since_covered();
            self.report.fault(place, kind);
        }
        self.broken = true;
    }

    /// Signatures of keys that nobody here knows.
    fn strangers(&mut self, note: &Note, checkpoint: &Checkpoint) {
        if self.options.allow_unknown_signatures {
            return;
        }
        for signature in note.signatures() {
            if !self.options.trust.knows(&checkpoint.origin, signature) {
                let label = format!("{}+{}", signature.name, signature.id);
                self.fault(FaultKind::UnknownSignature(label));
            }
        }
    }

    fn end(&mut self, end: &End) {
        self.ended = true;
        let (checkpoints, leaves) = (self.report.checkpoints, self.frontier.size());
        if end.checkpoints != checkpoints {
            self.fault(FaultKind::Count { what: "checkpoints", said: end.checkpoints, found: checkpoints });
        }
        if end.leaves != leaves {
            self.fault(FaultKind::Count { what: "leaves", said: end.leaves, found: leaves });
        }
        if end.sha256 != hex::encode(self.digest.clone().finish()) {
            let place = Place { lines: 1..=self.line, leaves: None };
            self.report.fault(place, FaultKind::Digest);
        }
    }

    /// What only the end can show.
    pub(super) fn finish(mut self) -> Report {
        // The line in hand when reading ended is not there; a fault of the end stands at the last one that is.
        let last_line = if self.stopped { self.line } else { self.line - 1 };
        self.line = last_line.max(1);
        self.compare_known();
        let leaves = self.frontier.size();
        if !self.ended && !self.stopped {
            self.fault(FaultKind::NoEnd);
        }
        if self.report.checkpoints == 0 {
            self.fault(FaultKind::NoCheckpoint);
        } else if self.report.covered < leaves && !self.broken {
            let place = self.since_covered();
            self.report.fault(place, FaultKind::Uncovered);
        }
        if let Some(largest) = self.known.first() {
            self.report.fault(Place::line(self.line), FaultKind::Older { known: largest.size, found: leaves });
        }
        self.newest();
        self.report.origin = self.origin;
        self.report.leaves = leaves;
        self.report.runs = self.semantics.runs();
        self.report
    }

    /// What is asked of the newest checkpoint.
    fn newest(&mut self) {
        let Some((size, signed)) = self.last_signed.take() else { return };
        if self.header_key.as_ref().is_some_and(|key| !signed.signed_by.contains(key)) {
            self.report.fault(Place::line(1), FaultKind::HeaderKey);
        }
        let place = Place::line(self.covered_line);
        if let Some(wanted) = self.options.newest.as_ref().map(|newest| newest.size).filter(|wanted| *wanted < size) {
            self.report.fault(place.clone(), FaultKind::NotNewest { wanted, found: size });
        }
        if let Err(error) = self.options.trust.demand_quorum(&signed) {
            self.report.fault(place, FaultKind::Witnesses(error));
        }
        self.report.newest = Some(signed);
    }
}

/// The end of an origin that names a log of a deployment.
fn is_log(text: &str) -> bool {
    let tenant = |id: &str| id.parse::<TenantId>().is_ok_and(|tenant| Log::Tenant(tenant).path() == text);
    text == Log::Platform.path() || text.strip_prefix("tenant/").is_some_and(tenant)
}
