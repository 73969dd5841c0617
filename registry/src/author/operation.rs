//! `[[operations]]`: a request shape.

use super::field::parse_rule;
use super::table::{Entry, Table};
use porthole_model::id::{OperationId, Slot};
use porthole_model::manifest::{Argument, Body, BodyFormat, EmptyOn, Operation, Pages, Sign};
use std::collections::BTreeMap;

pub(super) fn read(table: &mut Table<'_>, _: usize) -> Option<Operation> {
    let id: Option<OperationId> = table.named("id");
    if let Some(id) = &id {
        table.rename(&format!("operation `{id}`"));
    }
    let request = table.text("request");
    let path = table.named_values("path", argument);
    let query = table.named_values("query", argument);
    let headers = headers(table);
    let body = body(table);
    let auth = table.optional_parsed::<Slot>("auth");
    let pages = pages(table);
    let empty_on = empty_on(table);
    let response_headers = table.texts("response-headers");
    let read_by_post = table.optional_text("read-by-post");
    let permission = table.optional_text("permission");
    let revalidate = table.flag("revalidate");
    let sign = table.inner("sign").and_then(|t| sign(&t));
    let action = table.optional_text("action");
    table.finish();
    Some(Operation {
        id: id?,
        request: request?,
        path,
        query,
        headers,
        body,
        auth,
        pages,
        empty_on,
        response_headers,
        read_by_post,
        permission,
        revalidate,
        sign,
        action,
    })
}

fn sign(table: &Table<'_>) -> Option<Sign> {
    let (service, region) = (table.text("service"), table.text("region"));
    table.finish();
    Some(Sign { service: service?, region: region? })
}

/// Numbers, and texts with a code: `[404, "400 NoSuchThing"]`.
fn empty_on(table: &Table<'_>) -> Vec<EmptyOn> {
    table.numbers_or_texts("empty-on", |status| EmptyOn { status, code: None })
}

/// A rule, or `{ rule, required, list }`.
pub(super) fn argument(entry: &Entry<'_, '_>) -> Option<Argument> {
    let parsed = |text: &str| match parse_rule(text) {
        Ok(rule) => Some(rule),
        Err((message, hint)) => {
            entry.refuse(message, hint);
            None
        }
    };
    if let Some(text) = entry.as_text() {
        return Some(Argument { rule: parsed(text)?, required: false, list: false });
    }
    let Some(table) = entry.as_table() else {
        entry.refuse("must be a rule or `{ rule = …, required = …, list = … }`", "rules are texts, such as 'int<=100'");
        return None;
    };
    let rule = table.text("rule");
    let (required, list) = (table.flag("required"), table.flag("list"));
    table.finish();
    Some(Argument { rule: parsed(&rule?)?, required, list })
}

/// Header names don't differ by case; the canonical manifest has one spelling.
fn headers(table: &Table<'_>) -> BTreeMap<String, String> {
    let written = table.named_values("headers", header);
    let count = written.len();
    let headers: BTreeMap<_, _> = written.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    if headers.len() < count {
        table.refuse(Some("headers"), "names a header twice, in different case", "remove one of them");
    }
    headers
}

fn header(entry: &Entry<'_, '_>) -> Option<String> {
    let text = entry.as_text();
    if text.is_none() {
        entry.refuse("must be a text", "a header has one fixed value");
    }
    text.map(str::to_owned)
}

fn body(table: &Table<'_>) -> Option<Body> {
    let bodies: Vec<_> = ["json", "form", "graphql"].into_iter().filter(|key| table.has(key)).collect();
    if let [_, second, ..] = bodies.as_slice() {
        table.refuse(Some(second), "is a second body", "a request has one of `json`, `form` and `graphql`");
    }
    let json = table.named_values("json", argument);
    let form = table.named_values("form", argument);
    // TOML keeps the line ends of the file. They would be part of the fixed document, and differ by the author's editor.
    let document = table.optional_text("graphql").map(|text| text.replace("\r\n", "\n"));
    let variables: BTreeMap<_, _> = table.named_values("variables", argument);
    if table.has("variables") && !table.has("graphql") {
        table.refuse(Some("variables"), "belongs to a `graphql` document, and there is none", "use `json` or `form`");
    }
    let content_type = table.optional_text("content-type");
    if content_type.is_some() && !table.has("json") {
        table.refuse(Some("content-type"), "belongs to a `json` body, and there is none", "remove it");
    }
    match *bodies.first()? {
        "json" => Some(Body::Json { arguments: json, content_type }),
        "form" => Some(Body::Form { arguments: form }),
        _ => Some(Body::Graphql { document: document?, variables }),
    }
}

fn pages(table: &Table<'_>) -> Pages {
    if table.is_text("pages") || !table.has("pages") {
        return match table.optional_text("pages").as_deref() {
            None | Some("none") => Pages::None,
            Some("link") => Pages::Link,
            Some(other) => {
                let hint = "write \"link\", or { cursor = \"/pointer\", argument = \"name\" }";
                table.refuse(Some("pages"), format!("`{other}` is no way to page"), hint);
                Pages::None
            }
        };
    }
    let Some(inner) = table.inner("pages") else { return Pages::None };
    let (cursor, more, argument) = (inner.text("cursor"), inner.optional_text("more"), inner.text("argument"));
    let body = match inner.optional_text("body").as_deref() {
        None | Some("json") => BodyFormat::Json,
        Some("xml") => BodyFormat::Xml,
        Some(other) => {
            inner.refuse(Some("body"), format!("`{other}` is no format of a body"), "write \"json\" or \"xml\"");
            BodyFormat::Json
        }
    };
    inner.finish();
    match (cursor, argument) {
        (Some(cursor), Some(argument)) => Pages::Cursor { cursor, more, argument, body },
        // A finding says which one is missing.
        _ => Pages::None,
    }
}
