//! Recorded answers of the real GitHub from the npm package `@octokit/fixtures` (MIT).
//!
//! `scripts/octokit-fixtures.sh DIR` installs the version that `tests/octokit/package-lock.json` pins into a folder
//! outside the checkout; this module finds it there and makes its scenarios [`Exchange`]s.

use crate::recordings::{Exchange, RecordingError, installed, is_of_connection, not_installed};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use url::Url;

/// Names the folder that `scripts/octokit-fixtures.sh` filled, when it isn't the usual one.
pub const DIR_VARIABLE: &str = "PORTHOLE_OCTOKIT";

const PACKAGE: &str = "node_modules/@octokit/fixtures";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixture {
    scope: String,
    method: String,
    path: String,
    #[serde(default)]
    body: Value,
    status: u16,
    response: Value,
    #[serde(default)]
    response_is_binary: bool,
    #[serde(default)]
    headers: Map<String, Value>,
}

/// The installed package; nothing where it is absent, and the test that asked says so on the terminal.
///
/// # Panics
/// When it is absent and `CI` is set: there, a test that quietly skips would be a test that nobody has.
#[must_use]
pub fn package() -> Option<PathBuf> {
    let found = locate();
    if found.is_none() {
        let why =
            format!("@octokit/fixtures isn't installed; `./just octokit` does it, {DIR_VARIABLE} names another folder");
        not_installed(&why);
    }
    found
}

fn locate() -> Option<PathBuf> {
    let folder = installed(DIR_VARIABLE, "octokit")?;
    Some(folder.join(PACKAGE)).filter(|package| package.is_dir())
}

/// The names of the scenarios.
///
/// # Errors
/// When the package's folder can't be read.
pub fn scenarios(package: &Path) -> Result<Vec<String>, RecordingError> {
    let folder = package.join("scenarios/api.github.com");
    let read = |source| RecordingError::Read { path: folder.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(read)? {
        names.push(entry.map_err(read)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The exchanges of a scenario, in the order of their recording.
///
/// # Errors
/// When the scenario can't be read.
pub fn scenario(package: &Path, name: &str) -> Result<Vec<Exchange>, RecordingError> {
    let path = package.join("scenarios/api.github.com").join(name).join("normalized-fixture.json");
    let text = fs::read(&path).map_err(|source| RecordingError::Read { path: path.clone(), source })?;
    let fixtures: Vec<Fixture> = serde_json::from_slice(&text).map_err(|source| RecordingError::Format {
        path: path.clone(),
        format: "list of recorded fixtures",
        source,
    })?;
    fixtures.into_iter().map(|fixture| exchange(fixture, &path)).collect()
}

fn exchange(fixture: Fixture, path: &Path) -> Result<Exchange, RecordingError> {
    let refuse = || RecordingError::Url { path: path.to_owned(), url: fixture.scope.clone() };
    let scope = Url::parse(&fixture.scope).map_err(|_| refuse())?;
    let url = scope.join(&fixture.path).map_err(|_| refuse())?;
    let body = match &fixture.response {
        Value::String(text) if fixture.response_is_binary => binary(text),
        other => bytes(other),
    };
    let headers = fixture.headers.iter().map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            // More than one header of that name.
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        (name.to_ascii_lowercase(), value)
    });
    Ok(Exchange {
        origin: url.origin().ascii_serialization(),
        method: fixture.method.to_ascii_uppercase(),
        path: url.path().to_owned(),
        query: url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        request: bytes(&fixture.body),
        status: fixture.status,
        headers: headers.filter(|(name, _)| !is_of_connection(name)).collect(),
        body,
    })
}

/// A body as it was sent: a text is itself, anything else is JSON.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

/// Older recordings are hex, newer ones base64.
fn binary(text: &str) -> Vec<u8> {
    hex::decode(text).or_else(|_| BASE64_STANDARD.decode(text)).unwrap_or_else(|_| text.as_bytes().to_vec())
}

#[cfg(test)]
#[path = "octokit_tests.rs"]
mod tests;
