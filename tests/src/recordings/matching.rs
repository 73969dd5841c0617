//! Which recorded exchange answers a request. Pure: values in, values out.
//!
//! REST goes by method, path and query. GraphQL can't go by the document, because ours isn't the recorder's: it goes by
//! the lists that a document walks (`organization/membersWithRole`) and by the text values of the variables, and the
//! recorded answer is cut to the fields that were asked for.

use super::Exchange;
use crate::fake_github::document::{Document, Field};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};

/// A request that wants an answer.
pub(super) struct Wanted<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: &'a [u8],
}

/// What makes two GraphQL requests the same.
#[derive(Debug, PartialEq, Eq)]
struct Signature {
    lists: BTreeSet<String>,
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct Body {
    query: String,
    #[serde(default, rename = "operationName")]
    operation: Option<String>,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// The exchanges that answer a request, in the order of their recording. Query arguments named in `ignored` don't count.
pub(super) fn candidates(exchanges: &[Exchange], wanted: &Wanted<'_>, ignored: &HashSet<String>) -> Vec<usize> {
    let graphql = read(wanted.body).filter(|_| wanted.method == "POST" && is_graphql(wanted.path));
    let signature = graphql.as_ref().map(|(document, variables)| signature(document, variables));
    let query = normal(&wanted.query, ignored);
    let matches = |exchange: &Exchange| match &signature {
        Some(wanted) => {
            exchange.method == "POST"
                && is_graphql(&exchange.path)
                && read(&exchange.request)
                    .is_some_and(|(document, variables)| self::signature(&document, &variables) == *wanted)
        }
        None => {
            exchange.method == wanted.method
                && same_path(&exchange.path, wanted.path)
                && normal(&exchange.query, ignored) == query
        }
    };
    exchanges.iter().enumerate().filter(|(_, exchange)| matches(exchange)).map(|(index, _)| index).collect()
}

/// Cuts the answer of a GraphQL request to the fields that were asked for now. What was never recorded is null.
pub(super) fn shape(wanted: &Wanted<'_>, exchange: &Exchange) -> Option<Vec<u8>> {
    if !is_graphql(wanted.path) {
        return None;
    }
    let (document, _) = read(wanted.body)?;
    let mut answer: Value = serde_json::from_slice(&exchange.body).ok()?;
    let data = answer.get_mut("data")?;
    *data = project(data, &document.fields);
    serde_json::to_vec(&answer).ok()
}

fn project(value: &Value, fields: &[Field]) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| project(item, fields)).collect(),
        Value::Object(object) if !fields.is_empty() => fields
            .iter()
            .map(|field| {
                let recorded = object.get(&field.name).or_else(|| object.get(&field.key));
                (field.key.clone(), recorded.map_or(Value::Null, |value| project(value, &field.fields)))
            })
            .collect::<Map<_, _>>()
            .into(),
        plain => plain.clone(),
    }
}

fn is_graphql(path: &str) -> bool {
    path == "/graphql" || path == "/api/graphql"
}

fn read(body: &[u8]) -> Option<(Document, Map<String, Value>)> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let variables = body.variables.unwrap_or_default();
    let document = Document::parse(&body.query, body.operation.as_deref(), &variables).ok()?;
    Some((document, variables))
}

fn signature(document: &Document, variables: &Map<String, Value>) -> Signature {
    // The budget is asked along with anything.
    let roots = document.fields.iter().filter(|field| field.name != "rateLimit");
    let lists = roots
        .flat_map(|root| {
            let below = root.fields.iter().filter(|field| !field.fields.is_empty());
            below.map(move |field| format!("{}/{}", root.name, field.name)).chain([root.name.clone()])
        })
        .collect();
    let mut texts = Vec::new();
    for value in variables.values() {
        collect_texts(value, &mut texts);
    }
    texts.sort();
    Signature { lists, texts }
}

/// Logins, ids and cursors, but not page sizes. GitHub's logins don't care for case, so neither does this.
fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.to_lowercase()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(object) => object.values().for_each(|item| collect_texts(item, texts)),
        _ => {}
    }
}

fn same_path(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

fn normal(query: &[(String, String)], ignored: &HashSet<String>) -> Vec<(String, String)> {
    let mut query: Vec<_> = query.iter().filter(|(name, _)| !ignored.contains(name)).cloned().collect();
    query.sort();
    query
}
