//! A key service that speaks as much of the transit API as Porthole asks for, as the API is documented:
//! <https://developer.hashicorp.com/vault/api-docs/secret/transit>. It really encrypts, with keys derived from the context,
//! so that what doesn't belong together doesn't open.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method and what follows `/v1`: `POST transit/decrypt/porthole`.
    pub what: String,
    /// The token.
    pub token: String,
    /// The namespace, if one was named.
    pub namespace: Option<String>,
    /// The body.
    pub body: Value,
}

/// What happens to a request instead of its answer.
#[derive(Debug, Clone)]
pub enum Mishap {
    /// This status with this body.
    Say(u16, String),
    /// A redirect.
    Redirect(String),
    /// The right answer, later.
    Late(Duration),
}

/// A running fake. It ends with the test.
#[derive(Clone)]
pub struct FakeTransit {
    url: String,
    state: Arc<Mutex<Service>>,
}

/// What the service is like now.
pub struct Service {
    /// The token that it takes.
    pub token: String,
    /// It is sealed.
    pub sealed: bool,
    /// The key is made with derivation.
    pub derived: bool,
    /// The key's type.
    pub kind: String,
    /// There is such a key.
    pub exists: bool,
    /// The lowest version that is decrypted.
    pub min_decryption_version: usize,
    /// Capabilities that the token lacks, as the beginning of a path: `keys/porthole/rotate`.
    pub forbidden: Vec<String>,
    /// What happens to the next requests, before anything else.
    pub mishaps: VecDeque<Mishap>,
    /// What came.
    pub asked: Vec<Asked>,
    versions: Vec<[u8; 32]>,
}

impl FakeTransit {
    /// Starts a service with a key `porthole`, made with derivation, that takes this token.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(token: &str) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Service {
            token: token.to_owned(),
            sealed: false,
            derived: true,
            kind: "aes256-gcm96".to_owned(),
            exists: true,
            min_decryption_version: 1,
            forbidden: Vec::new(),
            mishaps: VecDeque::new(),
            asked: Vec::new(),
            versions: vec![rand::random()],
        };
        let fake = Self { url, state: Arc::new(Mutex::new(state)) };
        let routes = axum::Router::new().route("/v1/{*path}", axum::routing::any(answer)).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(fake)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Looks at the service, or changes it.
    pub fn service(&self) -> MutexGuard<'_, Service> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests of this kind came: `POST transit/decrypt`.
    #[must_use]
    pub fn count(&self, what: &str) -> usize {
        self.service().asked.iter().filter(|asked| asked.what.starts_with(what)).count()
    }
}

impl Service {
    /// A new version of the key.
    pub fn rotate(&mut self) {
        self.versions.push(rand::random());
    }

    fn answer(&mut self, asked: &Asked) -> Response {
        if self.sealed {
            return errors(503, "Vault is sealed");
        }
        let (method, path) = asked.what.split_once(' ').unwrap_or_default();
        let Some(path) = path.strip_prefix("transit/") else { return errors(404, "no handler for route") };
        if asked.token != self.token || self.forbidden.iter().any(|f| path.starts_with(f)) {
            return errors(403, "1 error occurred:\n\t* permission denied\n\n");
        }
        if !path.split('/').any(|part| part == "porthole") || !self.exists {
            return if method == "GET" {
                status(404, &json!({ "errors": [] }))
            } else {
                errors(400, "encryption key not found")
            };
        }
        match (method, path) {
            ("GET", "keys/porthole") => self.describe(),
            ("POST", "keys/porthole/rotate") => {
                self.rotate();
                self.describe()
            }
            ("POST", "keys/porthole/config") => {
                let least = asked.body.get("min_decryption_version").and_then(Value::as_u64);
                self.min_decryption_version = least.and_then(|n| usize::try_from(n).ok()).unwrap_or(0).max(1);
                self.describe()
            }
            ("POST", verb) => self.convert(verb.split('/').next().unwrap_or_default(), &asked.body),
            _ => errors(405, "unsupported operation"),
        }
    }

