//! The values that a rule allows, as a regular language: a machine that reads a value byte by byte.
//!
//! Whether one rule allows more than another isn't a question about how they are written. [`search`] looks for the
//! shortest value that some languages have in common and others lack, and walks all machines at once to find it. Without
//! one, that there is none is proved: the walk has seen every combination of states.
//!
//! Only what [`Rule::allows`] would accept counts as a value: UTF-8 without control characters, of at most
//! [`MAX_TEXT_BYTES`] bytes.

use porthole_model::rule::{MAX_TEXT_BYTES, Rule};
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind, nfa::thompson};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// The largest machine of one pattern, in bytes, and what may be spent on building it. The largest pattern we know of
/// takes 300 KiB; classes of all letters, repeated a hundred times, take some megabytes.
const MAX_MACHINE_BYTES: usize = 16 * 1024 * 1024;
/// How many combinations of states a search visits: below a second of work. The pairs of real rules take below 5,000.
const MAX_STATES: usize = 200_000;
/// How many values one search returns: the shortest may be one that can't stand where it is needed, such as `.` in a path.
const MAX_WORDS: usize = 16;
/// How many more combinations are visited after the first value, to find others.
const MORE_STATES: usize = 2_000;
/// The state from which nothing is accepted any more.
const DEAD: u32 = u32::MAX;
/// Text between two characters: where the value may end.
const BOUNDARY: u32 = 0;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Search {
    /// No value is like that. This is a proof.
    None,
    /// Values, the shortest and most readable first.
    Words(Vec<String>),
    /// It takes too much to tell; why.
    Undecided(String),
}

/// A machine that accepts the values of a language. State 0 is any state; a machine says itself where it starts.
pub(super) enum Language {
    /// A pattern.
    Pattern(Box<dense::DFA<Vec<u32>>>, StateID),
    /// At most so many bytes, at least one. The state is their number.
    Text(u32),
    /// A decimal integer up to the one whose digits these are.
    Int(Vec<u8>),
    /// Some fixed words, as a tree.
    Words(Vec<Node>),
}

/// A node of a tree of words.
#[derive(Debug, Default)]
pub(super) struct Node {
    next: BTreeMap<u8, u32>,
    is_word: bool,
}

impl Language {
    /// The language of a rule.
    ///
    /// # Errors
    /// Why it can't be made a machine.
    pub(super) fn of(rule: &Rule) -> Result<Self, String> {
        match rule {
            Rule::Fixed(value) => Ok(Self::words([value.as_str()])),
            Rule::Pattern(pattern) => {
                Self::regex(pattern.anchored()).map_err(|why| format!("`{}` {why}", pattern.source()))
            }
            Rule::Text(max) => Ok(Self::Text(u32::try_from(*max).unwrap_or(DEAD - 2))),
            Rule::Int(max) => Ok(Self::Int(max.to_string().into_bytes())),
            Rule::Bool => Ok(Self::words(["true", "false"])),
        }
    }

