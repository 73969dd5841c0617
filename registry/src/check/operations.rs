//! Operations: the template compiles, every argument has one place and one rule, nothing reaches around the read-only
//! proof, and paging can work.

use super::headers::{parameter, request_header, response_header, unknown_slot};
use super::{MAX_ARGUMENTS, MAX_NAME_BYTES, hosts, operation_ids, readable, repeated, unknown};
use crate::finding::Finding;
use crate::text::{deceives, did_you_mean, is_json_pointer};
use porthole_model::manifest::{Argument, Body, Manifest, Method, Operation, Pages};
use porthole_model::operation::{self, MAX_URL_BYTES, Part, Template, config_reference};
use porthole_model::rule::Rule;
use porthole_model::session_policy::is_action;
use std::collections::{BTreeMap, BTreeSet};

/// Statuses that can never mean "there is none here": not signed in, not allowed, sign in at the proxy, too slow, too
/// early, too many. Taking one of them for "none" would delete what the credential merely can't see.
const NEVER_EMPTY: [u16; 6] = [401, 403, 407, 408, 425, 429];

/// Every argument of an operation, with the table it stands in.
pub(crate) fn arguments(operation: &Operation) -> impl Iterator<Item = (&'static str, &str, &Argument)> {
    let body = match &operation.body {
        Some(Body::Form { arguments }) => Some(("form", arguments)),
        Some(Body::Json { arguments, .. }) => Some(("json", arguments)),
        Some(Body::Graphql { variables, .. }) => Some(("variables", variables)),
        None => None,
    };
    [("path", &operation.path), ("query", &operation.query)]
        .into_iter()
        .chain(body)
        .flat_map(|(table, arguments)| arguments.iter().map(move |(name, a)| (table, name.as_str(), a)))
}

pub(super) fn check(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for id in repeated(operation_ids(manifest)) {
        findings
            .push(Finding::error(format!("operation `{id}`"), "exists twice").hint("give each operation its own id"));
    }
    let used: BTreeSet<_> = manifest.steps.iter().flat_map(|s| &s.uses).collect();
    for operation in &manifest.operations {
        let place = format!("operation `{}`", operation.id);
        template(manifest, &place, operation, findings);
        argument_names(manifest, &place, operation, findings);
        for (name, value) in &operation.headers {
            request_header(&place, name, value, findings);
        }
        for name in &operation.response_headers {
            response_header(&place, name, findings);
        }
        for name in repeated(&operation.response_headers) {
            findings.push(Finding::error(format!("{place}: response-headers"), format!("names `{name}` twice")));
        }
        empty_on(&place, operation, findings);
        pages(&place, operation, findings);
        auth(manifest, &place, operation, findings);
        sign(manifest, &place, operation, findings);
        json(&place, operation, findings);
        revalidate(&place, operation, findings);
        for (key, text) in [("permission", &operation.permission), ("read-by-post", &operation.read_by_post)] {
            readable(&format!("{place}: {key}"), text.as_deref().unwrap_or_default(), findings);
        }
        if !used.contains(&operation.id) {
            findings.push(
                Finding::warning(place, "no step uses it").hint("remove it: what isn't asked for isn't reviewed"),
            );
        }
    }
}

fn template(manifest: &Manifest, place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let at = format!("{place}: request");
    let template = match Template::parse(&operation.request) {
        Ok(template) => template,
        Err(e) => {
            findings.push(Finding::error(at, e.to_string()).hint("such as `GET https://api.example.com/users/{id}`"));
            return;
        }
    };
    if operation.request.len() > MAX_URL_BYTES {
        findings.push(Finding::error(at.clone(), format!("is longer than the {MAX_URL_BYTES} bytes of a URL")));
    }
    let names: BTreeSet<_> = template.arguments().collect();
    for name in names.iter().filter(|name| !operation.path.contains_key(**name)) {
        findings.push(
            Finding::error(at.clone(), format!("`{{{name}}}` has no rule in `path`"))
                .hint(format!("add path = {{ {name} = '^…$' }}")),
        );
    }
    for name in operation.path.keys().filter(|name| !names.contains(name.as_str())) {
        findings.push(
            Finding::error(format!("{place}: path `{name}`"), format!("`{{{name}}}` isn't in the request"))
                .hint(did_you_mean(name, names.iter().copied().collect::<Vec<_>>())),
        );
    }
    hosts::check(manifest, operation, &template, findings);
}