    fn describe(&self) -> Response {
        let keys: serde_json::Map<_, _> = (self.min_decryption_version..=self.versions.len())
            .map(|v| (v.to_string(), json!(1_700_000_000)))
            .collect();
        let data = json!({
            "name": "porthole", "type": self.kind, "derived": self.derived, "keys": keys,
            "latest_version": self.versions.len(), "min_decryption_version": self.min_decryption_version,
            "min_encryption_version": 0, "min_available_version": 0, "exportable": false, "deletion_allowed": false,
            "supports_encryption": true, "supports_decryption": true, "supports_derivation": true,
        });
        status(200, &json!({ "request_id": "r", "lease_id": "", "data": data, "warnings": null }))
    }

    fn convert(&self, verb: &str, body: &Value) -> Response {
        let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let Ok(context) = STANDARD.decode(text("context")) else { return errors(400, "illegal base64 data") };
        if self.derived && context.is_empty() {
            return errors(400, "missing 'context' for key derivation; the key was created using a derived key");
        }
        let context = if self.derived { context } else { Vec::new() };
        let made = match verb {
            "encrypt" => match STANDARD.decode(text("plaintext")) {
                Ok(plaintext) => self.seal(&context, plaintext).map(|c| ("ciphertext", c)),
                Err(_) => Err("illegal base64 data"),
            },
            "decrypt" => self.open(&context, &text("ciphertext")).map(|p| ("plaintext", STANDARD.encode(p))),
            "rewrap" => {
                let opened = self.open(&context, &text("ciphertext"));
                opened.and_then(|p| self.seal(&context, p)).map(|c| ("ciphertext", c))
            }
            _ => return errors(404, "no handler for route"),
        };
        match made {
            Ok((field, value)) => status(200, &json!({ "data": { field: value, "key_version": self.versions.len() } })),
            Err(message) => errors(400, message),
        }
    }

    fn key(&self, version: usize, context: &[u8]) -> Option<LessSafeKey> {
        let derived =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.versions.get(version.checked_sub(1)?)?), context);
        UnboundKey::new(&AES_256_GCM, derived.as_ref()).ok().map(LessSafeKey::new)
    }

    fn seal(&self, context: &[u8], mut plaintext: Vec<u8>) -> Result<String, &'static str> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let version = self.versions.len();
        let key = self.key(version, context).ok_or("no key")?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut plaintext)
            .map_err(|_| "can't encrypt")?;
        Ok(format!("vault:v{version}:{}", STANDARD.encode([nonce.as_slice(), &plaintext].concat())))
    }

    fn open(&self, context: &[u8], ciphertext: &str) -> Result<Vec<u8>, &'static str> {
        let rest = ciphertext.strip_prefix("vault:v").ok_or("invalid ciphertext: no prefix")?;
        let (version, bytes) = rest.split_once(':').ok_or("invalid ciphertext: wrong number of fields")?;
        let version: usize = version.parse().map_err(|_| "invalid ciphertext: version number could not be decoded")?;
        if version > self.versions.len() {
            return Err("invalid ciphertext: version is too new");
        }
        if version < self.min_decryption_version {
            return Err("ciphertext or signature version is disallowed by policy (too old)");
        }
        let mut bytes = STANDARD.decode(bytes).map_err(|_| "invalid ciphertext: could not decode base64")?;
        let key = self.key(version, context).ok_or("no key")?;
        let (nonce, body) = bytes.split_at_mut_checked(NONCE_LEN).ok_or("invalid ciphertext length")?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| "invalid ciphertext length")?;
        let failed = "cipher: message authentication failed";
        key.open_in_place(nonce, Aad::empty(), body).map(|plain| plain.to_vec()).map_err(|_| failed)
    }
}

async fn answer(
    State(fake): State<FakeTransit>,
    method: Method,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let asked = Asked {
        what: format!("{method} {path}"),
        token: header("x-vault-token").unwrap_or_default(),
        namespace: header("x-vault-namespace"),
        body: serde_json::from_str(&body).unwrap_or_default(),
    };
    let mishap = {
        let mut service = fake.service();
        service.asked.push(asked.clone());
        service.mishaps.pop_front()
    };
    match mishap {
        Some(Mishap::Say(code, body)) => return (code_of(code), body).into_response(),
        Some(Mishap::Redirect(to)) => return (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response(),
        Some(Mishap::Late(time)) => tokio::time::sleep(time).await,
        None => {}
    }
    fake.service().answer(&asked)
}

fn errors(code: u16, message: &str) -> Response {
    status(code, &json!({ "errors": [message] }))
}

fn status(code: u16, body: &Value) -> Response {
    (code_of(code), body.to_string()).into_response()
}

fn code_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
