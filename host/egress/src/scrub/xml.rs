//! The same for XML: the text of elements. Names count as they do in JSON; a rule's path is the names of the elements from
//! the root, with `*` for any of them.

use super::keys::Names;
use super::{Path, Segment};
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use std::ops::Range;

/// Does a body look like XML? The first character says so; everything else about it is found out by reading it.
pub(super) fn is_xml(body: &[u8]) -> bool {
    body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<')
}

/// Where something stands that is to be blanked: what is inside elements that a path names, and texts in elements of the
/// known names. Reading ends where the body is no XML; the answer is what was found until then.
pub(super) fn find(body: &[u8], known: &Names, paths: &[&Path]) -> Vec<Range<usize>> {
    let (mut names, mut found) = (Vec::new(), Vec::new());
    let Ok(text) = std::str::from_utf8(body) else { return found };
    let mut reader = Reader::from_str(text);
    // Where the content of the innermost open element begins, and whether it holds other elements.
    let mut open: Vec<(usize, bool)> = Vec::new();
    loop {
        let before = position(&reader);
        let Ok(event) = reader.read_event() else { return found };
        match event {
            Event::Start(start) => {
                if let Some((_, holds_elements)) = open.last_mut() {
                    *holds_elements = true;
                }
                names.push(start.local_name().into_inner().to_owned());
                open.push((position(&reader), false));
            }
            Event::Empty(_) => {
                if let Some((_, holds_elements)) = open.last_mut() {
                    *holds_elements = true;
                }
            }
            Event::End(_) => {
                let (Some((start, holds_elements)), Some(name)) = (open.last().copied(), names.last()) else {
                    return found;
                };
                let is_named = !holds_elements && known.has(name);
                if before > start && (is_named || paths.iter().any(|path| leads_to(path, &names))) {
                    found.push(start..before);
                }
                open.pop();
                names.pop();
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn leads_to(path: &Path, names: &[String]) -> bool {
    path.segments.len() == names.len()
        && path.segments.iter().zip(names).all(|(segment, name)| match segment {
            Segment::Any => true,
            Segment::Named(wanted) => wanted == name,
        })
}
