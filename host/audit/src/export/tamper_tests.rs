//! Ten thousand tamperings with one exported log: each is found, and each with its place.
//!
//! Two kinds of attackers. One damages the file and leaves its last line as it was. The other knows the format, writes
//! the last line anew and repairs whatever can be repaired without the key. What stays out of their reach is what this
//! test is about: signatures, and the checkpoint that the verifier kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

use super::tests::ended_anew;
use super::*;
use crate::checkpoint::Checkpoint;
use crate::key::LogKey;
use crate::note::Note;
use crate::test_support::{Leaves, TestLog, export, key, name, origin, vkey};
use crate::trust::Trust;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Mutex;

/// How many tamperings are tried.
const TAMPERINGS: u64 = 10_000;
/// Leaves of the logs, at least, and every how many of them there is a checkpoint. Most tamperings are tried with the
/// small log, one in so many with the large one: their effects don't depend on the size, and the test should end soon.
const SMALL: (usize, usize) = (24, 7);
const LARGE: (usize, usize) = (300, 40);
const ONE_IN: u64 = 20;

/// SplitMix64: small numbers that look random and are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than this.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The log, its file, and what a verifier holds against it.
struct World {
    leaves: Vec<Vec<u8>>,
    /// Leaves that are not in the log.
    foreign: Vec<Vec<u8>>,
    sizes: Vec<u64>,
    file: Vec<u8>,
    lines: Vec<String>,
    options: Options,
}

fn world((least, step): (usize, usize)) -> World {
    let leaves = Leaves::of(least);
    let size = leaves.len() as u64;
    let sizes: Vec<u64> = (1..size).step_by(step).chain([size]).collect();
    let foreign = Leaves::of(least + 60).split_off(leaves.len());
    let file = export(&leaves, &sizes, &key(1), Some(&key(9)));
    let witness = key(9).cosigner(name("witness.example/w1")).verifier_key().clone();
    let trust = Trust::log(vec![vkey(&key(1), &origin())]).unwrap().with_witnesses(vec![witness], 1).unwrap();
    let mut options = Options::new(trust);
    options.known = vec![TestLog::of(leaves.clone()).checkpoint(&origin(), size)];
    let lines = String::from_utf8(file.clone()).unwrap().lines().map(str::to_owned).collect();
    World { leaves, foreign, sizes, file, lines, options }
}

/// A tampered file and where it was tampered with; nowhere in particular for a file that is another one as a whole.
struct Tampered {
    how: &'static str,
    file: Vec<u8>,
    lines: Option<RangeInclusive<u64>>,
}

impl World {
    fn tamper(&self, random: &mut Random) -> Tampered {
        match random.below(16) {
            0..=5 => self.bytes(random),
            6..=10 => self.lines(random),
            11..=12 => self.record(random),
            13..=14 => self.checkpoint(random),
            _ => self.whole(random),
        }
    }

    /// Changes single bytes.
    fn bytes(&self, random: &mut Random) -> Tampered {
        let mut file = self.file.clone();
        let at = random.below(file.len());
        let how = match random.below(5) {
            0 => {
                file.remove(at);
                "a byte is gone"
            }
            1 => {
                file.insert(at, random.next() as u8);
                "a byte is added"
            }
            2 => {
                file.truncate(at);
                "truncated"
            }
            _ => {
                file[at] ^= 1 << random.below(8);
                "a bit is flipped"
            }
        };
        let line = 1 + self.file[..at].iter().filter(|b| **b == b'\n').count() as u64;
        Tampered { how, file, lines: Some(line..=line + 1) }
    }

    /// Moves whole lines about; half of the time with a last line that fits.
    fn lines(&self, random: &mut Random) -> Tampered {
        let mut lines = self.lines.clone();
        let last = lines.len() - 1;
        let a = random.below(last);
        let b = random.below(last);
        let mut end = a;
        let how = match random.below(5) {
            0 => {
                lines.swap(a, b);
                end = b;
                "two lines are swapped"
            }
            1 => {
                lines.insert(a, self.lines[b].clone());
                "a line is there twice"
            }
            2 => {
                lines.insert(a, String::from_utf8(self.foreign[0].clone()).unwrap());
                "a record is added"
            }
            3 => {
                lines.truncate(a);
                "the rest is cut off"
            }
            _ => {
                lines.remove(a);
                "a line is dropped"
            }
        };
        let mut file = (lines.join("\n") + "\n").into_bytes();
        // A checkpoint between two others may be left out by anybody who writes a file: see the module's own words.
        let left_out = how == "a line is dropped" && self.lines[a].starts_with("[\"checkpoint\"");
        if random.below(2) == 0 && !left_out {
            file = ended_anew(&file);
        }
        let (first, last) = (a.min(end) as u64 + 1, a.max(end) as u64 + 1);
        Tampered { how, file, lines: Some(first..=last) }
    }

