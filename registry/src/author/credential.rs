//! `[[credentials]]`: a slot and one way to fill it. The keys beside `kind` depend on the kind.

use super::table::Table;
use crate::text::did_you_mean;
use porthole_model::id::Slot;
use porthole_model::manifest::{CredentialKind, CredentialMethod};

const KINDS: [&str; 8] = [
    "header",
    "basic",
    "bearer",
    "oauth2-client-credentials",
    "oauth2-refresh-token",
    "jwt-exchange",
    "sigv4-keys",
    "sigv4-role",
];

pub(super) fn read(table: &mut Table<'_>, _: usize) -> Option<CredentialMethod> {
    let slot: Option<Slot> = table.named("slot");
    let kind_name = table.text("kind");
    let method = table.optional_text("method").or_else(|| kind_name.clone());
    if let (Some(slot), Some(method)) = (&slot, &method) {
        table.rename(&format!("credential `{slot}/{method}`"));
    }
    let description = table.optional_text("description").unwrap_or_default();
    let kind = kind_name.and_then(|name| kind(table, &name));
    // With an unknown kind, every further key would be a finding that means nothing.
    if kind.is_some() {
        table.finish();
    }
    Some(CredentialMethod { slot: slot?, method: method?, description, kind: kind? })
}

fn kind(table: &Table<'_>, name: &str) -> Option<CredentialKind> {
    Some(match name {
        "header" => {
            let (header, format) = (table.text("header"), table.text("format"));
            CredentialKind::Header { header: header?, format: format? }
        }
        "basic" => CredentialKind::Basic,
        "bearer" => CredentialKind::Bearer,
        "oauth2-client-credentials" => {
            let scope = table.optional_text("scope").unwrap_or_default();
            CredentialKind::Oauth2ClientCredentials { token_url: table.text("token-url")?, scope }
        }
        "oauth2-refresh-token" => CredentialKind::Oauth2RefreshToken { token_url: table.text("token-url")? },
        "jwt-exchange" => {
            let url_fields = table.texts("url-fields");
            let (token_url, token, expires_at) =
                (table.text("token-url"), table.text("token"), table.text("expires-at"));
            CredentialKind::JwtExchange { token_url: token_url?, url_fields, token: token?, expires_at: expires_at? }
        }
        "sigv4-keys" => CredentialKind::Sigv4Keys,
        "sigv4-role" => {
            let (token_url, region) = (table.text("token-url"), table.text("region"));
            CredentialKind::Sigv4Role { token_url: token_url?, region: region? }
        }
        _ => {
            let hint = did_you_mean(name, KINDS);
            table.refuse(Some("kind"), format!("`{name}` is no kind of credential"), hint);
            return None;
        }
    })
}