    /// Exactly these words.
    pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut nodes = vec![Node::default()];
        for word in words {
            let mut at = 0usize;
            for byte in word.bytes() {
                let fresh = nodes.len();
                let Some(node) = nodes.get_mut(at) else { break };
                let next = *node.next.entry(byte).or_insert(u32::try_from(fresh).unwrap_or(DEAD));
                if next as usize == fresh {
                    nodes.push(Node::default());
                }
                at = next as usize;
            }
            if let Some(node) = nodes.get_mut(at) {
                node.is_word = true;
            }
        }
        Self::Words(nodes)
    }

    /// An anchored regular expression, with the syntax and the meaning that the `regex` crate gives it.
    ///
    /// # Errors
    /// When it is too large, or uses a Unicode word boundary, which no such machine can tell.
    pub(super) fn regex(anchored: &str) -> Result<Self, String> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            // All matches, not the preferred one: the question is whether there is any.
            .match_kind(MatchKind::All)
            .accelerate(false)
            .dfa_size_limit(Some(MAX_MACHINE_BYTES))
            .determinize_size_limit(Some(MAX_MACHINE_BYTES));
        let machine = dense::Builder::new()
            .configure(config)
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_MACHINE_BYTES)))
            .build(anchored)
            .map_err(|e| match e.is_size_limit_exceeded() {
                true => format!("needs a machine of more than {} MiB", MAX_MACHINE_BYTES >> 20),
                false => format!("can't be made a machine: {e}"),
            })?;
        let start = machine
            .start_state(&start::Config::new().anchored(Anchored::Yes))
            .map_err(|e| format!("can't be made a machine: {e}"))?;
        Ok(Self::Pattern(Box::new(machine), start))
    }

    fn start(&self) -> u32 {
        match self {
            Self::Pattern(_, start) => start.as_u32(),
            Self::Text(_) | Self::Int(_) | Self::Words(_) => 0,
        }
    }

    fn next(&self, state: u32, byte: u8) -> u32 {
        if state == DEAD {
            return DEAD;
        }
        match self {
            Self::Pattern(machine, _) => {
                let next = machine.next_state(StateID::new_unchecked(state as usize), byte);
                // Only a Unicode word boundary makes a machine give up, and such a machine isn't built.
                if machine.is_dead_state(next) || machine.is_quit_state(next) { DEAD } else { next.as_u32() }
            }
            Self::Text(max) => {
                if state < *max {
                    state + 1
                } else {
                    DEAD
                }
            }
            Self::Int(max) => next_digit(max, state, byte),
            Self::Words(nodes) => {
                nodes.get(state as usize).and_then(|node| node.next.get(&byte)).copied().unwrap_or(DEAD)
            }
        }
    }

    fn accepts(&self, state: u32) -> bool {
        if state == DEAD {
            return false;
        }
        match self {
            Self::Pattern(machine, _) => {
                machine.is_match_state(machine.next_eoi_state(StateID::new_unchecked(state as usize)))
            }
            Self::Text(_) => state > 0,
            Self::Int(max) => {
                let (digits, order) = (state / 3, state % 3);
                digits > 0 && ((digits as usize) < max.len() || order != ABOVE)
            }
            Self::Words(nodes) => nodes.get(state as usize).is_some_and(|node| node.is_word),
        }
    }

    /// Bytes of the same kind lead to the same states.
    fn kind(&self, byte: u8) -> u8 {
        match self {
            Self::Pattern(machine, _) => machine.byte_classes().get(byte),
            Self::Text(_) => 0,
            Self::Int(_) => {
                if byte.is_ascii_digit() {
                    byte
                } else {
                    0
                }
            }
            // 0xff is no byte of UTF-8.
            Self::Words(nodes) => {
                if nodes.iter().any(|n| n.next.contains_key(&byte)) {
                    byte
                } else {
                    0xff
                }
            }
        }
    }
}

/// The digits so far are below, as, or above the first digits of the limit.
const AS: u32 = 0;
const BELOW: u32 = 1;
const ABOVE: u32 = 2;
/// `0`, after which no digit may follow, has the state of a first digit with an order that none has.
const ZERO: u32 = u32::MAX - 3;

/// One more digit. The state is three times the number of digits, and their order against the limit's.
fn next_digit(max: &[u8], state: u32, byte: u8) -> u32 {
    let (digits, order) = (state / 3, state % 3);
    if !byte.is_ascii_digit() || state == ZERO {
        return DEAD;
    }
    let Some(limit) = max.get(digits as usize) else { return DEAD };
    if digits == 0 && byte == b'0' {
        return ZERO;
    }
    let order = match (order, byte.cmp(limit)) {
        (AS, std::cmp::Ordering::Equal) => AS,
        (AS, std::cmp::Ordering::Less) => BELOW,
        (AS, std::cmp::Ordering::Greater) => ABOVE,
        (decided, _) => decided,
    };
    (digits + 1) * 3 + order
}

/// UTF-8 (RFC 3629) without control characters (U+0000 to U+001F, U+007F to U+009F). The states are what must follow.
fn next_plain(state: u32, byte: u8) -> u32 {
    match (state, byte) {
        (BOUNDARY, 0x20..=0x7e) => BOUNDARY,
        (BOUNDARY, 0xc2) => 4,
        (BOUNDARY, 0xc3..=0xdf) => 1,
        (BOUNDARY, 0xe0) => 5,
        (BOUNDARY, 0xe1..=0xec | 0xee..=0xef) => 2,
        (BOUNDARY, 0xed) => 6,
        (BOUNDARY, 0xf0) => 7,
        (BOUNDARY, 0xf1..=0xf3) => 3,
        (BOUNDARY, 0xf4) => 8,
        (1, 0x80..=0xbf) | (4, 0xa0..=0xbf) => BOUNDARY,
        (2, 0x80..=0xbf) | (5, 0xa0..=0xbf) | (6, 0x80..=0x9f) => 1,
        (3, 0x80..=0xbf) | (7, 0x90..=0xbf) | (8, 0x80..=0x8f) => 2,
        _ => DEAD,
    }
}

