#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::secret::test_keys::pkcs1_pem;
use crate::secret::{KeyFile, SecretFields, SecretText};
use futures_util::future::{BoxFuture, join_all};
use porthole_model::id::{InstanceId, TenantId};
use porthole_model::manifest::Method;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use url::Url;
use zeroize::Zeroizing;

const START: u64 = 1_700_000_000;

/// What a token endpoint was sent.
pub(super) struct Sent {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    content_type: Option<&'static str>,
    pub(super) body: Option<String>,
}

/// A token endpoint with its answers prepared.
#[derive(Default)]
pub(super) struct Endpoint {
    answers: Mutex<VecDeque<(u16, String)>>,
    pub(super) sent: Mutex<Vec<Sent>>,
}

impl Endpoint {
    pub(super) fn answering(answers: &[(u16, &str)]) -> Self {
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        Self { answers: Mutex::new(answers), ..Self::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

impl TokenTransport for Endpoint {
    fn post<'a>(
        &'a self,
        url: Url,
        headers: Vec<SecretHeader>,
        content_type: Option<&'static str>,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> BoxFuture<'a, Result<TokenReply, CredentialFault>> {
        Box::pin(async move {
            let headers = headers.iter().map(|h| (h.name.clone(), h.value().to_owned())).collect();
            let body = body.map(|body| String::from_utf8(body.to_vec()).unwrap());
            self.sent.lock().unwrap().push(Sent { url: url.into(), headers, content_type, body });
            // Everyone who asks at the same time gets to ask before the answer is there.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            let (status, body) = self.answers.lock().unwrap().pop_front().unwrap();
            Ok(TokenReply::new(status, Zeroizing::new(body.into_bytes())))
        })
    }
}

pub(super) struct World {
    _folder: tempfile::TempDir,
    pub(super) credentials: Credentials,
    vault: Arc<Vault>,
    pub(super) slot: Slot,
    seconds: Arc<AtomicU64>,
    kept: Arc<Keeper>,
}

#[derive(Default)]
struct Keeper {
    kept: Mutex<Vec<BoundCredential>>,
    refuse: std::sync::atomic::AtomicBool,
}

impl RotationPort for Keeper {
    fn keep<'a>(&'a self, credential: BoundCredential) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if self.refuse.load(Ordering::SeqCst) {
                return Err("the database is away".to_owned());
            }
            self.kept.lock().unwrap().push(credential);
            Ok(())
        })
    }
}

/// An instance with one credential of this kind.
async fn world(kind: &str, secret: serde_json::Value) -> World {
    world_with(kind, secret, |means| means).await
}