    /// Changes a record into another good one, and repairs what needs no key: roots in checkpoints, the last line.
    fn record(&self, random: &mut Random) -> Tampered {
        let mut leaves = self.leaves.clone();
        let at = random.below(leaves.len());
        let text = String::from_utf8(leaves[at].clone()).unwrap();
        leaves[at] = match random.below(3) {
            0 => text.replace("person:ada", "person:eve"),
            1 => text.replace("T0", "T1"),
            _ => text.replacen("-9000-", "-9001-", 1),
        }
        .into_bytes();
        let log = TestLog::of(leaves.clone());
        let repair = random.below(2) == 0;
        let mut lines: Vec<String> = self.lines.clone();
        let mut leaf = 0;
        let mut place = 0;
        for (number, line) in lines.iter_mut().enumerate() {
            if line.starts_with('{') {
                place = if leaf == at { number } else { place };
                *line = String::from_utf8(leaves[leaf].clone()).unwrap();
                leaf += 1;
            } else if repair
                && let Ok(control::Control::Checkpoint(number, note)) = control::Control::parse(line.as_bytes())
            {
                let signed = Checkpoint::parse(Note::parse(note.as_bytes()).unwrap().text()).unwrap();
                let note = note.replacen(&signed.root.to_base64(), &log.root(signed.size).to_base64(), 1);
                *line = control::Control::Checkpoint(number, note).to_line();
            }
        }
        let place = place as u64 + 1;
        // With other roots in them, it is the checkpoints from there on that are wrong.
        let next_checkpoint = self.next_checkpoint(place);
        let file = ended_anew((lines.join("\n") + "\n").as_bytes());
        Tampered { how: "a record is changed and the roots with it", file, lines: Some(place..=next_checkpoint) }
    }

    fn next_checkpoint(&self, line: u64) -> u64 {
        let later = |(_, text): &(u64, &String)| text.starts_with("[\"checkpoint\"");
        (1..).zip(&self.lines).skip(line as usize).find(later).map_or(line, |(number, _)| number)
    }

    /// Changes what stands in a checkpoint.
    fn checkpoint(&self, random: &mut Random) -> Tampered {
        let of: Vec<usize> = (0..self.lines.len()).filter(|n| self.lines[*n].starts_with("[\"checkpoint\"")).collect();
        let (a, b) = (of[random.below(of.len())], of[random.below(of.len())]);
        let read = |line: usize| match control::Control::parse(self.lines[line].as_bytes()) {
            Ok(control::Control::Checkpoint(number, note)) => (number, Note::parse(note.as_bytes()).unwrap()),
            other => panic!("{other:?}"),
        };
        let ((number, mut note), (_, other)) = (read(a), read(b));
        let how = match random.below(5) {
            0 => {
                note.add(other.signatures()[0].clone());
                "a signature of another checkpoint"
            }
            1 => {
                note.add(other.signatures()[1].clone());
                "a witness's signature of another checkpoint"
            }
            2 => {
                let stranger = key(7);
                let signer = stranger.signer(name(&origin()));
                note.add(Note::sign(note.text(), &signer).unwrap().signatures()[0].clone());
                "a stranger's signature is added"
            }
            3 => {
                let text = note.text().replacen(&origin(), "porthole.example/platform", 1);
                note = Note::sign(text, &key(1).signer(name(&origin()))).unwrap();
                "another origin under the log's own key"
            }
            _ => {
                let key = key(7);
                note = Note::sign(note.text(), &key.signer(name(&origin()))).unwrap();
                "signed by somebody else"
            }
        };
        let mut lines = self.lines.clone();
        lines[a] = control::Control::Checkpoint(number, note.to_string()).to_line();
        let same = lines[a] == self.lines[a];
        let file = ended_anew((lines.join("\n") + "\n").as_bytes());
        let place = a as u64 + 1;
        // Its own signature put in place of itself is no tampering.
        if same { self.bytes(random) } else { Tampered { how, file, lines: Some(place..=place) } }
    }

