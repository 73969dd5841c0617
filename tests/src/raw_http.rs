//! A client for the tests of the fakes: one request, one connection, and every byte of the answer, however wrong it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any answer takes; a fake that hangs fails its test.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ended before the announced end of the body.
    pub(crate) cut: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The address in the `Link` header with this relation.
    pub(crate) fn link(&self, rel: &str) -> Option<String> {
        let end = format!("; rel=\"{rel}\"");
        let link = self.header("link")?.split(", ").find_map(|link| link.strip_suffix(&end))?;
        Some(link.trim_matches(['<', '>']).to_owned())
    }
}

/// Sends one request. `None`: the connection ended without an answer.
pub(crate) async fn send(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Answer> {
    let talk = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str(&format!("host: {addr}\r\n"));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut bytes = Vec::new();
        // A connection that a fault resets has given what it gave.
        drop(stream.read_to_end(&mut bytes).await);
        parse(&bytes)
    };
    tokio::time::timeout(TIMEOUT, talk).await.expect("an answer in time")
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let raw = bytes.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let (body, cut) = match find("transfer-encoding") {
        Some("chunked") => chunks(raw),
        _ => {
            let length = find("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
            (raw.to_vec(), status != 304 && raw.len() < length)
        }
    };
    Some(Answer { status, body, cut, headers })
}

fn chunks(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|w| w == b"\r\n") else { return (body, true) };
        let (size, rest) = raw.split_at(end);
        let size = std::str::from_utf8(size).ok().and_then(|s| usize::from_str_radix(s, 16).ok()).unwrap_or(0);
        if size == 0 {
            return (body, false);
        }
        let rest = rest.get(2..).unwrap_or_default();
        body.extend_from_slice(rest.get(..size.min(rest.len())).unwrap_or_default());
        match rest.get(size + 2..) {
            Some(next) => raw = next,
            None => return (body, true),
        }
    }
}
