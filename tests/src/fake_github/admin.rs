//! `/_fake/...`: how a test in another process, or a person with curl, changes the fake and asks what it saw.

use super::faults::Fault;
use super::overlay::Mutation;
use super::reply::Reply;
use super::server::Shared;
use axum::http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// One rule, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    Many(Vec<serde_json::Value>),
    One(serde_json::Value),
}

pub(super) fn answer(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Reply {
    match (method.as_str(), path) {
        ("GET", "stats") => encode(&shared.stats()),
        ("DELETE", "stats") => {
            shared.lock().stats.reset();
            Reply::json(204, "")
        }
        ("GET", "expected") => {
            let expected = shared.lock().world.expected();
            encode(&expected)
        }
        ("GET", "counts") => {
            let expected = shared.lock().world.expected();
            encode(&json!({
                "entities": expected.entity_counts(), "relationships": expected.relationship_counts(),
            }))
        }
        ("POST", "faults") => faults(shared, body).unwrap_or_else(|refused| refused),
        ("DELETE", "faults") => {
            shared.lock().faults.clear();
            Reply::json(204, "")
        }
        ("POST", "mutate") => mutate(shared, body).unwrap_or_else(|refused| refused),
        _ => Reply::error(404, "no such path under /_fake/: stats, counts, expected, faults, mutate"),
    }
}

fn faults(shared: &Shared, body: &[u8]) -> Result<Reply, Reply> {
    let rules = match decode(body)? {
        Rules::Many(rules) => rules,
        Rules::One(rule) => vec![rule],
    };
    // All are read before the first is added.
    let rules: Result<Vec<Fault>, _> = rules.into_iter().map(serde_json::from_value).collect();
    let rules = rules.map_err(|error| refuse(&error))?;
    let count = rules.len();
    let mut state = shared.lock();
    for rule in rules {
        state.faults.add(rule).map_err(|error| refuse(&error))?;
    }
    Ok(encode(&json!({"added": count})))
}

fn mutate(shared: &Shared, body: &[u8]) -> Result<Reply, Reply> {
    let mutation: Mutation = decode(body)?;
    let mutated = shared.lock().world.mutate(&mutation).map_err(|error| refuse(&error))?;
    Ok(encode(&mutated))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|error| refuse(&error))
}

fn encode<T: serde::Serialize>(value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => Reply::json(200, body),
        Err(error) => Reply::error(500, &error.to_string()),
    }
}

fn refuse(error: &dyn std::error::Error) -> Reply {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Reply::error(422, &text)
}
