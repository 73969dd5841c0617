//! The proof for requests that are signed for a service (Signature Version 4). Nearly every one of them is a POST, a GET may
//! hand out what a customer keeps there, and one request may delete an account; so neither the method nor what a module
//! says counts. What the request *is* on the wire is looked up in our own table, and everything that could make another
//! operation of it has to be fixed.

use super::Proof;
use super::actions::{self, RestRequest, Row, Wire};
use crate::check::may_hold_slash;
use crate::finding::Finding;
use porthole_model::manifest::{Argument, Body, Operation, Sign};
use porthole_model::operation::{Part, Template};
use porthole_model::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// The header that names the operation in JSON protocols.
const TARGET: &str = "x-amz-target";
/// The fields that name it in form protocols.
const ACTION: &str = "Action";
const VERSION: &str = "Version";

/// Proves an operation that is signed.
///
/// # Errors
/// What stands in the way.
pub(super) fn prove(operation: &Operation, sign: &Sign, template: &Template) -> Result<Proof, Finding> {
    let refuse = |key: &str, message: String, hint: &str| {
        let place = format!("operation `{}`: {key}", operation.id);
        Finding::error(place, format!("can't be proved to be a read: {message}")).hint(hint)
    };
    plain_names(operation).map_err(|(key, message)| refuse(key, message, "remove it"))?;
    let row = match (&operation.body, operation.headers.get(TARGET)) {
        (Some(Body::Form { arguments }), None) => form(sign, template, operation, arguments),
        (Some(Body::Json { .. }), Some(target)) => {
            only_root(template, operation).and_then(|()| named(actions::find_target(&sign.service, target), target))
        }
        (None | Some(Body::Json { .. }), None) => rest(operation, sign, template),
        (Some(Body::Form { .. }) | None, Some(_)) => Err("a target in a header goes with a JSON body".to_owned()),
        (Some(Body::Graphql { .. }), _) => Err("a GraphQL document is signed for no service that we know".to_owned()),
    };
    let row =
        row.map_err(|message| refuse("request", message, "signed operations have to be in our table of actions"))?;
    row.passes().map_err(|refusal| refuse("request", refusal.to_string(), "only reads of configuration pass"))?;
    match operation.action.as_deref() {
        Some(action) if action == row.action => {}
        Some(action) => {
            let message = format!("it says `{action}`, and what it sends needs `{}`", row.action);
            return Err(refuse("action", message, "say what it needs: grants become policies of it"));
        }
        None => {
            let hint = format!("action = \"{}\"", row.action);
            return Err(refuse("action", "it doesn't say which permission it needs".to_owned(), &hint));
        }
    }
    Ok(Proof::Action { action: row.action.to_owned(), level: row.level.as_str().to_owned() })
}

/// No name may speak to the signature or choose the operation but those that the table knows.
fn plain_names(operation: &Operation) -> Result<(), (&'static str, String)> {
    let fixed = |name: &str, argument: &Argument| {
        matches!(argument.rule, Rule::Fixed(_)) && (name == ACTION || name == VERSION)
    };
    for (name, argument) in operation.arguments() {
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-amz-") {
            return Err(("request", format!("`{name}` would speak to the signature")));
        }
        if (lower == "action" || lower == "version") && !fixed(name, argument) {
            return Err(("request", format!("`{name}` would choose the operation")));
        }
    }
    let header = operation.headers.keys().find(|name| *name != "accept" && *name != TARGET);
    header.map_or(Ok(()), |name| Err(("headers", format!("`{name}` may change what a signed request does"))))
}

fn form(
    sign: &Sign,
    template: &Template,
    operation: &Operation,
    arguments: &BTreeMap<String, Argument>,
) -> Result<&'static Row, String> {
    only_root(template, operation)?;
    let fixed = |name: &str| match arguments.get(name).map(|a| &a.rule) {
        Some(Rule::Fixed(value)) if !value.contains('{') => Ok(value.as_str()),
        _ => Err(format!("its form has no fixed `{name}`")),
    };
    let (version, action) = (fixed(VERSION)?, fixed(ACTION)?);
    named(actions::find_form(&sign.service, version, action), &format!("{action} of {version}"))
}

/// Forms and targets name the operation; a path or a query beside them could name another.
fn only_root(template: &Template, operation: &Operation) -> Result<(), String> {
    let root = matches!(template.path.as_slice(), [] | [Part::Text(_)])
        && template.path.iter().all(|p| matches!(p, Part::Text(text) if text == "/"));
    if root && operation.query.is_empty() { Ok(()) } else { Err("it has a path or a query beside its body".to_owned()) }
}

fn rest(operation: &Operation, sign: &Sign, template: &Template) -> Result<&'static Row, String> {
    let endpoint = endpoint(template);
    let endpoints: BTreeSet<_> = actions::of_service(&sign.service).map(|row| row.endpoint).collect();
    if endpoint.is_none() && endpoints.len() > 1 {
        return Err("its service has several endpoints, and its host doesn't begin with the name of one".to_owned());
    }
    let mut path = String::new();
    for part in &template.path {
        match part {
            Part::Text(text) => path.push_str(text),
            Part::Argument(_) => path.push_str("{}"),
            // A derived field may hold slashes.
            Part::Config(field) => return Err(format!("`{{config.{field}}}` in its path could make another of it")),
        }
    }
    if path.split('/').any(|segment| segment.contains("{}") && segment != "{}") {
        return Err("an argument is only a part of a segment of its path".to_owned());
    }
    let (mut fixed, mut free) = (Vec::new(), Vec::new());
    for (name, argument) in &operation.query {
        match &argument.rule {
            Rule::Fixed(value) if value.is_empty() => fixed.push(name.clone()),
            Rule::Fixed(value) => fixed.push(format!("{name}={value}")),
            _ => free.push(name.as_str()),
        }
    }
    let fixed: Vec<_> = fixed.iter().map(String::as_str).collect();
    let request = RestRequest {
        service: &sign.service,
        endpoint: endpoint.as_deref(),
        method: template.method.as_str(),
        path: if path.is_empty() { "/" } else { &path },
        fixed: &fixed,
        free: &free,
    };
    let what = format!("{} {}", request.method, request.path);
    let row = named(actions::find_rest(&request), &what)?;
    if let Some(name) = operation.query.keys().find(|name| !row.takes(name)) {
        return Err(format!("`{}` doesn't take `{name}`, which could make another operation of it", row.operation));
    }
    let greedy = matches!(&row.wire, Wire::Rest { path, .. } if path.contains("{+}"));
    if let Some((name, _)) = operation.path.iter().find(|(_, argument)| !greedy && may_hold_slash(&argument.rule)) {
        return Err(format!("`{name}` may hold a slash, and could make another path of it"));
    }
    Ok(row)
}

fn named(row: Option<&'static Row>, what: &str) -> Result<&'static Row, String> {
    row.ok_or_else(|| format!("our table of actions doesn't know `{what}` for this service"))
}

/// The first labels of the host, as far as they are written; `{}` for one that an argument fills. None when the host is the
/// configuration's.
fn endpoint(template: &Template) -> Option<String> {
    match template.host.as_slice() {
        [Part::Text(all)] => all.split('.').next().map(str::to_owned),
        [Part::Text(first), ..] => first.strip_suffix('.').map(str::to_owned),
        [Part::Argument(_), Part::Text(next), _, ..] => Some(format!("{{}}{}", next.strip_suffix('.')?)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;