/// The same, used with other means.
pub(super) async fn world_with(kind: &str, secret: serde_json::Value, change: impl FnOnce(Means) -> Means) -> World {
    let method: CredentialMethod = serde_json::from_str(&format!(r#"{{"slot":"api","method":"m",{kind}}}"#)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Vault::new(Arc::new(KeyFile::open_or_create(&folder.path().join("key")).unwrap())));
    let slot = Slot::new("api").unwrap();
    let (tenant, instance) = (TenantId::new(), InstanceId::new());
    let binding = Binding { tenant, instance, slot: slot.clone(), version: 1 };
    let mut fields = SecretFields::new(&method).unwrap();
    for (name, value) in secret.as_object().unwrap() {
        fields.set(name, SecretText::new(value.as_str().unwrap().to_owned())).unwrap();
    }
    let tenant_key = vault.new_tenant_key(tenant).await.unwrap();
    let sealed = vault.seal(&tenant_key, &binding, fields).await.unwrap();
    let bound = vec![BoundCredential { binding, method, tenant_key, sealed }];
    let config = Config { values: [("host".to_owned(), "id.example".to_owned())].into(), ..Config::default() };
    let seconds = Arc::new(AtomicU64::new(START));
    let kept = Arc::new(Keeper::default());
    let hands = Arc::clone(&seconds);
    let clock: Clock = Arc::new(move || UNIX_EPOCH + Duration::from_secs(hands.load(Ordering::SeqCst)));
    let port: Arc<dyn RotationPort> = Arc::<Keeper>::clone(&kept);
    let means = change(Means { clock, rotation: Some(port), ..Means::default() });
    let credentials = Credentials::new(Arc::clone(&vault), bound, config, means);
    World { _folder: folder, credentials, vault, slot, seconds, kept }
}

impl World {
    async fn authorize(&self, endpoint: &Endpoint) -> Result<Vec<SecretHeader>, CredentialFault> {
        self.credentials.authorize(&self.slot, &request(), endpoint).await
    }

    /// The one header that goes out.
    async fn header(&self, endpoint: &Endpoint) -> (String, String) {
        let headers = self.authorize(endpoint).await.unwrap();
        assert_eq!(headers.len(), 1);
        (headers[0].name.clone(), headers[0].value().to_owned())
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn request() -> PreparedRequest {
    PreparedRequest {
        operation: porthole_model::id::OperationId::new("list").unwrap(),
        method: Method::Get,
        url: Url::parse("https://api.example/list").unwrap(),
        headers: Vec::new(),
        body: None,
        scope: None,
        auth: None,
    }
}

const CLIENT: &str =
    r#""kind":"oauth2-client-credentials","token-url":"https://{config.host}/token","scope":"read all""#;
const REFRESH: &str = r#""kind":"oauth2-refresh-token","token-url":"https://{config.host}/token""#;
const APP: &str = r#""kind":"jwt-exchange","token-url":"https://{config.host}/app/{id}/token","url-fields":["id"],"token":"/token","expires-at":"/expires_at""#;

fn client() -> serde_json::Value {
    serde_json::json!({ "client_id": "my client", "client_secret": "s3cr3t:s3cr3t" })
}

async fn refreshing() -> World {
    let secret =
        serde_json::json!({ "client_id": "me", "client_secret": "s3cr3ts3cr3t", "refresh_token": "refresh-1" });
    world(REFRESH, secret).await
}

#[tokio::test]
async fn plain_kinds_put_the_secret_into_a_header() {
    let none = Endpoint::default();
    let w = world(r#""kind":"bearer""#, serde_json::json!({ "token": "hunter2hunter2" })).await;
    assert_eq!(w.header(&none).await, ("authorization".to_owned(), "Bearer hunter2hunter2".to_owned()));
    let w = world(r#""kind":"basic""#, serde_json::json!({ "username": "Aladdin", "password": "open sesame" })).await;
    assert_eq!(w.header(&none).await.1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let kind = r#""kind":"header","header":"X-Api-Key","format":"SSWS {token}""#;
    let w = world(kind, serde_json::json!({ "token": "hunter2hunter2" })).await;
    assert_eq!(w.header(&none).await, ("x-api-key".to_owned(), "SSWS hunter2hunter2".to_owned()));
    assert_eq!(none.count(), 0);
}

#[tokio::test]
async fn a_header_that_shapes_the_request_is_refused() {
    for (header, format) in [
        ("Host", "{token}"),
        ("content-length", "{token}"),
        ("a b", "{token}"),
        ("x\r\ny", "{token}"),
        ("", "{token}"),
        ("x", "no place"),
        ("x", "{token}\r\ny: z"),
    ] {
        let kind = format!(
            r#""kind":"header","header":{},"format":{}"#,
            serde_json::to_string(header).unwrap(),
            serde_json::to_string(format).unwrap()
        );
        let w = world(&kind, serde_json::json!({ "token": "hunter2hunter2" })).await;
        let fault = w.authorize(&Endpoint::default()).await.unwrap_err();
        assert!(matches!(fault, CredentialFault::Method { .. }), "{header:?} {format:?}");
        assert!(!fault.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn an_empty_slot_and_a_foreign_secret_are_faults() {
    let w = world(r#""kind":"bearer""#, serde_json::json!({ "token": "hunter2hunter2" })).await;
    let other = Slot::new("other").unwrap();
    assert!(w.credentials.is_bound(&w.slot) && !w.credentials.is_bound(&other));
    let fault = w.credentials.authorize(&other, &request(), &Endpoint::default()).await.unwrap_err();
    assert!(matches!(fault, CredentialFault::NotBound { .. }));

    let mut bound = w.credentials.inner.slots[&w.slot].bound.clone();
    bound.binding.version = 2;
    let credentials = Credentials::new(Arc::clone(&w.vault), vec![bound], Config::default(), Means::default());
    let fault = credentials.authorize(&w.slot, &request(), &Endpoint::default()).await.unwrap_err();
    assert!(matches!(fault, CredentialFault::Unreadable { .. }));
}

#[tokio::test]
async fn client_credentials_buy_a_token_once_until_shortly_before_it_expires() {
    let w = world(CLIENT, client()).await;
    let endpoint = Endpoint::answering(&[
        (200, r#"{"access_token":"token-one","token_type":"Bearer","expires_in":3600}"#),
        (200, r#"{"access_token":"token-two","expires_in":"60"}"#),
        (200, r#"{"access_token":"token-three"}"#),
    ]);
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-one");
    {
        let sent = endpoint.sent.lock().unwrap();
        assert_eq!(sent[0].url, "https://id.example/token");
        assert_eq!(sent[0].content_type, Some("application/x-www-form-urlencoded"));
        assert_eq!(sent[0].body.as_deref(), Some("grant_type=client_credentials&scope=read+all"));
        // `my+client:s3cr3t%3As3cr3t`
        let basic = "Basic bXkrY2xpZW50OnMzY3IzdCUzQXMzY3IzdA==".to_owned();
        assert!(sent[0].headers.contains(&("authorization".to_owned(), basic)));
        assert!(sent[0].headers.contains(&("accept".to_owned(), "application/json".to_owned())));
    }
    w.pass(3600 - 5 * 60 - 1);
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-one");
    w.pass(1);
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-two");
    // A short life is used to its half.
    w.pass(29);
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-two");
    w.pass(1);
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-three");
    assert_eq!(endpoint.count(), 3);
}

#[tokio::test]
async fn many_callers_share_one_purchase_and_one_fault() {
    let w = world(CLIENT, client()).await;
    let endpoint = Endpoint::answering(&[(503, "{}"), (200, r#"{"access_token":"token-one","expires_in":3600}"#)]);
    let all = join_all((0..8).map(|_| w.authorize(&endpoint))).await;
    assert!(all.iter().all(|r| matches!(r, Err(CredentialFault::TokenEndpoint { status: 503, .. }))));
    assert_eq!(endpoint.count(), 1, "the failed purchase was shared");
    let all = join_all((0..8).map(|_| w.authorize(&endpoint))).await;
    assert!(all.iter().all(|r| r.as_ref().is_ok_and(|h| h[0].value() == "Bearer token-one")));
    assert_eq!(endpoint.count(), 2, "the purchase was shared");
}

#[tokio::test]
async fn a_purchase_that_is_given_up_is_taken_over() {
    let w = world(CLIENT, client()).await;
    let endpoint = Endpoint::answering(&[(200, r#"{"access_token":"token-one","expires_in":3600}"#)]);
    {
        let given_up = std::pin::pin!(w.authorize(&endpoint));
        let is_sent = std::pin::pin!(async {
            while endpoint.count() == 0 {
                tokio::task::yield_now().await;
            }
        });
        let first = futures_util::future::select(given_up, is_sent).await;
        assert!(matches!(first, futures_util::future::Either::Right(_)));
    }
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-one");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let w = world(CLIENT, client()).await;
    let endpoint = Endpoint::answering(&[
        (200, r#"{"access_token":"token-one","expires_in":3600}"#),
        (200, r#"{"access_token":"token-two","expires_in":3600}"#),
    ]);
    w.credentials.rejected(&w.slot);
    w.header(&endpoint).await;
    w.pass(60);
    w.credentials.rejected(&w.slot);
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-two");
    // The late 401s of the other requests that went out with the first token.
    w.pass(1);
    w.credentials.rejected(&w.slot);
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-two");
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn answers_that_are_no_token_are_faults() {
    for answer in [
        "",
        "no json",
        "{}",
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":"with space"}"#,
        r#"{"access_token":"line\r\nbreak: x"}"#,
        r#"{"access_token":"token-one","token_type":"mac"}"#,
        r#"{"access_token":"token-one","expires_in":0}"#,
        r#"{"access_token":"token-one","expires_in":"soon"}"#,
    ] {
        let w = world(CLIENT, client()).await;
        let fault = w.authorize(&Endpoint::answering(&[(200, answer)])).await.unwrap_err();
        assert!(matches!(fault, CredentialFault::Malformed { .. }), "{answer}: {fault}");
        assert!(!fault.to_string().contains("token-one"));
    }
}

#[tokio::test]
async fn a_refusal_says_why_without_the_secret() {
    let w = world(CLIENT, client()).await;
    let answer = r#"{"error":"invalid_client","error_description":"no client with s3cr3t:s3cr3t\u0007"}"#;
    let fault = w.authorize(&Endpoint::answering(&[(401, answer)])).await.unwrap_err();
    assert_eq!(fault.to_string(), "the token endpoint of slot `api` answered 401: no client with [redacted] ");
    assert!(!fault.is_retryable() && !format!("{fault:?}").contains("s3cr3t"));
    let fault = w.authorize(&Endpoint::answering(&[(503, "<html>s3cr3t:s3cr3t")])).await.unwrap_err();
    assert!(fault.is_retryable() && !fault.to_string().contains("s3cr3t"));
}

#[tokio::test]
async fn an_app_exchanges_its_jwt() {
    let w = world(APP, serde_json::json!({ "issuer": "12345", "id": "678", "private_key": pkcs1_pem() })).await;
    let endpoint = Endpoint::answering(&[
        // One hour after START, in the way GitHub writes it.
        (201, r#"{"token":"ghs_installation","expires_at":"2023-11-14T23:13:20Z","permissions":{}}"#),
        (201, r#"{"token":"ghs_second","expires_at":"2023-11-14T22:00:00Z"}"#),
        (201, r#"{"token":"ghs_second"}"#),
    ]);
    assert_eq!(w.header(&endpoint).await.1, "Bearer ghs_installation");
    let jwt = {
        let sent = endpoint.sent.lock().unwrap();
        assert_eq!(sent[0].url, "https://id.example/app/678/token");
        assert!(sent[0].body.is_none() && sent[0].content_type.is_none());
        sent[0].headers.iter().find(|(name, _)| name == "authorization").unwrap().1.replace("Bearer ", "")
    };
    assert_eq!(jwt.split('.').count(), 3);
    let echo = w.credentials.scrub_text(&format!("{jwt} ghs_installation 12345 678"));
    assert_eq!(echo, "[redacted] [redacted] 12345 678", "identifiers stay");
    w.pass(3300);
    for _ in 0..2 {
        assert!(matches!(w.authorize(&endpoint).await, Err(CredentialFault::Malformed { .. })));
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_is_kept_and_used() {
    let w = refreshing().await;
    let endpoint = Endpoint::answering(&[
        (200, r#"{"access_token":"token-one","expires_in":60,"refresh_token":"refresh-2"}"#),
        (200, r#"{"access_token":"token-two","expires_in":60,"refresh_token":"refresh-2"}"#),
        (200, r#"{"access_token":"token-three","expires_in":60,"refresh_token":"refresh-3"}"#),
    ]);
    for _ in 0..3 {
        w.header(&endpoint).await;
        w.pass(60);
    }
    let used: Vec<_> = endpoint.sent.lock().unwrap().iter().map(|s| s.body.clone().unwrap()).collect();
    let expected = ["refresh-1", "refresh-2", "refresh-2"];
    assert_eq!(used, expected.map(|t| format!("grant_type=refresh_token&refresh_token={t}")));

    let kept = w.kept.kept.lock().unwrap().clone();
    assert_eq!(kept.iter().map(|c| c.binding.version).collect::<Vec<_>>(), [2, 3]);
    let BoundCredential { binding, method, tenant_key, sealed } = kept.last().unwrap();
    let open = w.vault.open(tenant_key, binding, method, sealed).await.unwrap();
    assert_eq!((open.get("refresh_token"), open.get("client_id")), (Some("refresh-3"), Some("me")));
    assert_eq!(w.credentials.scrub_text("refresh-1 refresh-2 refresh-3"), "[redacted] [redacted] [redacted]");
}

#[tokio::test]
async fn a_rotated_refresh_token_that_cannot_be_kept_stops_the_call() {
    let w = refreshing().await;
    w.kept.refuse.store(true, Ordering::SeqCst);
    let endpoint =
        Endpoint::answering(&[(200, r#"{"access_token":"token-one","expires_in":60,"refresh_token":"refresh-2"}"#)]);
    assert!(matches!(w.authorize(&endpoint).await, Err(CredentialFault::NotKept { .. })));
    // Nothing more is bought while it isn't stored; once it can be, it is, and the run goes on with it.
    assert!(matches!(w.authorize(&endpoint).await, Err(CredentialFault::NotKept { .. })));
    assert_eq!(endpoint.count(), 1);
    w.kept.refuse.store(false, Ordering::SeqCst);
    endpoint.answers.lock().unwrap().push_back((200, r#"{"access_token":"token-two"}"#.to_owned()));
    assert_eq!(w.header(&endpoint).await.1, "Bearer token-two");
    assert_eq!(w.kept.kept.lock().unwrap().iter().map(|c| c.binding.version).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn replies_are_searched_from_the_first_use_on() {
    let w =
        world(r#""kind":"basic""#, serde_json::json!({ "username": "svc-reader", "password": "hunter2hunter2" })).await;
    assert_eq!(w.credentials.scrub_text("hunter2hunter2"), "hunter2hunter2", "never opened, never sent");
    let (_, value) = w.header(&Endpoint::default()).await;
    let echo = w.credentials.scrub_text(&format!("{value} svc-reader hunter2hunter2"));
    assert!(echo.ends_with("[redacted] svc-reader [redacted]"), "{echo}");
    let (body, count) = w.credentials.clone().scrub_reflections(b"hunter2hunter2, hunter2hunter2".to_vec());
    assert_eq!((body.as_slice(), count), (&b"[redacted], [redacted]"[..], 2));

    // An API key as the user name, with a filler for a password.
    let w = world(r#""kind":"basic""#, serde_json::json!({ "username": "key-0123456789", "password": "X" })).await;
    w.header(&Endpoint::default()).await;
    assert_eq!(w.credentials.scrub_text("key-0123456789"), "[redacted]");
}

#[tokio::test]
async fn nothing_prints_a_secret() {
    let w = world(r#""kind":"bearer""#, serde_json::json!({ "token": "hunter2hunter2" })).await;
    let headers = w.authorize(&Endpoint::default()).await.unwrap();
    let reply = TokenReply::new(200, Zeroizing::new(b"hunter2hunter2".to_vec()));
    let bound = &w.credentials.inner.slots[&w.slot].bound;
    let shown = format!("{headers:?} {reply:?} {:?} {bound:?} {:?}", w.credentials, w.vault);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("authorization: [redacted]"));
}
