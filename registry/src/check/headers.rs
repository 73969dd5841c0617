//! Header and parameter names that a manifest may not use: those that would change who asks, where the request goes,
//! where it ends, or what it does.

use crate::finding::Finding;
use crate::text::{did_you_mean, is_token};

/// The longest header value, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// Headers that are the host's alone.
const REFUSED: [(&str, &str); 31] = [
    ("accept-encoding", "the host decompresses and sets it"),
    ("authorization", "credentials come from a slot: use `auth`"),
    ("connection", "it controls the connection"),
    ("content-encoding", "the host writes the body and sets it"),
    ("content-length", "the host writes the body and sets it"),
    ("content-type", "the host writes the body and sets it"),
    ("cookie", "credentials come from a slot: use `auth`"),
    ("cookie2", "credentials come from a slot: use `auth`"),
    ("expect", "it controls the connection"),
    ("forwarded", "it speaks about who asks"),
    ("host", "the host comes from `request`"),
    ("http2-settings", "it controls the connection"),
    ("keep-alive", "it controls the connection"),
    ("range", "part of a list would pass for the whole"),
    ("if-modified-since", "an empty 304 would pass for an answer"),
    ("if-none-match", "an empty 304 would pass for an answer"),
    ("set-cookie", "credentials come from a slot: use `auth`"),
    ("te", "it controls the connection"),
    ("trailer", "it controls the connection"),
    ("transfer-encoding", "it says where the request ends"),
    ("upgrade", "it controls the connection"),
    ("via", "it speaks about who asks"),
    ("x-client-ip", "it speaks about who asks"),
    ("x-http-method", "it overrides the method"),
    ("x-http-method-override", "it overrides the method"),
    ("x-method-override", "it overrides the method"),
    ("x-original-method", "it overrides the method"),
    ("x-original-url", "it overrides the path"),
    ("x-override-url", "it overrides the path"),
    ("x-real-ip", "it speaks about who asks"),
    ("x-rewrite-url", "it overrides the path"),
];
/// The same for every header that starts so.
const REFUSED_PREFIXES: [(&str, &str); 4] = [
    ("proxy-", "it speaks to proxies"),
    ("sec-", "it is the browser's"),
    ("x-forwarded-", "it speaks about who asks"),
    ("x-http-method-", "it overrides the method"),
];
/// Query parameters and body fields by which frameworks (Rails, Symfony, Laravel, Express, ASP.NET, OData, Google's APIs)
/// let a request override its method or its headers.
const OVERRIDES: [&str; 9] = [
    "_method",
    "$httpmethod",
    "$method",
    "httpmethod",
    "http_method",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "_httpmethod",
];

/// Is it the name of a header that a manifest may set? A credential may be an `Authorization` header; a plain one may not.
pub(super) fn header_name(place: &str, name: &str, credential: bool, findings: &mut Vec<Finding>) {
    if !is_token(name) {
        findings.push(Finding::error(place, format!("{name:?} is no header name")));
        return;
    }
    let lower = name.to_ascii_lowercase();
    let exact = REFUSED.iter().find(|(refused, _)| *refused == lower);
    let prefix = || REFUSED_PREFIXES.iter().find(|(refused, _)| lower.starts_with(refused));
    let Some((_, why)) = exact.or_else(prefix) else { return };
    if credential && lower == "authorization" {
        return;
    }
    findings.push(Finding::error(place, format!("`{name}` can't be set: {why}")));
}

/// Is it a value that stays in its line?
pub(super) fn header_value(place: &str, value: &str, findings: &mut Vec<Finding>) {
    let plain = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if !plain || value.trim() != value || value.is_empty() || value.len() > MAX_VALUE_BYTES {
        findings.push(
            Finding::error(place, format!("{value:?} is no header value"))
                .hint(format!("1 to {MAX_VALUE_BYTES} visible ASCII characters, spaces inside only")),
        );
    }
}

/// The fixed headers of an operation.
pub(super) fn request_header(place: &str, name: &str, value: &str, findings: &mut Vec<Finding>) {
    let at = format!("{place}: headers `{name}`");
    header_name(&at, name, false, findings);
    if name.chars().any(|c| c.is_ascii_uppercase()) {
        findings.push(Finding::error(at.clone(), "is not in lower case").hint(name.to_ascii_lowercase()));
    }
    header_value(&at, value, findings);
}

/// The response headers that a guest may see.
pub(super) fn response_header(place: &str, name: &str, findings: &mut Vec<Finding>) {
    let at = format!("{place}: response-headers");
    if !is_token(name) || name.chars().any(|c| c.is_ascii_uppercase()) {
        let finding = Finding::error(at, format!("`{name}` is no header name in lower case"));
        findings.push(finding.hint(name.to_ascii_lowercase()));
    } else if matches!(name, "set-cookie" | "set-cookie2" | "authorization" | "proxy-authenticate") {
        findings.push(Finding::error(at, format!("`{name}` holds credentials and isn't shown to guests")));
    }
}

/// A query parameter or body field that would override the method.
pub(super) fn parameter(place: &str, name: &str, findings: &mut Vec<Finding>) {
    // Frameworks differ in case and in `[]` behind a name.
    let bare = name.split('[').next().unwrap_or(name).to_ascii_lowercase();
    if OVERRIDES.contains(&bare.as_str()) {
        findings.push(
            Finding::error(place, format!("`{name}` overrides the method of the request on some servers"))
                .hint("a read is asked for by its method"),
        );
    }
}

/// The hint for a header that is nearly a known one isn't worth a table; this is for slots and the like.
pub(super) fn unknown_slot(place: &str, slot: &str, known: Vec<&str>) -> Finding {
    let hint =
        if known.is_empty() { "add [[credentials]] with this slot".to_owned() } else { did_you_mean(slot, known) };
    Finding::error(format!("{place}: auth"), format!("no credential has the slot `{slot}`")).hint(hint)
}
