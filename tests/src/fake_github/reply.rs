//! An answer before it is sent, and the error bodies of the real API.

use super::page::Page;
use serde_json::json;

/// Where the real API's error bodies point.
const DOCS: &str = "https://docs.github.com/rest";
const DOCS_SECONDARY: &str =
    "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits";
const DOCS_PRIMARY: &str =
    "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-primary-rate-limits";

/// An answer before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The page this is, and the address that its links lead on with. A fault may bend them.
    pub(super) list: Option<(Page, String)>,
}

impl Reply {
    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), list: None }
    }

    pub(super) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set(name, value.into());
        self
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value));
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::documented(status, message, DOCS)
    }

    fn documented(status: u16, message: &str, documentation: &str) -> Self {
        let body = json!({"message": message, "documentation_url": documentation, "status": status.to_string()});
        Self::json(status, body.to_string())
    }

    pub(super) fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    pub(super) fn bad_credentials() -> Self {
        Self::error(401, "Bad credentials")
    }

    pub(super) fn forbidden_integration() -> Self {
        Self::error(403, "Resource not accessible by integration")
    }

    pub(super) fn must_have_admin() -> Self {
        Self::error(403, "Must have admin rights to Repository.")
    }

    pub(super) fn secondary_limit() -> Self {
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If \
                       you reach out to GitHub Support for help, please include the request ID.";
        Self::documented(403, message, DOCS_SECONDARY)
    }

    pub(super) fn primary_limit(status: u16) -> Self {
        let message = "API rate limit exceeded for user ID 1. If you reach out to GitHub Support for help, please \
                       include the request ID.";
        Self::documented(status, message, DOCS_PRIMARY)
    }

    /// A client without a name gets a plain text, not JSON.
    pub(super) fn user_agent_required() -> Self {
        let text = "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent \
                    header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). \
                    Check https://developer.github.com for other possible causes.\r\n";
        Self::json(403, text).with_header("content-type", "text/html")
    }
}
