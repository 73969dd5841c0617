//! Recorded traffic of real providers, served again: what a guest gets to read is then what a provider really sent.
//!
//! [`har`] and [`crate::octokit`] read recordings into [`Exchange`]s, [`Replay`] serves those on the loopback address.
//! The recordings are other people's data. They stay where they are: no test writes them into this repository.

pub mod har;
mod matching;
mod replay;
#[cfg(test)]
mod tests;

pub use replay::{Builder, Replay, Served};

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Names a folder of recordings, for those who keep them elsewhere.
pub const DIR_VARIABLE: &str = "PORTHOLE_RECORDINGS";

/// One recorded request with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Where it was recorded: scheme, host and port.
    pub origin: String,
    /// The method, in capitals.
    pub method: String,
    /// The path, percent-encoded as it was sent.
    pub path: String,
    /// The query, decoded, in its order.
    pub query: Vec<(String, String)>,
    /// The body of the request.
    pub request: Vec<u8>,
    /// The status.
    pub status: u16,
    /// The headers of the answer, lower-case names, without those of the connection.
    pub headers: Vec<(String, String)>,
    /// The body of the answer.
    pub body: Vec<u8>,
}

/// Why a recording can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file can't be read.
    #[error("can't read the recording `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file isn't of the format.
    #[error("`{path}` is no {format}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it should have.
        format: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// An address in it isn't one.
    #[error("`{path}` holds an address that isn't one: `{url}`")]
    Url {
        /// The file.
        path: PathBuf,
        /// The address.
        url: String,
    },
}

/// The folder of a provider's recordings, such as `graph-github`; nothing where it is absent, and the test that asked
/// says so on the terminal.
#[must_use]
pub fn folder(name: &str) -> Option<PathBuf> {
    let folder = root().join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(&format!("no recordings at {}; {DIR_VARIABLE} names another folder", folder.display()));
    None
}

/// Beside the checkout, unless the environment names another place.
fn root() -> PathBuf {
    env::var_os(DIR_VARIABLE)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings"), PathBuf::from)
}

/// A folder that a script of this repository fills: the one that the variable names, else that of this name in the cache.
pub(crate) fn installed(variable: &str, name: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).or_else(|| {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
        Some(cache.join("porthole").join(name))
    })
}

/// Says that a test skips what isn't installed.
///
/// # Panics
/// When `CI` is set: there, a test that quietly skips would be a test that nobody has.
pub(crate) fn not_installed(why: &str) {
    assert!(env::var_os("CI").is_none(), "{why}");
    skipped(why);
}

/// Says that a test skips something. Straight to standard error: the test harness hides what goes through the macros.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // A message that can't be written is no reason to fail.
    drop(writeln!(std::io::stderr(), "SKIPPED {test}: {why}"));
}

/// Headers that belong to the recorded connection or to an encoding that the body no longer has.
pub(crate) fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection" | "content-encoding" | "content-length" | "date" | "keep-alive" | "transfer-encoding" | "trailer"
    )
}
