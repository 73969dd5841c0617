//! The read-only proof: why an operation can't change anything at the provider. It is made from the manifest alone, when
//! an author's file is read, when a module is packed, when it is admitted and when it is loaded.
//!
//! There are five proofs and no sixth way. What isn't proved is refused.

pub mod actions;
mod graphql;
mod signed;

use crate::finding::Finding;
use porthole_model::id::OperationId;
use porthole_model::manifest::{Body, Manifest, Method, Operation};
use porthole_model::operation::{Part, Template};
use serde::Serialize;
use std::collections::BTreeMap;

/// The shortest reason for a search by POST, in characters: long enough to be a sentence about this endpoint.
pub const MIN_REASON_CHARS: usize = 20;
/// The longest, in characters: a reviewer reads it in a list.
pub const MAX_REASON_CHARS: usize = 500;

/// Why an operation is a read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "proof", rename_all = "kebab-case")]
pub enum Proof {
    /// GET without a body: safe by RFC 9110, 9.2.1.
    Get,
    /// HEAD without a body.
    Head,
    /// A fixed GraphQL document that is exactly one query.
    GraphqlQuery {
        /// The query's name; none for `{ … }`.
        name: Option<String>,
    },
    /// A search by POST on an exact path, that a reviewer has to accept by name.
    SearchByPost {
        /// What the author says.
        reason: String,
        /// The path, with the names of configuration fields in braces.
        path: String,
    },
    /// A request that is signed for a service, and that our own table of actions knows as a read of configuration.
    Action {
        /// The permission that it needs.
        action: String,
        /// How the provider classifies it: List or Read.
        level: String,
    },
}

impl Proof {
    /// In one word or two.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::GraphqlQuery { .. } => "GraphQL query",
            Self::SearchByPost { .. } => "search by POST",
            Self::Action { .. } => "listed action",
        }
    }
}

/// Proves one operation.
///
/// # Errors
/// What stands in the way of a proof.
pub fn prove(operation: &Operation) -> Result<Proof, Finding> {
    let place = format!("operation `{}`", operation.id);
    let template = Template::parse(&operation.request)
        .map_err(|e| Finding::error(format!("{place}: request"), format!("can't be proved to be a read: {e}")))?;
    let refuse = |key: &str, message: &str, hint: &str| {
        Err(Finding::error(format!("{place}: {key}"), format!("can't be proved to be a read: {message}")).hint(hint))
    };
    let reason = operation.read_by_post.as_deref();
    if let Some(sign) = &operation.sign {
        return match reason {
            Some(_) => refuse(
                "read-by-post",
                "a signed operation is proved by our table of actions, and a reason can't stand in for it",
                "remove `read-by-post`",
            ),
            None => signed::prove(operation, sign, &template),
        };
    }
    match (template.method, &operation.body, reason) {
        (Method::Get | Method::Head, _, Some(_)) => {
            refuse("read-by-post", "it gives a reason for a POST but sends none", "remove `read-by-post`")
        }
        (Method::Get, None, None) => Ok(Proof::Get),
        (Method::Head, None, None) => Ok(Proof::Head),
        (Method::Get | Method::Head, Some(_), None) => refuse(
            "request",
            "a GET or HEAD with a body means different things to different servers",
            "remove the body",
        ),
        (Method::Post, Some(Body::Graphql { .. }), Some(_)) => refuse(
            "read-by-post",
            "a GraphQL document proves itself and a reason can't stand in for it",
            "remove `read-by-post`",
        ),
        (Method::Post, Some(Body::Graphql { document, variables }), None) => {
            let name = graphql::prove_query(&format!("{place}: graphql"), document, variables)?;
            Ok(Proof::GraphqlQuery { name })
        }
        (Method::Post, _, Some(reason)) => {
            let characters = reason.trim().chars().count();
            if !(MIN_REASON_CHARS..=MAX_REASON_CHARS).contains(&characters) {
                return refuse(
                    "read-by-post",
                    &format!(
                        "its reason has {characters} characters, it takes {MIN_REASON_CHARS} to {MAX_REASON_CHARS}"
                    ),
                    "say what this endpoint does and why the provider wants a POST for it",
                );
            }
            if template.path.iter().any(|p| matches!(p, Part::Argument(_))) {
                return refuse(
                    "request",
                    "a search by POST needs an exact path, this one has an argument in it",
                    "write one operation for each path",
                );
            }
            Ok(Proof::SearchByPost { reason: reason.trim().to_owned(), path: path_text(&template) })
        }
        (Method::Post, _, None) => refuse(
            "request",
            "it is a POST",
            "use GET, or `graphql = …`, or give `read-by-post = \"reason\"` if the provider searches by POST",
        ),
    }
}

/// Proves every operation of a manifest.
///
/// # Errors
/// What stands in the way, for every operation that isn't proved.
pub fn prove_all(manifest: &Manifest) -> Result<BTreeMap<OperationId, Proof>, Vec<Finding>> {
    let mut proofs = BTreeMap::new();
    let mut findings = Vec::new();
    for operation in &manifest.operations {
        match prove(operation) {
            Ok(proof) => {
                proofs.insert(operation.id.clone(), proof);
            }
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() { Ok(proofs) } else { Err(findings) }
}

/// Do two GraphQL documents differ in layout only?
pub(crate) fn same_tokens(a: &str, b: &str) -> bool {
    graphql::same_tokens(a, b)
}

fn path_text(template: &Template) -> String {
    let mut path = String::new();
    for part in &template.path {
        match part {
            Part::Text(text) => path.push_str(text),
            Part::Argument(name) => path.extend(["{", name, "}"]),
            Part::Config(name) => path.extend(["{config.", name, "}"]),
        }
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
#[path = "readonly_tests.rs"]
mod tests;