/// Bytes that [`next_plain`] treats alike have the same kind.
fn plain_kind(byte: u8) -> u8 {
    match byte {
        0x20..=0x7e => 1,
        0x80..=0x8f => 2,
        0x90..=0x9f => 3,
        0xa0..=0xbf => 4,
        0xc2 | 0xe0 | 0xed | 0xf0 | 0xf4 => byte,
        0xc3..=0xdf => 5,
        0xe1..=0xef => 6,
        0xf1..=0xf3 => 7,
        _ => 0,
    }
}

/// Letters, digits, `-` and `_`: what stands anywhere in a URL as it is. Tried first, because such values read best.
const SIMPLE: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

fn simple() -> Vec<u8> {
    SIMPLE.to_vec()
}

fn printable() -> Vec<u8> {
    let rest = (0x20..=0x7e).filter(|b| !SIMPLE.contains(b) && *b != b' ');
    SIMPLE.iter().copied().chain(rest).chain([b' ']).collect()
}

fn everything() -> Vec<u8> {
    printable().into_iter().chain(0x80..=0xff).collect()
}

/// Looks for values that are in all of `inside` and in none of `outside`.
pub(super) fn search(inside: &[&Language], outside: &[&Language]) -> Search {
    // What reads best first. Only the last alphabet can prove that there is nothing.
    for alphabet in [simple(), printable()] {
        if let found @ Search::Words(_) = search_with(&alphabet, inside, outside) {
            return found;
        }
    }
    search_with(&everything(), inside, outside)
}

/// A combination of states, and how it was reached.
struct Visit {
    states: Box<[u32]>,
    plain: u32,
    from: Option<usize>,
    byte: u8,
    length: usize,
}

/// Breadth first, so that the first value is the shortest; in the order of the alphabet, so that it is the most readable
/// of the shortest.
fn search_with(alphabet: &[u8], inside: &[&Language], outside: &[&Language]) -> Search {
    let all: Vec<&Language> = inside.iter().chain(outside).copied().collect();
    let alphabet = representatives(alphabet, &all);
    let start: Box<[u32]> = all.iter().map(|language| language.start()).collect();
    let mut seen: HashSet<(Box<[u32]>, u32)> = HashSet::from([(start.clone(), BOUNDARY)]);
    let mut visits = vec![Visit { states: start, plain: BOUNDARY, from: None, byte: 0, length: 0 }];
    let mut todo = VecDeque::from([0usize]);
    let mut words = Vec::new();
    let mut most = MAX_STATES;
    while let Some(at) = todo.pop_front() {
        let Some(visit) = visits.get(at) else { break };
        if is_found(visit, inside, outside) {
            if words.is_empty() {
                most = most.min(visits.len() + MORE_STATES);
            }
            words.extend(word(&visits, at));
            if words.len() >= MAX_WORDS {
                break;
            }
        }
        if visit.length >= MAX_TEXT_BYTES {
            continue;
        }
        let mut fresh = Vec::new();
        for byte in &alphabet {
            let plain = next_plain(visit.plain, *byte);
            if plain == DEAD {
                continue;
            }
            let states: Box<[u32]> = all.iter().zip(&visit.states).map(|(l, s)| l.next(*s, *byte)).collect();
            let is_hopeless = states.iter().take(inside.len()).any(|s| *s == DEAD);
            if !is_hopeless && seen.insert((states.clone(), plain)) {
                fresh.push(Visit { states, plain, from: Some(at), byte: *byte, length: visit.length + 1 });
            }
        }
        for visit in fresh {
            todo.push_back(visits.len());
            visits.push(visit);
        }
        if visits.len() > most {
            if words.is_empty() {
                return Search::Undecided(format!("more than {MAX_STATES} combinations of states"));
            }
            break;
        }
    }
    if words.is_empty() { Search::None } else { Search::Words(words) }
}

fn is_found(visit: &Visit, inside: &[&Language], outside: &[&Language]) -> bool {
    let (ins, outs) = visit.states.split_at(inside.len().min(visit.states.len()));
    visit.plain == BOUNDARY
        && inside.iter().zip(ins).all(|(l, s)| l.accepts(*s))
        && !outside.iter().zip(outs).any(|(l, s)| l.accepts(*s))
}

/// One byte of each kind, the first of the alphabet.
fn representatives(alphabet: &[u8], languages: &[&Language]) -> Vec<u8> {
    let mut kinds = HashSet::new();
    let kind = |byte: u8| {
        let mut kind: Vec<u8> = languages.iter().map(|l| l.kind(byte)).collect();
        kind.push(plain_kind(byte));
        kind
    };
    alphabet.iter().copied().filter(|byte| kinds.insert(kind(*byte))).collect()
}

fn word(visits: &[Visit], mut at: usize) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some(visit) = visits.get(at) {
        let Some(from) = visit.from else { break };
        bytes.push(visit.byte);
        at = from;
    }
    bytes.reverse();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
