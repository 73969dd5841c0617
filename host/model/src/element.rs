//! One text out of an XML body, found by the names of the elements on the way, without building a tree of a body that may
//! have megabytes.

use crate::pointer::Found;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// How deep elements may nest. Providers' replies have a dozen levels.
const MAX_DEPTH: usize = 64;

/// Looks up `/Root/Child/Name`, by local names. Of several elements that fit, the first counts. None when the body is no
/// well-formed XML, or has another root: then it is another answer, and says nothing of what is looked for.
pub(crate) fn find(body: &[u8], path: &str) -> Option<Found> {
    let names: Vec<_> = path.split('/').skip(1).collect();
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    reader.config_mut().expand_empty_elements = true;
    // How many elements are open, and how many of the outermost of these are on the way.
    let (mut depth, mut on_way) = (0_usize, 0_usize);
    let (mut text, mut found) = (String::new(), None);
    let mut root = false;
    loop {
        let here = on_way == names.len() && depth == on_way && found.is_none();
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if here {
                    found = Some(Found::Nested);
                }
                if depth == on_way && names.get(depth) == Some(&start.local_name().into_inner()) {
                    on_way += 1;
                    text.clear();
                }
                if depth == 0 && on_way == 0 {
                    return None;
                }
                depth += 1;
                root = true;
                if depth > MAX_DEPTH {
                    return None;
                }
            }
            Event::End(_) => {
                if here {
                    found = Some(Found::Text(text.trim().to_owned()));
                }
                depth = depth.checked_sub(1)?;
                on_way = on_way.min(depth);
            }
            Event::Text(piece) if here => text.push_str(&piece.xml10_content()),
            Event::CData(piece) if here => text.push_str(&piece.xml10_content()),
            Event::GeneralRef(reference) if here => text.push_str(&resolve(&reference)?),
            // No entity of a document's own is ever expanded.
            Event::DocType(_) => return None,
            Event::Eof => return (depth == 0 && root).then(|| found.unwrap_or(Found::Absent)),
            _ => {}
        }
    }
}

/// A character reference, or one of the five entities that XML predefines.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<String> {
    if let Some(c) = reference.resolve_char_ref().ok()? {
        return Some(c.to_string());
    }
    quick_xml::escape::resolve_predefined_entity(&reference.xml10_content()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn finds_the_text_at_the_end_of_the_way() {
        let body = br#"<?xml version="1.0"?><A xmlns="urn:x"><B><C>wrong</C></B><R><C>x&amp;y&#65;</C><T>true</T><E/>
            <L><m>1</m><m>2</m></L></R><C>outside</C></A>"#;
        let text = |t: &str| Some(Found::Text(t.to_owned()));
        for (path, found) in [
            ("/A/R/C", text("x&yA")),
            ("/A/R/T", text("true")),
            ("/A/R/E", text("")),
            ("/A/R/L", Some(Found::Nested)),
            ("/A/R/L/m", text("1")),
            ("/A/C", text("outside")),
            ("/A/R/X", Some(Found::Absent)),
            ("/R/C", None),
            ("/A/R/C/D", Some(Found::Absent)),
        ] {
            assert_eq!(find(body, path), found, "{path}");
        }
    }

    #[test]
    fn what_is_no_xml_is_said_to_be_none() {
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        for body in ["", "{}", "<a>", "<a></b>", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<a>&x;</a>", &deep] {
            assert_eq!(find(body.as_bytes(), "/a"), None, "{body}");
        }
    }
}
