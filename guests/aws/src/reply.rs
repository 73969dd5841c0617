//! Replies as one tree, whatever AWS speaks: JSON as it is, and XML as JSON would have it. An element that has elements is an
//! object, one that has none is a text, and elements of the same name are a list. Attributes and namespaces say nothing that
//! is read here.

use porthole_sdk::{Response, StepError};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// How deep elements may be nested. The deepest reply has ten levels; what is deeper was not made for us.
const MAX_DEPTH: usize = 64;
/// How much of an odd body is shown, in characters.
const SHOWN_CHARS: usize = 80;

/// Reads the body of a reply. A reply that says "nothing here" ([`Response::empty`]) is null.
///
/// # Errors
/// [`StepError::Unexpected`] when the body is neither JSON nor XML, such as the page of a proxy in between.
pub fn read(response: &Response) -> Result<Value, StepError> {
    if response.empty {
        return Ok(Value::Null);
    }
    parse(&response.body)
        .map_err(|e| StepError::Unexpected(format!("`{}`: the reply isn't what it should be: {e}", response.operation)))
}

/// Reads a body. The name of the outermost element is left out: it says no more than the operation.
///
/// # Errors
/// What is wrong with it, and how it begins.
pub fn parse(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let odd = |e: String| format!("{e}; it begins with `{}`", text.chars().take(SHOWN_CHARS).collect::<String>());
    match text.bytes().next() {
        None => Ok(Value::Null),
        Some(b'{' | b'[') => serde_json::from_str(text).map_err(|e| odd(e.to_string())),
        Some(b'<') => xml(text).map_err(odd),
        Some(_) => Err(odd("neither JSON nor XML".to_owned())),
    }
}

/// An element that has begun.
#[derive(Default)]
struct Open {
    name: String,
    fields: Map<String, Value>,
    text: String,
}

impl Open {
    fn value(self) -> Value {
        if self.fields.is_empty() { Value::String(self.text.trim().to_owned()) } else { Value::Object(self.fields) }
    }

    /// A value of an element is never a list by itself, so a list that is there is one of several elements.
    fn add(&mut self, name: String, value: Value) {
        match self.fields.get_mut(&name) {
            None => drop(self.fields.insert(name, value)),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}

fn xml(text: &str) -> Result<Value, String> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Open::default()];
    loop {
        let event = reader.read_event().map_err(|e| e.to_string())?;
        let Some(top) = open.last_mut() else { return Err("an end without a beginning".to_owned()) };
        match event {
            Event::Start(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                if open.len() > MAX_DEPTH {
                    return Err(format!("elements are nested more than {MAX_DEPTH} deep"));
                }
                open.push(Open { name, ..Open::default() });
            }
            Event::Empty(tag) => top.add(tag.local_name().as_ref().to_owned(), Value::String(String::new())),
            Event::End(_) => {
                // The reader has checked that it ends the element that began last.
                let done = open.pop().unwrap_or_default();
                let Some(parent) = open.last_mut() else { return Err("an end without a beginning".to_owned()) };
                parent.add(done.name.clone(), done.value());
            }
            Event::Text(part) => top.text.push_str(&part.into_inner()),
            Event::CData(part) => top.text.push_str(&part.into_inner()),
            Event::GeneralRef(part) => top.text.push(character(&part)?),
            Event::DocType(_) => return Err("a document type: no reply of AWS has one".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(document), true) => match document.fields.into_iter().next() {
            None => Err("no element".to_owned()),
            // Whoever stands in between may send one with a success; it would pass for a list without items.
            Some((name, _)) if name.eq_ignore_ascii_case("html") => Err("a page for people".to_owned()),
            Some((_, value)) => Ok(value),
        },
        _ => Err("it ends within an element".to_owned()),
    }
}

/// The five entities that XML knows, and characters by number. There are no others without a document type.
fn character(part: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Some(c) = part.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(c);
    }
    match part.borrow().into_inner().as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => Err(format!("the entity `&{other};`, which nobody declared")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_objects_texts_and_lists() {
        let body = br#"<?xml version="1.0"?>
            <R xmlns="https://iam.amazonaws.com/doc/"><L><member><A>1 &lt; 2 &#x41;</A><B/></member><member><A> x </A></member></L>
              <One><member>a</member></One><None/><C><![CDATA[<raw>]]></C></R>"#;
        assert_eq!(
            parse(body).unwrap(),
            json!({
                "L": {"member": [{"A": "1 < 2 A", "B": ""}, {"A": "x"}]},
                "One": {"member": "a"}, "None": "", "C": "<raw>",
            })
        );
        assert_eq!(parse(b"<LocationConstraint>eu-west-1</LocationConstraint>").unwrap(), json!("eu-west-1"));
        assert_eq!(parse(b" {\"a\": [1]} ").unwrap(), json!({"a": [1]}));
        assert_eq!(parse(b"").unwrap(), Value::Null);
    }

    #[test]
    fn anything_else_is_an_error_that_shows_how_it_begins() {
        let deep = "<a>".repeat(100);
        let bodies = [
            "<html><body>Bad gateway<br></body></html>",
            "<HTML><body>busy</body></HTML>",
            "Service unavailable",
            "<a><b></a>",
            "<a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<a>&x;</a>",
            "{\"a\":",
            deep.as_str(),
        ];
        for body in bodies {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(&body.chars().take(5).collect::<String>()), "{error}");
        }
        assert!(parse(&[0xff, 0xfe]).is_err());
    }
}
