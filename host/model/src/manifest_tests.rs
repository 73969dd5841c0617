#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use serde_json::{Value, json};

fn credential(value: Value) -> Result<CredentialMethod, String> {
    serde_json::from_value(value).map_err(|e| e.to_string())
}

#[test]
fn every_kind_of_credential_reads_and_writes_back() {
    let kinds = [
        json!({ "slot": "api", "method": "token", "kind": "bearer" }),
        json!({ "slot": "api", "method": "token", "kind": "basic" }),
        json!({ "slot": "api", "method": "token", "description": "d", "kind": "header", "header": "x-key", "format": "{token}" }),
        json!({ "slot": "api", "method": "app", "kind": "oauth2-client-credentials", "token-url": "https://h/t", "scope": "read" }),
        json!({ "slot": "api", "method": "app", "kind": "oauth2-refresh-token", "token-url": "https://h/t" }),
        json!({
            "slot": "api",
            "method": "app",
            "kind": "jwt-exchange",
            "token-url": "https://h/{installation}/t",
            "url-fields": ["installation"],
            "token": "/token",
            "expires-at": "/expires_at",
        }),
    ];
    for kind in kinds {
        let read = credential(kind.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), kind);
    }
}

#[test]
fn a_field_that_nobody_reads_is_refused() {
    let method = |extra: Value| {
        let mut value =
            json!({ "slot": "api", "method": "app", "kind": "oauth2-refresh-token", "token-url": "https://h/t" });
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        credential(value)
    };
    assert!(method(json!({ "description": "d" })).is_ok());
    for typo in ["token_url", "scope", "descripton", "slots"] {
        assert!(method(json!({ typo: "x" })).unwrap_err().contains("unknown field"), "{typo}");
    }
}