fn argument_names(manifest: &Manifest, place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut count = 0;
    for (table, name, argument) in arguments(operation) {
        count += 1;
        let at = format!("{place}: {table} `{name}`");
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(|c| c.is_whitespace() || deceives(c)) {
            let message = format!("an argument's name has 1 to {MAX_NAME_BYTES} bytes and no spaces");
            findings.push(Finding::error(at.clone(), message));
        }
        if let Some(other) = seen.insert(name, table) {
            // A guest names an argument once; which of the two would it be?
            findings
                .push(Finding::error(at.clone(), format!("is also in `{other}`")).hint("an argument has one place"));
        }
        if table != "path" {
            parameter(&at, name, findings);
        }
        if table == "path" && argument.list {
            findings.push(Finding::error(at.clone(), "is a list, and a path takes one value"));
        }
        config_value(manifest, &at, table, &argument.rule, findings);
        if let Rule::Fixed(value) = &argument.rule {
            if argument.required || argument.list {
                findings.push(Finding::error(at.clone(), "has a fixed value and is `required` or a `list`"));
            }
            if !argument.rule.allows(value) {
                findings.push(Finding::error(at, "has a fixed value with control characters, or one that is too long"));
            }
        }
    }
    if count > MAX_ARGUMENTS {
        findings.push(Finding::error(place, format!("has {count} arguments, at most {MAX_ARGUMENTS} are accepted")));
    }
}

/// `={config.login}`: the host sends what the tenant filled in.
fn config_value(manifest: &Manifest, at: &str, table: &str, rule: &Rule, findings: &mut Vec<Finding>) {
    match (rule, config_reference(rule)) {
        (_, Some(field)) if !manifest.config.contains_key(field) => {
            unknown(findings, at, "config field", field, || manifest.config.keys().map(String::as_str).collect());
        }
        // A fixed value may hold slashes, because its author wrote them; a tenant's value may not.
        (_, Some(field)) if table == "path" => findings.push(
            Finding::error(at, "is a configuration field in an argument's clothes")
                .hint(format!("write `{{config.{field}}}` into the request")),
        ),
        (Rule::Fixed(value), None) if value.contains("{config.") => findings.push(
            Finding::error(at, format!("the fixed value {value:?} holds a configuration field among other text"))
                .hint("a field is the whole value: `={config.name}`"),
        ),
        _ => {}
    }
}

fn empty_on(place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let at = format!("{place}: empty-on");
    for none in &operation.empty_on {
        let status = &none.status;
        if NEVER_EMPTY.contains(status) {
            findings.push(
                Finding::error(
                    at.clone(),
                    format!("{status} is about permission, sign-in or rate and never means \"none\""),
                )
                .hint("taken for \"none\", it would delete what the credential can't see"),
            );
        } else if !(400..=499).contains(status) {
            findings.push(
                Finding::error(at.clone(), format!("{status} is not a 4xx status"))
                    .hint("a 2xx answer speaks for itself, a 5xx is a fault"),
            );
        }
    }
    for none in repeated(&operation.empty_on) {
        findings.push(Finding::error(at.clone(), format!("names {none} twice")));
    }
}

fn pages(place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let at = format!("{place}: pages");
    let method = Template::parse(&operation.request).map(|t| t.method);
    match &operation.pages {
        Pages::None => {}
        Pages::Link => {
            if method.is_ok_and(|m| m != Method::Get) {
                findings
                    .push(Finding::error(at, "a link is followed with GET, and this is none").hint("page by cursor"));
            }
        }
        Pages::Cursor { cursor, more, argument, body: _ } => {
            if method == Ok(Method::Head) {
                findings.push(Finding::error(at.clone(), "a HEAD has no body to find a cursor in"));
            }
            for (key, pointer) in [("cursor", Some(cursor)), ("more", more.as_ref())] {
                if let Some(pointer) = pointer.filter(|p| p.is_empty() || !is_json_pointer(p)) {
                    let message = format!("`{key}` is no JSON pointer: {pointer:?}");
                    findings.push(Finding::error(at.clone(), message).hint("such as `/data/pageInfo/endCursor`"));
                }
            }
            let found = arguments(operation).find(|(table, name, _)| *table != "path" && name == argument);
            match found.map(|(_, _, a)| a) {
                None => {
                    let known =
                        || arguments(operation).filter(|(t, ..)| *t != "path").map(|(_, name, _)| name).collect();
                    unknown(findings, &at, "argument", argument, known);
                }
                Some(a) if a.list || matches!(a.rule, Rule::Fixed(_) | Rule::Bool) => findings.push(
                    Finding::error(at, format!("`{argument}` can't take a cursor: it is fixed, a list or `bool`"))
                        .hint("give it `text<=512`"),
                ),
                Some(_) => {}
            }
        }
    }
}

