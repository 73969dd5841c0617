//! What a call ends in when it has no reply, and what every call used.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The longest text of a provider that a message quotes, in characters: enough for a sentence.
pub const MAX_QUOTE_CHARS: usize = 200;

/// Stable codes, as the guest's world names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// A status that is neither a success nor declared as `empty-on`.
    Status,
    /// The provider asks to wait, for longer than the limits allow or too often.
    RateLimited,
    /// No complete reply in time.
    Timeout,
    /// No connection, or a broken one.
    Connection,
    /// The egress policy refused the request before it was sent: its address, scheme, host or a header.
    AddressRefused,
    /// The reply is longer than the limits allow.
    TooLarge,
    /// The reply ended early, or can't be read to its end.
    Cut,
    /// The provider answered with a redirect. None is followed.
    Redirect,
    /// The reply of a GraphQL query holds errors.
    Graphql,
    /// The credential can't be used.
    Credential,
    /// The run has waited as long as it may.
    Budget,
}

impl FaultCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::RateLimited => "rate-limited",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::AddressRefused => "address-refused",
            Self::TooLarge => "too-large",
            Self::Cut => "cut",
            Self::Redirect => "redirect",
            Self::Graphql => "graphql",
            Self::Credential => "credential",
            Self::Budget => "budget",
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallStats {
    /// How often it was sent.
    pub attempts: u32,
    /// Bytes sent over all attempts: request line, headers and body before TLS, credentials included.
    pub sent_bytes: u64,
    /// Bytes received over all attempts: status line, headers and body before decompression.
    pub received_bytes: u64,
    /// Time spent waiting for rate limits and retries, in milliseconds.
    pub waited_ms: u64,
    /// Time from the call to its end, waits included, in milliseconds.
    pub elapsed_ms: u64,
    /// The address that answered last.
    pub address: Option<SocketAddr>,
    /// Places that were blanked in the reply.
    pub scrubbed: u32,
}

/// A call that was tried and failed. What is worth retrying has been retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFault {
    /// What kind of failure.
    pub code: FaultCode,
    /// The status, when there was a reply.
    pub status: Option<u16>,
    /// A sentence for people. Quotes at most [`MAX_QUOTE_CHARS`] of the provider, scrubbed.
    pub message: String,
    /// What the provider's administrator has to grant, when the status speaks of a missing permission.
    pub permission: Option<String>,
    /// What the call used.
    pub stats: CallStats,
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CallFault {}

/// Text of a provider, fit for a message: on one line and short.
pub(crate) fn quote(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_QUOTE_CHARS + 1).collect();
    match line.char_indices().nth(MAX_QUOTE_CHARS) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

/// A duration for people: `850 ms`, `12 s`, `4 min 5 s`.
pub(crate) fn human(duration: Duration) -> String {
    match (duration.as_millis(), duration.as_secs()) {
        (ms, _) if ms < 1_000 => format!("{ms} ms"),
        (_, s) if s < 120 => format!("{s} s"),
        (_, s) if s % 60 == 0 => format!("{} min", s / 60),
        (_, s) => format!("{} min {} s", s / 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote("a\r\nb"), "a  b");
        assert_eq!(quote(&"é".repeat(500)).chars().count(), MAX_QUOTE_CHARS + 1);
        assert_eq!(quote(&"é".repeat(MAX_QUOTE_CHARS)).chars().count(), MAX_QUOTE_CHARS);
    }

    #[test]
    fn durations_read_well() {
        let cases = [(850, "850 ms"), (12_300, "12 s"), (245_000, "4 min 5 s"), (900_000, "15 min")];
        for (ms, text) in cases {
            assert_eq!(human(Duration::from_millis(ms)), text);
        }
    }
}
