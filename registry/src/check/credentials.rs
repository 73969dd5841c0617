//! Credential slots and the ways to fill them. A credential goes where the manifest says, so this is where it could be
//! sent to the wrong place.

use super::headers::{header_name, header_value};
use super::{hosts, is_identifier, readable, repeated};
use crate::finding::Finding;
use crate::text::is_json_pointer;
use porthole_model::manifest::{CredentialKind, CredentialMethod, Manifest, Method};
use porthole_model::operation::{Part, Template};

pub(super) fn check(manifest: &Manifest, findings: &mut Vec<Finding>) {
    for (slot, method) in repeated(manifest.credentials.iter().map(|c| (c.slot.as_str(), c.method.as_str()))) {
        findings.push(
            Finding::error(format!("credential `{slot}/{method}`"), "exists twice")
                .hint("give each way to fill the slot a `method` of its own"),
        );
    }
    for credential in &manifest.credentials {
        let place = format!("credential `{}/{}`", credential.slot, credential.method);
        if !is_identifier(&credential.method.replace('-', "_")) {
            let message = format!("`{}` is no name for a method", credential.method);
            findings.push(Finding::error(place.clone(), message).hint("a-z, 0-9, _ and -, a letter first"));
        }
        readable(&format!("{place}: description"), &credential.description, findings);
        kind(manifest, &place, credential, findings);
        let slot = &credential.slot;
        if !manifest.operations.iter().any(|o| o.auth.as_ref() == Some(slot)) {
            let message = "no operation uses this slot";
            findings.push(Finding::warning(place, message).hint(format!("add `auth = \"{slot}\"` to the operations")));
        }
    }
}

fn kind(manifest: &Manifest, place: &str, credential: &CredentialMethod, findings: &mut Vec<Finding>) {
    match &credential.kind {
        CredentialKind::Header { header, format } => {
            header_name(&format!("{place}: header"), header, true, findings);
            let at = format!("{place}: format");
            let around = format.replacen("{token}", "", 1);
            if around.len() == format.len() || around.contains(['{', '}']) {
                let message = format!("`{format}` must hold `{{token}}` once and no other braces");
                findings.push(Finding::error(at.clone(), message).hint("such as `SSWS {token}`"));
            }
            header_value(&at, format, findings);
        }
        CredentialKind::Basic | CredentialKind::Bearer | CredentialKind::Sigv4Keys => {}
        CredentialKind::Sigv4Role { region, .. } => {
            super::operations::region(manifest, &format!("{place}: region"), region, &[], findings);
        }
        CredentialKind::Oauth2ClientCredentials { scope, .. } => {
            if !scope.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
                findings.push(Finding::error(format!("{place}: scope"), "holds characters that no scope has"));
            }
        }
        CredentialKind::Oauth2RefreshToken { .. } => {}
        CredentialKind::JwtExchange { url_fields, token, expires_at, .. } => {
            for (key, pointer) in [("token", token), ("expires-at", expires_at)] {
                if pointer.is_empty() || !is_json_pointer(pointer) {
                    let message = format!("`{pointer}` is no JSON pointer");
                    findings.push(Finding::error(format!("{place}: {key}"), message).hint(format!("such as `/{key}`")));
                }
            }
            let at = format!("{place}: url-fields");
            for field in url_fields {
                if !is_identifier(field) || matches!(field.as_str(), "issuer" | "private_key" | "config") {
                    findings
                        .push(Finding::error(at.clone(), format!("`{field}` is no name for a field of the secret")));
                }
            }
            for field in repeated(url_fields) {
                findings.push(Finding::error(at.clone(), format!("names `{field}` twice")));
            }
        }
    }
    if let Some(url) = credential.kind.token_url() {
        token_template(manifest, &format!("{place}: token-url"), url, &credential.kind, findings);
    }
}

fn token_template(manifest: &Manifest, place: &str, url: &str, kind: &CredentialKind, findings: &mut Vec<Finding>) {
    let template = match Template::parse(&format!("POST {url}")) {
        Ok(template) => template,
        Err(_) => {
            let message = format!("`{url}` is not `https://host/path` with fields in braces and no query");
            findings.push(Finding::error(place, message));
            return;
        }
    };
    let fields: &[String] = match kind {
        CredentialKind::JwtExchange { url_fields, .. } => url_fields,
        _ => &[],
    };
    for name in template.arguments().filter(|name| !fields.iter().any(|f| f == name)) {
        findings.push(
            Finding::error(place, format!("`{{{name}}}` is neither in `url-fields` nor a `config.` field"))
                .hint("only a jwt-exchange has fields of the secret in its URL"),
        );
    }
    if template.host.iter().any(|p| matches!(p, Part::Argument(_))) {
        findings.push(
            Finding::error(place, "a field of the secret stands in the host")
                .hint("whoever fills in the secret would choose where it is sent; use a config field"),
        );
    }
    debug_assert_eq!(template.method, Method::Post);
    hosts::check_config(manifest, place, &template, findings);
    if hosts::arguments_of(&template.host).next().is_none() {
        hosts::check_shape(place, &template, findings);
    }
}
