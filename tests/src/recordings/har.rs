//! HTTP archives (HAR 1.2), as browsers and recorders write them.

use super::{Exchange, RecordingError, is_of_connection};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use std::fs;
use std::path::Path;
use url::Url;

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct PostData {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    #[serde(default)]
    headers: Vec<Header>,
    content: Content,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    text: String,
    encoding: Option<String>,
}

/// Reads an archive.
///
/// # Errors
/// When the file can't be read or isn't an archive.
pub fn load(path: &Path) -> Result<Vec<Exchange>, RecordingError> {
    let text = fs::read(path).map_err(|source| RecordingError::Read { path: path.to_owned(), source })?;
    let archive: Archive = serde_json::from_slice(&text).map_err(|source| RecordingError::Format {
        path: path.to_owned(),
        format: "HTTP archive",
        source,
    })?;
    archive.log.entries.into_iter().map(|entry| exchange(entry, path)).collect()
}

/// Reads all archives of a folder, by name.
///
/// # Errors
/// When the folder or an archive in it can't be read.
pub fn load_folder(folder: &Path) -> Result<Vec<Exchange>, RecordingError> {
    let read = |source| RecordingError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "har") {
            files.push(path);
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(load(&file)?);
    }
    Ok(all)
}

fn exchange(entry: Entry, path: &Path) -> Result<Exchange, RecordingError> {
    let refuse = || RecordingError::Url { path: path.to_owned(), url: entry.request.url.clone() };
    let url = Url::parse(&entry.request.url).map_err(|_| refuse())?;
    let content = entry.response.content;
    let body = match content.encoding.as_deref() {
        // What says base64 and isn't stays as it is.
        Some("base64") => BASE64_STANDARD.decode(&content.text).unwrap_or_else(|_| content.text.into_bytes()),
        _ => content.text.into_bytes(),
    };
    let headers = entry.response.headers.into_iter().map(|h| (h.name.to_ascii_lowercase(), h.value));
    Ok(Exchange {
        origin: url.origin().ascii_serialization(),
        method: entry.request.method.to_ascii_uppercase(),
        path: url.path().to_owned(),
        query: url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        request: entry.request.post_data.map(|data| data.text.into_bytes()).unwrap_or_default(),
        status: entry.response.status,
        headers: headers.filter(|(name, _)| !is_of_connection(name)).collect(),
        body,
    })
}