/// Only the answer of a GET can be asked about: a HEAD has none, and a POST's isn't of a resource.
fn revalidate(place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let method = Template::parse(&operation.request).map(|t| t.method);
    if let (true, Ok(method @ (Method::Head | Method::Post))) = (operation.revalidate, method) {
        let message = format!("only the answer of a GET can be asked about again, and this is a {}", method.as_str());
        findings.push(Finding::error(format!("{place}: revalidate"), message).hint("remove `revalidate`"));
    }
}

/// What a request is signed for goes with a credential that signs, and the other way round.
fn sign(manifest: &Manifest, place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let slot = operation.auth.as_ref();
    let methods: Vec<_> = manifest.credentials.iter().filter(|c| Some(&c.slot) == slot).collect();
    let at = format!("{place}: sign");
    match &operation.sign {
        None if methods.iter().any(|m| m.kind.signs()) => findings.push(
            Finding::error(at, "is missing, and its credential signs requests")
                .hint("sign = { service = \"iam\", region = \"us-east-1\" }"),
        ),
        None => {}
        Some(_) if methods.is_empty() || methods.iter().any(|m| !m.kind.signs()) => {
            findings
                .push(Finding::error(at, "goes with a credential of a kind that signs, in every method of its slot"));
        }
        Some(sign) => {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if sign.service.is_empty() || sign.service.len() > MAX_NAME_BYTES || !sign.service.chars().all(plain) {
                findings
                    .push(Finding::error(at.clone(), format!("`{}` is no signing name of a service", sign.service)));
            }
            let names: Vec<_> = operation.path.keys().map(String::as_str).collect();
            region(manifest, &at, &sign.region, &names, findings);
        }
    }
    if let Some(action) = operation.action.as_deref().filter(|action| !is_action(action)) {
        let message =
            format!("`{action}` is no action: a service's prefix, a colon and a name, such as `iam:ListUsers`");
        findings.push(Finding::error(format!("{place}: action"), message));
    }
}

/// The region of a signature names what is there.
pub(super) fn region(manifest: &Manifest, at: &str, text: &str, arguments: &[&str], findings: &mut Vec<Finding>) {
    match operation::region(text) {
        Err(e) => findings.push(Finding::error(at, e.to_string())),
        Ok(Part::Text(_)) => {}
        Ok(Part::Config(field)) if manifest.config.contains_key(&field) => {}
        Ok(Part::Config(field)) => {
            unknown(findings, at, "config field", &field, || manifest.config.keys().map(String::as_str).collect());
        }
        Ok(Part::Argument(name)) if arguments.contains(&name.as_str()) => {}
        Ok(Part::Argument(name)) => unknown(findings, at, "path argument", &name, || arguments.to_vec()),
    }
}

/// A JSON body: its media type is one of JSON, and no name is the beginning of another's way.
fn json(place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let Some(Body::Json { arguments, content_type }) = &operation.body else { return };
    let is_json = |text: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".+-".contains(c);
        text.strip_prefix("application/").is_some_and(|t| t.contains("json") && t.len() <= 64 && t.chars().all(plain))
    };
    if let Some(text) = content_type.as_deref().filter(|text| !is_json(text)) {
        findings.push(Finding::error(format!("{place}: content-type"), format!("`{text}` is no media type of JSON")));
    }
    for (name, next) in arguments.keys().zip(arguments.keys().skip(1)) {
        let at = format!("{place}: json `{next}`");
        if next.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/')) {
            findings.push(Finding::error(at, format!("`{name}` is a value, and this would be a member of it")));
        }
    }
    for name in arguments.keys().filter(|name| name.split('/').any(str::is_empty)) {
        findings.push(Finding::error(format!("{place}: json `{name}`"), "has an empty member on its way"));
    }
}

fn auth(manifest: &Manifest, place: &str, operation: &Operation, findings: &mut Vec<Finding>) {
    let Some(slot) = &operation.auth else { return };
    let methods: Vec<_> = manifest.credentials.iter().filter(|c| &c.slot == slot).collect();
    if methods.is_empty() {
        let known = manifest.credentials.iter().map(|c| c.slot.as_str()).collect();
        findings.push(unknown_slot(place, slot.as_str(), known));
    }
    for method in methods {
        let porthole_model::manifest::CredentialKind::Header { header, .. } = &method.kind else { continue };
        if operation.headers.keys().any(|h| h.eq_ignore_ascii_case(header)) {
            let at = format!("{place}: headers `{}`", header.to_ascii_lowercase());
            findings.push(Finding::error(at, format!("is the header of the credential `{slot}`")));
        }
    }
}
