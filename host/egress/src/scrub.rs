//! Secrets that providers put into replies: blanked before the guest sees the body, whatever the guest does.
//!
//! Two kinds of rules. The manifest names places in the replies of its operations; and the host knows the names under
//! which providers hand out secrets in any reply ([`keys::KEYS`]). JSON is looked into, and XML. What isn't blanked stays as
//! it is, byte for byte.
//!
//! Most bodies hold nothing to blank, so the order is: look for the names, in one pass; look at their values; and only
//! when there is something to blank make sure that the body is JSON. A list of repositories with an empty
//! `temp_clone_token` in each of them costs the one pass.

mod keys;
mod walk;
mod xml;

use porthole_model::id::OperationId;
use porthole_model::manifest::ScrubRule;
use std::collections::HashMap;
use std::ops::Range;
use walk::Place;

/// What a blanked value is replaced with: a JSON string, so that the body stays JSON.
const SCRUBBED: &[u8] = br#""[scrubbed]""#;
/// What the content of an element is replaced with.
const SCRUBBED_TEXT: &[u8] = b"[scrubbed]";

/// What is blanked in the replies of one module's operations.
#[derive(Debug)]
pub struct ScrubRules {
    paths: HashMap<OperationId, Vec<Path>>,
    names: keys::Names,
}

/// A path of a rule, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    segments: Vec<Segment>,
    /// A piece of text that a body has to have for the path to match; what saves parsing the others.
    needs: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Any,
    Named(String),
}

impl ScrubRules {
    /// The rules of a manifest, and the host's.
    #[must_use]
    pub fn new(rules: &[ScrubRule]) -> Self {
        let mut paths: HashMap<OperationId, Vec<Path>> = HashMap::new();
        for rule in rules {
            for operation in &rule.operations {
                paths.entry(operation.clone()).or_default().push(Path::parse(&rule.path));
            }
        }
        Self { paths, names: keys::Names::new() }
    }

    /// Blanks what the rules name in a reply of this operation, and counts it. A body that is neither JSON nor XML is handed
    /// back as it came.
    #[must_use]
    pub fn apply(&self, operation: &OperationId, body: Vec<u8>) -> (Vec<u8>, u32) {
        if xml::is_xml(&body) {
            let paths: Vec<&Path> = self.paths.get(operation).into_iter().flatten().collect();
            let blanked = xml::find(&body, &self.names, &paths);
            return replace(body, blanked, SCRUBBED_TEXT);
        }
        let mut blanked = self.names.values(&body);
        let paths: Vec<&Path> =
            self.paths.get(operation).into_iter().flatten().filter(|path| path.may_match(&body)).collect();
        if blanked.is_empty() && paths.is_empty() || !walk::is_json(&body) {
            return (body, 0);
        }
        if let Some(depth) = paths.iter().map(|path| path.segments.len()).max() {
            let is_named = |place: &Place<'_>| place.holds_something() && paths.iter().any(|path| path.matches(place));
            blanked.extend(walk::find(&body, depth, is_named));
        }
        replace(body, blanked, SCRUBBED)
    }
}

/// Replaces the values, and counts them. Values may be named twice, and lie inside each other.
fn replace(body: Vec<u8>, mut values: Vec<Range<usize>>, by: &[u8]) -> (Vec<u8>, u32) {
    values.sort_unstable_by_key(|value| (value.start, std::cmp::Reverse(value.end)));
    let mut clean = Vec::with_capacity(body.len());
    let (mut done, mut count) = (0, 0);
    for value in values {
        if value.start < done {
            continue;
        }
        clean.extend_from_slice(body.get(done..value.start).unwrap_or_default());
        clean.extend_from_slice(by);
        done = value.end;
        count += 1;
    }
    if count == 0 {
        return (body, 0);
    }
    clean.extend_from_slice(body.get(done..).unwrap_or_default());
    (clean, count)
}

impl Path {
    /// Takes a path apart. One without its leading `/` is read as if it had one: a slip of an author must not let a
    /// secret through.
    fn parse(text: &str) -> Self {
        let inner = text.strip_prefix('/').unwrap_or(text);
        let segments: Vec<Segment> = if text.is_empty() {
            Vec::new()
        } else {
            inner
                .split('/')
                .map(|segment| match segment {
                    "*" => Segment::Any,
                    name => Segment::Named(name.replace("~1", "/").replace("~0", "~")),
                })
                .collect()
        };
        // A number may be a place in a list, and a name with other characters may be spelled with escapes.
        let plain = |name: &str| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
                && name.bytes().any(|b| !b.is_ascii_digit())
        };
        let needs = segments.iter().rev().find_map(|segment| match segment {
            Segment::Named(name) if plain(name) => Some(name.clone()),
            _ => None,
        });
        Self { segments, needs }
    }

    fn may_match(&self, body: &[u8]) -> bool {
        self.needs.as_ref().is_none_or(|name| memchr::memmem::find(body, name.as_bytes()).is_some())
    }

    fn matches(&self, place: &Place<'_>) -> bool {
        place.depth() == self.segments.len()
            && self.segments.iter().enumerate().rev().all(|(at, segment)| match segment {
                Segment::Any => true,
                Segment::Named(name) => place.is_named(at, name),
            })
    }
}

#[cfg(test)]
mod tests;
