//! Credential slots: which secrets are asked for, and where they go.

use super::{Change, Cx};
use porthole_model::id::{OperationId, Slot};
use porthole_model::manifest::{Argument, CredentialKind, CredentialMethod, Operation};
use porthole_model::operation::CompiledOperation;
use porthole_model::rule::Rule;
use std::collections::BTreeSet;

pub(super) fn compare(cx: &Cx<'_>, changes: &mut Vec<Change>) {
    let find = |methods: &'_ [CredentialMethod], (slot, method): (&Slot, &str)| {
        methods.iter().find(|c| c.slot == *slot && c.method == method).cloned()
    };
    for new in &cx.new.credentials {
        let at = format!("credential `{}/{}`", new.slot, new.method);
        match find(&cx.old.credentials, (&new.slot, &new.method)) {
            Some(old) => changed(cx, &at, &old, new, changes),
            None => changes.push(added(cx, &at, new)),
        }
    }
    for old in &cx.old.credentials {
        if find(&cx.new.credentials, (&old.slot, &old.method)).is_none() {
            let at = format!("credential `{}/{}`", old.slot, old.method);
            changes.push(Change::narrower(at, "removed").detail("instances that use it need another one"));
        }
    }
    let keys = |methods: &[CredentialMethod]| -> Vec<_> {
        methods.iter().map(|c| (c.slot.clone(), c.method.clone())).collect()
    };
    let (old, new) = (keys(&cx.old.credentials), keys(&cx.new.credentials));
    if !old.iter().filter(|k| new.contains(k)).eq(new.iter().filter(|k| old.contains(k))) {
        changes.push(Change::different("credentials", "stand in another order"));
    }
}

fn added(cx: &Cx<'_>, at: &str, new: &CredentialMethod) -> Change {
    let is_new_slot = !cx.old.credentials.iter().any(|c| c.slot == new.slot);
    let what = match is_new_slot {
        true => format!("added: asks for another secret ({})", kind_name(&new.kind)),
        false => format!("added: another way to fill the slot ({})", kind_name(&new.kind)),
    };
    let fields: Vec<_> = new.kind.fields().into_iter().map(|(name, _)| name).collect();
    Change::wider(at, what, example(cx, new)).detail(format!("a tenant gives {}", fields.join(", ")))
}

fn kind_name(kind: &CredentialKind) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.get("kind").and_then(|k| k.as_str()).unwrap_or("unknown").to_owned()
}

/// What goes over the wire with this credential: the exchange for a token, else the first request that it signs.
fn example(cx: &Cx<'_>, method: &CredentialMethod) -> String {
    if let Some(url) = method.kind.token_url() {
        let sent = exchange(cx, url, true).unwrap_or_else(|| url.to_owned());
        return format!("POST {sent} with {}", secrets(&method.kind));
    }
    let operation = cx.new.operations.iter().find(|o| o.auth.as_ref() == Some(&method.slot));
    let request = operation.and_then(|o| {
        let request = cx.worlds.as_ref()?.any(&o.id, cx.old.operation(o.id.as_str()))?;
        Some(super::worlds::shown(&request, o, super::worlds::Show::Usual))
    });
    let request = request.or_else(|| operation.map(|o| o.request.clone())).unwrap_or_else(|| "no request".to_owned());
    format!("{request} with {}", secrets(&method.kind))
}

fn secrets(kind: &CredentialKind) -> String {
    match kind {
        CredentialKind::Header { header, format } => format!("-H '{header}: {format}'"),
        CredentialKind::Basic => "-H 'Authorization: Basic {username}:{password}'".to_owned(),
        CredentialKind::Bearer => "-H 'Authorization: Bearer {token}'".to_owned(),
        CredentialKind::Oauth2ClientCredentials { scope, .. } if scope.is_empty() => {
            "client_id and client_secret".to_owned()
        }
        CredentialKind::Oauth2ClientCredentials { scope, .. } => {
            format!("client_id, client_secret and scope={scope:?}")
        }
        CredentialKind::Oauth2RefreshToken { .. } => "client_id, client_secret and refresh_token".to_owned(),
        CredentialKind::JwtExchange { .. } => "a token signed by private_key".to_owned(),
        CredentialKind::Sigv4Keys => "a signature by secret_access_key".to_owned(),
        CredentialKind::Sigv4Role { .. } => {
            "role_arn, external_id and a signature by the platform's own key".to_owned()
        }
    }
}

