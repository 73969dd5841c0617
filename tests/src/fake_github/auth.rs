//! Who may ask. Tokens as a header of either word or as a password; app JWTs for the few paths of apps.

use super::jwt;
use super::reply::Reply;
use super::seed::{Salt, letters};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

/// A GitHub App and its one installation.
#[derive(Debug, Clone)]
pub struct App {
    /// The app's id: what the JWT's `iss` must say, as a number or as text.
    pub app_id: String,
    /// The installation's id, in the path of the token request.
    pub installation_id: u64,
    /// The public key that JWTs are checked with: PKCS#1 or SubjectPublicKeyInfo, in DER or PEM. Without one, only the
    /// shape and the claims are checked.
    pub public_key: Option<Vec<u8>>,
    /// How long an installation token lives. The real API gives one hour.
    pub token_lives: Duration,
}

impl App {
    /// An app whose JWTs are checked for shape and claims, with tokens of one hour.
    #[must_use]
    pub fn new(app_id: impl Into<String>, installation_id: u64) -> Self {
        Self { app_id: app_id.into(), installation_id, public_key: None, token_lives: Duration::from_secs(3600) }
    }
}

/// What tokens are accepted.
#[derive(Debug)]
pub(super) struct Auth {
    seed: u64,
    tokens: Vec<String>,
    app: Option<App>,
    /// Installation tokens and the time at which each ends.
    issued: HashMap<String, Timestamp>,
}

/// The permissions that an installation has.
const PERMISSIONS: &str = r#"{"administration":"read","members":"read","metadata":"read"}"#;

impl Auth {
    pub(super) fn new(seed: u64, tokens: Vec<String>, app: Option<App>) -> Self {
        Self { seed, tokens, app, issued: HashMap::new() }
    }

    /// A token for those who configure none.
    pub(super) fn default_token(seed: u64) -> String {
        format!("ghp_{}", letters(seed, Salt::Secret, u64::MAX, 36))
    }

    /// Is there a token that is accepted? The answer is whether it belongs to an installation.
    pub(super) fn check(&self, headers: &HeaderMap, now: Timestamp) -> Result<bool, Reply> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Err(Reply::error(401, "Requires authentication"));
        };
        let token = value.to_str().ok().and_then(token_of).ok_or_else(Reply::bad_credentials)?;
        if self.tokens.contains(&token) {
            return Ok(false);
        }
        match self.issued.get(&token) {
            Some(ends) if now < *ends => Ok(true),
            _ => Err(Reply::bad_credentials()),
        }
    }

    /// Is there a JWT of the app?
    pub(super) fn check_app(&self, headers: &HeaderMap, now: Timestamp) -> Result<&App, Reply> {
        let app = self.app.as_ref().ok_or_else(Reply::not_found)?;
        let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = value.and_then(|v| v.strip_prefix("Bearer ").or_else(|| v.strip_prefix("bearer ")));
        let token = token.ok_or_else(|| Reply::error(401, "A JSON web token could not be decoded"))?;
        match jwt::check(token, &app.app_id, app.public_key.as_deref(), now.as_second()) {
            Ok(()) => Ok(app),
            Err(error) => Err(Reply::error(401, &error.to_string())),
        }
    }

    /// `POST /app/installations/{id}/access_tokens`.
    pub(super) fn issue(&mut self, headers: &HeaderMap, installation: u64, now: Timestamp) -> Reply {
        let lives = match self.check_app(headers, now) {
            Err(reply) => return reply,
            Ok(app) if app.installation_id != installation => return Reply::not_found(),
            Ok(app) => app.token_lives,
        };
        let number = u64::try_from(self.issued.len()).unwrap_or(0) + 1;
        let token = format!("ghs_{}", letters(self.seed, Salt::Secret, u64::MAX - number, 36));
        let ends = now.checked_add(lives).unwrap_or(Timestamp::MAX);
        self.issued.insert(token.clone(), ends);
        // The real API leaves out fractions of a second, and never promises more than there is.
        let shown = Timestamp::from_second(ends.as_second()).unwrap_or(ends).to_string();
        let permissions: serde_json::Value = serde_json::from_str(PERMISSIONS).unwrap_or_default();
        let body = json!({
            "token": token, "expires_at": shown, "permissions": permissions, "repository_selection": "all",
        });
        Reply::json(201, body.to_string())
    }

    /// `GET /app/installations/{id}`, without the account.
    pub(super) fn installation(app: &App, api: &str, account: &str, account_kind: &str) -> String {
        let id = app.installation_id;
        let app_id = app.app_id.parse::<u64>().unwrap_or(0);
        format!(
            "{{\"id\":{id},\"account\":{account},\"repository_selection\":\"all\",\
             \"access_tokens_url\":\"{api}/app/installations/{id}/access_tokens\",\
             \"repositories_url\":\"{api}/installation/repositories\",\"app_id\":{app_id},\"app_slug\":\"porthole\",\
             \"target_type\":\"{account_kind}\",\"permissions\":{PERMISSIONS},\"events\":[],\"suspended_at\":null}}"
        )
    }
}

/// The token in an `Authorization` header: `token X`, `Bearer X`, or the password of `Basic`.
fn token_of(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "token" | "bearer" => Some(rest.trim().to_owned()),
        "basic" => {
            let plain = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
            let (user, password) = plain.split_once(':')?;
            Some(if password == "x-oauth-basic" || password.is_empty() { user } else { password }.to_owned())
        }
        _ => None,
    }
}