    /// Another log in the place of this one, whole and good in itself.
    fn whole(&self, random: &mut Random) -> Tampered {
        let honest = key(1);
        let witness = key(9);
        let forger = key(7);
        let at = random.below(self.leaves.len() - 1);
        let mut leaves = self.leaves.clone();
        let write = |leaves: &[Vec<u8>], key: &LogKey, size: usize| {
            let sizes: Vec<u64> =
                self.sizes.iter().copied().filter(|s| *s < size as u64).chain([size as u64]).collect();
            export(&leaves[..size], &sizes, key, Some(&witness))
        };
        let (how, file) = match random.below(4) {
            0 => ("a foreign key", write(&leaves, &forger, leaves.len())),
            1 => {
                // From here on, another history under the same key.
                leaves[at] = self.foreign[0].clone();
                ("a fork under the log's own key", write(&leaves, &honest, leaves.len()))
            }
            2 => {
                leaves.truncate(at + 1);
                leaves.extend_from_slice(&self.foreign);
                let size = leaves.len();
                ("a fork of another length", write(&leaves, &honest, size))
            }
            _ => ("an older copy", write(&leaves, &honest, at + 1)),
        };
        Tampered { how, file, lines: None }
    }
}

#[test]
fn ten_thousand_tamperings_are_found_each_with_its_place() {
    let worlds = [world(SMALL), world(LARGE)];
    for world in &worlds {
        assert!(verify(world.file.as_slice(), &world.options).unwrap().holds());
    }
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let tried = Mutex::new(BTreeMap::<&str, u64>::new());
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let [small, large] = &worlds;
            let world = move |seed: u64| if seed.is_multiple_of(ONE_IN) { large } else { small };
            let seeds = (worker..TAMPERINGS).step_by(workers as usize);
            let count = |how| *tried.lock().unwrap().entry(how).or_default() += 1;
            scope.spawn(move || seeds.for_each(|seed| count(try_one(world(seed), seed))));
        }
    });
    let tried = tried.into_inner().unwrap();
    assert_eq!(tried.values().sum::<u64>(), TAMPERINGS);
    assert!(tried.len() == 19 && tried.values().all(|count| *count > 100), "{tried:#?}");
}

/// Tampers with the file in one way and says in which.
fn try_one(world: &World, seed: u64) -> &'static str {
    let mut random = Random(seed);
    let mut tampered = world.tamper(&mut random);
    // A line for its like, the end cut off where nothing was: no tampering.
    while tampered.file == world.file {
        tampered = world.tamper(&mut random);
    }
    let report = verify(tampered.file.as_slice(), &world.options).unwrap();
    let told: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let context = || format!("tampering {seed}, {} at {:?}: {told:#?}", tampered.how, tampered.lines);
    assert!(!report.is_authentic(), "not found: {}", context());
    let file_lines = tampered.file.split(|b| *b == b'\n').count() as u64;
    for fault in &report.faults {
        let (first, last) = (*fault.place.lines.start(), *fault.place.lines.end());
        assert!(1 <= first && first <= last && last <= file_lines.max(first), "no place: {}", context());
    }
    // The place is where it was done, or within one line of it: a line that is gone is missed by its neighbour. A digest
    // that covers everything says nothing of places, unless it is the digest that was changed.
    let in_last = tampered.lines.as_ref().is_some_and(|lines| *lines.end() >= world.lines.len() as u64);
    let places = report.faults.iter().filter(|fault| in_last || !matches!(fault.kind, FaultKind::Digest));
    let near = |range: &RangeInclusive<u64>| {
        let touches = |fault: &Fault| {
            let lines = &fault.place.lines;
            *lines.start() <= *range.end() + 1 && *range.start() <= *lines.end() + 1
        };
        places.clone().any(touches)
    };
    assert!(tampered.lines.as_ref().is_none_or(near), "elsewhere: {}", context());
    assert!(tampered.lines.is_some() || places.count() > 0, "nowhere: {}", context());
    tampered.how
}