/// The URL of an exchange as it would be sent, made by the model.
fn exchange(cx: &Cx<'_>, url: &str, new: bool) -> Option<String> {
    let worlds = cx.worlds.as_ref()?;
    let config = if new { &worlds.new.config } else { &worlds.old.config };
    let mut operation = Operation {
        id: OperationId::new("exchange").ok()?,
        request: format!("GET {url}"),
        path: Default::default(),
        query: Default::default(),
        headers: Default::default(),
        body: None,
        auth: None,
        pages: Default::default(),
        empty_on: Vec::new(),
        response_headers: Vec::new(),
        read_by_post: None,
        permission: None,
        revalidate: false,
        sign: None,
        action: None,
    };
    let template = porthole_model::operation::Template::parse(&operation.request).ok()?;
    for name in template.arguments() {
        let rule = Rule::Fixed("1".to_owned());
        operation.path.insert(name.to_owned(), Argument { rule, required: false, list: false });
    }
    let compiled = CompiledOperation::new(&operation, config).ok()?;
    Some(compiled.prepare(&[], config).ok()?.url.to_string())
}

fn changed(cx: &Cx<'_>, at: &str, old: &CredentialMethod, new: &CredentialMethod, changes: &mut Vec<Change>) {
    // Taken apart without `..`, so that a new field can't be forgotten.
    let CredentialMethod { slot: _, method: _, description, kind } = new;
    if *description != old.description {
        changes.push(Change::different(at, "its words for people changed"));
    }
    if *kind == old.kind {
        return;
    }
    let before = changes.len();
    match (&old.kind, kind) {
        (
            CredentialKind::Header { header: old_header, format: old_format },
            CredentialKind::Header { header, format },
        ) => {
            let what = format!("`{old_header}: {old_format}` became `{header}: {format}`");
            changes.push(Change::wider(at, what, example(cx, new)));
        }
        (
            CredentialKind::Oauth2ClientCredentials { token_url: old_url, scope: old_scope },
            CredentialKind::Oauth2ClientCredentials { token_url, scope },
        ) => {
            changes.extend(endpoint(cx, at, old_url, token_url, new));
            changes.extend(scopes(cx, at, old_scope, scope, new));
        }
        (
            CredentialKind::Oauth2RefreshToken { token_url: old_url },
            CredentialKind::Oauth2RefreshToken { token_url },
        ) => changes.extend(endpoint(cx, at, old_url, token_url, new)),
        (
            CredentialKind::JwtExchange {
                token_url: old_url,
                url_fields: old_fields,
                token: old_token,
                expires_at: old_expiry,
            },
            CredentialKind::JwtExchange { token_url, url_fields, token, expires_at },
        ) => {
            changes.extend(endpoint(cx, at, old_url, token_url, new));
            if url_fields != old_fields {
                changes.push(Change::different(at, "asks for other fields of the secret in the URL of the exchange"));
            }
            if token != old_token {
                let what = format!("the token is `{token}` of the answer instead of `{old_token}`");
                changes.push(Change::unknown(at, what).detail("what that token may do is up to the provider"));
            }
            if expires_at != old_expiry {
                changes.push(Change::different(at, format!("it expires at `{expires_at}` instead of `{old_expiry}`")));
            }
        }
        (
            CredentialKind::Sigv4Role { token_url: old_url, region: old_region },
            CredentialKind::Sigv4Role { token_url, region },
        ) => {
            changes.extend(endpoint(cx, at, old_url, token_url, new));
            if region != old_region {
                let what = format!("roles are assumed in region `{region}` instead of `{old_region}`");
                changes.push(Change::different(at, what));
            }
        }
        (old, _) => {
            let what = format!("is {} instead of {}", kind_name(kind), kind_name(old));
            changes.push(Change::wider(at, what, example(cx, new)));
        }
    }
    if changes.len() == before {
        changes.push(Change::unknown(at, "changed in a way that has no explanation"));
    }
}

/// Where a secret is exchanged for a token.
fn endpoint(cx: &Cx<'_>, at: &str, old: &str, new: &str, method: &CredentialMethod) -> Option<Change> {
    if old == new {
        return None;
    }
    let what = format!("tokens come from `{new}` instead of `{old}`");
    let moved = exchange(cx, old, false).zip(exchange(cx, new, true)).is_some_and(|(old, new)| old != new);
    Some(match moved {
        true => Change::wider(at, what, example(cx, method)),
        false => Change::unknown(at, what).detail("for some configuration they may be the same"),
    })
}

fn scopes(cx: &Cx<'_>, at: &str, old: &str, new: &str, method: &CredentialMethod) -> Option<Change> {
    if old == new {
        return None;
    }
    let what = format!("asks for scope {new:?} instead of {old:?}");
    let set = |text: &'_ str| text.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>();
    let (old, new) = (set(old), set(new));
    Some(if old.is_empty() || new.is_empty() {
        Change::unknown(at, what).detail("without a scope, the provider decides (RFC 6749, 3.3)")
    } else if old == new {
        Change::different(at, what)
    } else if new.is_subset(&old) {
        Change::narrower(at, what)
    } else {
        let more: Vec<_> = new.difference(&old).cloned().collect();
        Change::wider(at, what, example(cx, method)).detail(format!("more: {}", more.join(" ")))
    })
}
