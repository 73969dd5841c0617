//! Answers and pages: what every protocol shares.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn xml(body: String) -> Self {
        Self { status: 200, kind: "text/xml;charset=UTF-8", body }
    }

    pub(super) fn json(body: String) -> Self {
        Self { status: 200, kind: "application/json", body }
    }

    /// An error of a service that speaks XML.
    pub(super) fn xml_error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>0</RequestId></ErrorResponse>"
        );
        Self { status, ..Self::xml(body) }
    }

    /// An error of S3.
    pub(super) fn s3_error(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>{code}</Message><RequestId>0</RequestId></Error>");
        Self { status, kind: "application/xml", body }
    }

    /// An error of EC2.
    pub(super) fn ec2_error(code: &str, message: &str) -> Self {
        let body = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>0</RequestID></Response>"
        );
        Self { status: 400, ..Self::xml(body) }
    }

    /// An error of a service that speaks JSON.
    pub(super) fn json_error(status: u16, code: &str) -> Self {
        Self { status, ..Self::json(format!("{{\"__type\":\"{code}\",\"message\":\"{code}\"}}")) }
    }
}

/// Arguments of a request by name: form fields, query parameters, or the texts and numbers of a JSON object.
pub(super) type Arguments = BTreeMap<String, String>;

/// A part of a list: from which number to which, and what leads on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) next: Option<String>,
}

impl Page {
    /// Reads token and size; `usual` is the size when none is asked for, `most` the largest. None for a token that no
    /// answer had.
    pub(super) fn of(total: usize, arguments: &Arguments, names: [&str; 2], usual: usize, most: usize) -> Option<Self> {
        let [token, size] = names;
        let from = match arguments.get(token) {
            None => 0,
            // A token has letters that need escaping.
            Some(token) => token.strip_prefix("at+/")?.strip_suffix("==")?.parse().ok().filter(|n| *n < total)?,
        };
        let size = arguments.get(size).and_then(|s| s.parse().ok()).unwrap_or(usual).clamp(1, most);
        let to = total.min(from + size);
        Some(Self { from, to, next: (to < total).then(|| format!("at+/{to}==")) })
    }

    pub(super) fn numbers(&self) -> std::ops::Range<usize> {
        self.from..self.to
    }
}

/// Adds to an answer. Writing to memory doesn't fail.
pub(super) fn add(body: &mut String, arguments: fmt::Arguments<'_>) {
    let _written = body.write_fmt(arguments);
}
