//! Calls against fakes on loopback. A fake answers from a function of the request's number and text, byte for byte, so
//! that it can misbehave in ways that a well-made server can't.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use crate::config::{EgressConfig, Endpoint};
use crate::credential::{BoundCredential, Clock, Credentials, Means};
use crate::fault::FaultCode;
use crate::resolve::{Resolve, ResolveError, StaticResolver};
use crate::scrub::ScrubRules;
use crate::secret::{Binding, KeyFile, SecretFields, SecretText, Vault};
use crate::session::{CallLimits, Egress, Observer, Reply, Session, SessionConfig};
use crate::status::ReplyRules;
use crate::{CallFault, pace};
use flate2::{Compression, write::GzEncoder};
use futures_util::future::{BoxFuture, join_all};
use porthole_model::id::{InstanceId, OperationId, Slot, TenantId};
use porthole_model::manifest::{CredentialKind, CredentialMethod, EmptyOn, Method, Rate, ScrubRule};
use porthole_model::operation::{Config, PreparedRequest};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "ghx_0123456789abcdefghijABCDEFGHIJ";

/// What a fake does with request number n (from 1).
type Answer = Arc<dyn Fn(usize, &str) -> Act + Send + Sync>;

enum Act {
    /// Writes this and keeps the connection.
    Say(Vec<u8>),
    /// Writes this and closes.
    SayAndClose(Vec<u8>),
    /// Writes this after a while.
    Wait(Duration, Vec<u8>),
}

struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Fake {
    async fn start(answer: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            most_at_once: Arc::default(),
        };
        let (seen, connections, most) = (fake.seen.clone(), fake.connections.clone(), fake.most_at_once.clone());
        let (answer, at_once): (Answer, _) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer, most, at_once) = (seen.clone(), answer.clone(), most.clone(), at_once.clone());
                tokio::spawn(serve(stream, seen, answer, most, at_once));
            }
        });
        fake
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn hits(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn request(&self, n: usize) -> String {
        self.seen.lock().unwrap().get(n).cloned().unwrap_or_default()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    answer: Answer,
    most: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
) {
    while let Some(request) = read_request(&mut stream).await {
        let n = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len()
        };
        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let act = answer(n, &request);
        let (bytes, keep) = match act {
            Act::Say(bytes) => (bytes, true),
            Act::SayAndClose(bytes) => (bytes, false),
            Act::Wait(time, bytes) => {
                tokio::time::sleep(time).await;
                (bytes, true)
            }
        };
        at_once.fetch_sub(1, Ordering::SeqCst);
        if stream.write_all(&bytes).await.is_err() || !keep {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// Head and body of one request.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let head = loop {
        if let Some(at) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    };
    let lower = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let length = lower.lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    while text.len() < head + length.unwrap_or(0) {
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn http(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn say(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Act {
    Act::Say(http(status, headers, body))
}

/// One way out, and who watches it.
struct World {
    session: Session,
    rules: ReplyRules,
    slot: Option<Slot>,
    waits: Waits,
}

#[derive(Default)]
struct Waits(Mutex<Vec<(Duration, String)>>);

impl Observer for Waits {
    fn waiting(&self, operation: &OperationId, wait: Duration, reason: &str) {
        assert_eq!(operation.as_str(), "list-things");
        self.0.lock().unwrap().push((wait, reason.to_owned()));
    }
}

struct Setting {
    allow: Vec<String>,
    endpoints: Vec<Endpoint>,
    resolver: Arc<dyn Resolve>,
    limits: CallLimits,
    rate: Rate,
    scrub: Vec<ScrubRule>,
    credential: Option<(CredentialKind, String)>,
    clock: Clock,
}

impl Setting {
    /// Loopback is an exception; limits are small enough for a test to reach them.
    fn new(fakes: &[&Fake]) -> Self {
        Self {
            allow: fakes.iter().map(|fake| fake.address.to_string()).collect(),
            endpoints: Vec::new(),
            resolver: Arc::new(StaticResolver::default()),
            limits: CallLimits {
                max_body_bytes: 64 * 1024,
                call_timeout: Duration::from_secs(5),
                max_attempts: 3,
                ..CallLimits::default()
            },
            rate: Rate::default(),
            scrub: Vec::new(),
            credential: None,
            clock: Arc::new(SystemTime::now),
        }
    }

    fn egress(&self) -> Egress {
        let config = EgressConfig {
            allow: self.allow.iter().map(|text| text.parse().unwrap()).collect(),
            endpoints: self.endpoints.clone(),
            ..EgressConfig::default()
        };
        Egress::new(config, Arc::clone(&self.resolver)).unwrap()
    }

    async fn world(self) -> World {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::new(Arc::new(KeyFile::open_or_create(&folder.path().join("key")).unwrap())));
        let slot = Slot::new("api").unwrap();
        let mut bound = Vec::new();
        if let Some((kind, input)) = self.credential.clone() {
            let method =
                CredentialMethod { slot: slot.clone(), method: "m".to_owned(), description: String::new(), kind };
            let binding =
                Binding { tenant: TenantId::new(), instance: InstanceId::new(), slot: slot.clone(), version: 1 };
            let tenant_key = vault.new_tenant_key(binding.tenant).await.unwrap();
            let fields = SecretFields::from_input(&method, SecretText::new(input)).unwrap();
            let sealed = vault.seal(&tenant_key, &binding, fields).await.unwrap();
            bound.push(BoundCredential { binding, method, tenant_key, sealed });
        }
        let means = Means { clock: self.clock.clone(), ..Means::default() };
        let credentials = Credentials::new(vault, bound, Config::default(), means);
        let session = self.egress().session(SessionConfig {
            account: "account".to_owned(),
            rate: self.rate,
            credentials,
            scrub: ScrubRules::new(&self.scrub),
            limits: self.limits,
        });
        let slot = self.credential.is_some().then_some(slot);
        World { session, rules: ReplyRules::default(), slot, waits: Waits::default() }
    }
}

impl World {
    async fn of(fake: &Fake) -> Self {
        Setting::new(&[fake]).world().await
    }

    fn request(&self, url: &str) -> PreparedRequest {
        PreparedRequest {
            operation: OperationId::new("list-things").unwrap(),
            method: Method::Get,
            url: url.parse().unwrap(),
            headers: vec![("accept".to_owned(), "application/json".to_owned())],
            body: None,
            auth: self.slot.clone(),
            scope: None,
        }
    }

    async fn send(&self, request: &PreparedRequest) -> Result<Reply, CallFault> {
        let call = self.session.send(request, &self.rules, &self.waits);
        tokio::time::timeout(Duration::from_secs(20), call).await.unwrap()
    }

    async fn get(&self, url: &str) -> Result<Reply, CallFault> {
        self.send(&self.request(url)).await
    }

    async fn fault(&self, url: &str) -> CallFault {
        self.get(url).await.unwrap_err()
    }

    fn waits(&self) -> Vec<(Duration, String)> {
        self.waits.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_reply_comes_back_with_declared_headers_only() {
    let headers = "x-total: 7\r\nx-other: 1\r\nlink: <a>; rel=\"next\"\r\nlink: <b>; rel=\"last\"\r\n";
    let fake = Fake::start(move |_, _| say(200, headers, "[1]")).await;
    let mut world = World::of(&fake).await;
    world.rules.response_headers = vec!["x-total".to_owned(), "x-absent".to_owned()];
    let reply = world.get(&fake.url("/things?page=1")).await.unwrap();
    assert_eq!((reply.status, &*reply.body, reply.empty), (200, b"[1]".as_slice(), false));
    assert_eq!(reply.headers, [("x-total".to_owned(), "7".to_owned())]);
    assert_eq!(reply.link.as_deref(), Some("<a>; rel=\"next\", <b>; rel=\"last\""));
    assert_eq!((reply.stats.attempts, reply.stats.address), (1, Some(fake.address)));
    assert!(reply.stats.sent_bytes > 50 && reply.stats.received_bytes > 3);
    let request = fake.request(0);
    assert!(request.starts_with("GET /things?page=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: porthole/") && request.contains("accept-encoding: gzip\r\n"), "{request}");
    assert!(!request.contains("x-forwarded") && !request.contains("referer"), "{request}");
}

/// Runs the test above in a process whose environment names a proxy that isn't there.
#[test]
fn proxy_variables_are_ignored() {
    let this = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(this);
    command.args(["--exact", "send::tests::a_reply_comes_back_with_declared_headers_only"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    for name in ["no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn loopback_takes_an_exception_and_for_that_port_alone() {
    let fake = Fake::start(|_, _| say(200, "", "[]")).await;
    let none = Setting::new(&[]).world().await;
    let fault = none.fault(&fake.url("/")).await;
    assert_eq!(fault.code, FaultCode::AddressRefused);
    assert!(fault.message.contains("loopback"), "{fault}");
    let elsewhere = Setting { allow: vec!["127.0.0.1:1".to_owned()], ..Setting::new(&[]) }.world().await;
    assert_eq!(elsewhere.fault(&fake.url("/")).await.code, FaultCode::AddressRefused);
    let resolver = Arc::new(StaticResolver::parse(["inside.example=127.0.0.1"]).unwrap());
    let named = Setting { resolver, ..Setting::new(&[]) }.world().await;
    let fault = named.fault(&format!("https://inside.example:{}/", fake.address.port())).await;
    assert_eq!((fault.code, fault.stats.attempts), (FaultCode::AddressRefused, 1));
    assert_eq!(fake.connections.load(Ordering::SeqCst), 0);
    assert!(World::of(&fake).await.get(&fake.url("/")).await.is_ok());
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let inside = Fake::start(|_, _| say(200, "", "[\"inside\"]")).await;
    let location = format!("location: {}\r\n", inside.url("/secret?signature=geheim"));
    let fake = Fake::start(move |n, _| say(if n == 1 { 302 } else { 307 }, &location, "")).await;
    let world = Setting::new(&[&fake, &inside]).world().await;
    for status in [302, 307] {
        let fault = world.fault(&fake.url("/")).await;
        assert_eq!((fault.code, fault.status), (FaultCode::Redirect, Some(status)));
        assert!(!fault.message.contains("geheim"), "{fault}");
    }
    assert_eq!((inside.hits(), fake.hits()), (0, 2));
}

/// Answers differently each time; the last answer stays.
struct Rebinding(Vec<&'static str>, AtomicUsize);

impl Resolve for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        let n = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
        let found = self.0.get(n).unwrap().split(' ').map(|ip| ip.parse().unwrap()).collect();
        Box::pin(std::future::ready(Ok(found)))
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_vetted_again_and_looked_up_once_a_connection() {
    let fake = Fake::start(|_, _| Act::SayAndClose(http(200, "connection: close\r\n", "[]"))).await;
    let resolver = Arc::new(Rebinding(vec!["10.0.0.1 127.0.0.1", "127.0.0.2"], AtomicUsize::new(0)));
    let world = Setting { resolver: resolver.clone(), ..Setting::new(&[&fake]) }.world().await;
    let url = format!("http://changing.example:{}/", fake.address.port());
    let reply = world.get(&url).await.unwrap();
    assert_eq!(reply.stats.address, Some(fake.address), "the private address was dropped before dialling");
    assert_eq!(resolver.1.load(Ordering::SeqCst), 1);
    let fault = world.fault(&url).await;
    assert_eq!(fault.code, FaultCode::AddressRefused);
    assert!(fault.message.contains("127.0.0.2"), "{fault}");
    assert_eq!((resolver.1.load(Ordering::SeqCst), fake.hits()), (2, 1));
}

#[tokio::test]
async fn a_name_without_an_address_is_tried_again() {
    let world = Setting { limits: CallLimits { max_attempts: 2, ..CallLimits::default() }, ..Setting::new(&[]) };
    let fault = world.world().await.fault("https://nowhere.example/").await;
    assert_eq!((fault.code, fault.stats.attempts), (FaultCode::Connection, 2));
    assert!(fault.message.contains("`nowhere.example` has no address"), "{fault}");
}

#[tokio::test]
async fn oversized_bodies_end_at_the_cap() {
    let big = vec![b' '; 1 << 20];
    let chunked = move || {
        let head = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n100000\r\n";
        [head.as_slice(), &big, b"\r\n0\r\n\r\n"].concat()
    };
    let bomb = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 32 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    let fake = Fake::start(move |_, request| match request.split(' ').nth(1) {
        Some("/announced") => Act::SayAndClose(b"HTTP/1.1 200 X\r\ncontent-length: 99999999999\r\n\r\n".to_vec()),
        Some("/chunked") => Act::Say(chunked()),
        _ => say(200, "content-encoding: gzip\r\n", &bomb),
    })
    .await;
    let world = World::of(&fake).await;
    for path in ["/announced", "/chunked", "/bomb"] {
        let fault = world.fault(&fake.url(path)).await;
        assert_eq!((fault.code, fault.status, fault.stats.attempts), (FaultCode::TooLarge, Some(200), 1), "{path}");
    }
}

#[tokio::test]
async fn gzip_is_decompressed_here_and_other_encodings_are_refused() {
    let fake = Fake::start(move |_, request| {
        if request.contains("/br") {
            return say(200, "content-encoding: br\r\n", "xyz");
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"[1,2,3]").unwrap();
        say(200, "content-encoding: gzip\r\n", encoder.finish().unwrap())
    })
    .await;
    let world = World::of(&fake).await;
    assert_eq!(&*world.get(&fake.url("/")).await.unwrap().body, b"[1,2,3]");
    assert_eq!(world.fault(&fake.url("/br")).await.code, FaultCode::Cut);
}

#[tokio::test]
async fn a_cut_body_is_a_fault_and_never_a_short_list() {
    let fake = Fake::start(|_, request| {
        let text = match request.split(' ').nth(1) {
            Some("/length") => "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n[1]",
            Some("/chunked") => "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1]\r\n",
            Some("/close-open") => "HTTP/1.1 200 X\r\n\r\n[1,2",
            Some("/close-text") => "HTTP/1.1 200 X\r\n\r\na,b\r\n",
            Some("/part") => "HTTP/1.1 206 X\r\ncontent-length: 3\r\n\r\n[1]",
            _ => "HTTP/1.1 200 X\r\n\r\n[1]",
        };
        Act::SayAndClose(text.as_bytes().to_vec())
    })
    .await;
    let world = World::of(&fake).await;
    for path in ["/length", "/chunked", "/close-open", "/close-text", "/part"] {
        let fault = world.fault(&fake.url(path)).await;
        assert_eq!(fault.code, FaultCode::Cut, "{path}: {fault}");
    }
    assert_eq!(&*world.get(&fake.url("/close-whole")).await.unwrap().body, b"[1]");
}

#[tokio::test]
async fn a_cut_body_is_tried_again() {
    let fake = Fake::start(|n, _| match n {
        1 => Act::SayAndClose(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n[1]".to_vec()),
        _ => say(200, "", "[1,2]"),
    })
    .await;
    let reply = World::of(&fake).await.get(&fake.url("/")).await.unwrap();
    assert_eq!((&*reply.body, reply.stats.attempts), (b"[1,2]".as_slice(), 2));
}

#[tokio::test]
async fn retry_after_is_kept_as_seconds_and_as_a_date() {
    let forms =
        ["retry-after: 1\r\n", "date: Tue, 14 Nov 2023 22:13:20 GMT\r\nretry-after: Tue, 14 Nov 2023 22:13:21 GMT\r\n"];
    for headers in forms {
        let fake = Fake::start(move |n, _| if n == 1 { say(429, headers, "") } else { say(200, "", "[]") }).await;
        let world = World::of(&fake).await;
        let began = Instant::now();
        let reply = world.get(&fake.url("/")).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(950), "{headers}");
        assert_eq!(reply.stats.attempts, 2);
        assert!(reply.stats.waited_ms >= 900 && reply.stats.elapsed_ms >= reply.stats.waited_ms);
        let waits = world.waits();
        let [(wait, reason)] = waits.as_slice() else { panic!("{waits:?}") };
        assert!(*wait <= Duration::from_secs(1) && reason.contains("rate limit"), "{waits:?}");
    }
}

#[tokio::test]
async fn an_exhausted_window_holds_back_every_session_of_the_account() {
    let headers = "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1\r\n";
    let fake = Fake::start(move |n, _| say(200, if n == 1 { headers } else { "" }, "[]")).await;
    let setting = Setting::new(&[&fake]);
    let egress = setting.egress();
    let world = setting.world().await;
    let sessions: Vec<_> = (0..2)
        .map(|_| {
            egress.session(SessionConfig {
                account: "shared".to_owned(),
                rate: Rate::default(),
                credentials: world.session.inner.config.credentials.clone(),
                scrub: ScrubRules::new(&[]),
                limits: CallLimits::default(),
            })
        })
        .collect();
    let began = Instant::now();
    for session in &sessions {
        session.send(&world.request(&fake.url("/")), &world.rules, &world.waits).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(950));
    assert_eq!(world.waits().len(), 1);
}

#[tokio::test]
async fn a_secondary_limit_waits_longer_than_allowed_and_ends_without_sleeping() {
    let words = r#"{"message":"You have exceeded a secondary rate limit"}"#;
    let fake = Fake::start(move |_, _| say(403, "", words)).await;
    let mut setting = Setting::new(&[&fake]);
    setting.limits.max_wait_one = Duration::from_secs(2);
    let world = setting.world().await;
    let began = Instant::now();
    let fault = world.fault(&fake.url("/")).await;
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(fault.message.contains("59 s to wait") || fault.message.contains("60 s to wait"), "{fault}");
    assert!(began.elapsed() < Duration::from_secs(2) && world.waits().is_empty());
    // The account stays closed: the next call doesn't even knock.
    assert_eq!(world.fault(&fake.url("/")).await.code, FaultCode::RateLimited);
    assert_eq!(fake.hits(), 1);
    assert_eq!(pace::UNNAMED_LIMIT_WAIT, Duration::from_secs(60));
}

#[tokio::test]
async fn a_run_that_has_waited_enough_waits_no_more() {
    let fake = Fake::start(|_, _| say(429, "retry-after: 1\r\n", "")).await;
    let mut setting = Setting::new(&[&fake]);
    setting.limits.retry_budget = Duration::from_millis(1_500);
    let world = setting.world().await;
    let fault = world.fault(&fake.url("/")).await;
    assert_eq!((fault.code, fault.stats.attempts), (FaultCode::Budget, 2), "{fault}");
}

#[tokio::test]
async fn a_limit_that_never_ends_is_given_up() {
    let fake = Fake::start(|_, _| say(429, "retry-after: 0\r\n", "")).await;
    let fault = World::of(&fake).await.fault(&fake.url("/")).await;
    assert_eq!((fault.code, fault.status, fault.stats.attempts), (FaultCode::RateLimited, Some(429), 3), "{fault}");
}

#[tokio::test]
async fn a_provider_that_stumbles_is_tried_again() {
    let fake = Fake::start(|n, _| match n {
        1 => say(500, "", ""),
        2 => Act::SayAndClose(Vec::new()),
        _ => say(200, "", "[]"),
    })
    .await;
    let world = World::of(&fake).await;
    let reply = world.get(&fake.url("/")).await.unwrap();
    assert_eq!(reply.stats.attempts, 3);
    assert_eq!(world.waits().first().map(|(_, reason)| reason.as_str()), Some("HTTP 500"));
    let down = Fake::start(|_, _| say(503, "", r#"{"message":"maintenance"}"#)).await;
    let fault = World::of(&down).await.fault(&down.url("/")).await;
    assert_eq!((fault.code, fault.status, fault.stats.attempts), (FaultCode::Status, Some(503), 3));
    assert!(fault.message.contains("maintenance") && fault.message.contains("3 attempts"), "{fault}");
}

#[tokio::test]
async fn a_provider_that_hangs_is_a_timeout() {
    let fake = Fake::start(|_, _| Act::Wait(Duration::from_secs(10), Vec::new())).await;
    let mut setting = Setting::new(&[&fake]);
    setting.limits = CallLimits { call_timeout: Duration::from_millis(200), max_attempts: 1, ..setting.limits };
    let fault = setting.world().await.fault(&fake.url("/")).await;
    assert_eq!(fault.code, FaultCode::Timeout);
    // Accepting and then nothing but headers is the same.
    let slow = Fake::start(|_, _| Act::Say(b"HTTP/1.1 200 X\r\ncontent-length: 5\r\n\r\n[".to_vec())).await;
    let mut setting = Setting::new(&[&slow]);
    setting.limits = CallLimits { call_timeout: Duration::from_millis(200), max_attempts: 1, ..setting.limits };
    assert_eq!(setting.world().await.fault(&slow.url("/")).await.code, FaultCode::Timeout);
}

#[tokio::test]
async fn calls_in_a_row_share_a_connection() {
    let fake = Fake::start(|_, _| say(200, "", "[]")).await;
    let world = World::of(&fake).await;
    for _ in 0..5 {
        world.get(&fake.url("/")).await.unwrap();
    }
    assert_eq!((fake.hits(), fake.connections.load(Ordering::SeqCst)), (5, 1));
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_declared() {
    let fake = Fake::start(|_, _| Act::Wait(Duration::from_millis(30), http(200, "", "[]"))).await;
    let world = Setting { rate: Rate { concurrent: 3, per_second: None }, ..Setting::new(&[&fake]) }.world().await;
    let url = fake.url("/");
    let done = join_all((0..12).map(|_| world.get(&url))).await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!((fake.hits(), fake.most_at_once.load(Ordering::SeqCst)), (12, 3));
}

#[tokio::test]
async fn hostile_requests_never_reach_the_wire() {
    let fake = Fake::start(|_, _| say(200, "", "[]")).await;
    let world = World::of(&fake).await;
    let fault = world.fault(&format!("http://user:geheim@{}/", fake.address)).await;
    assert_eq!(fault.code, FaultCode::AddressRefused);
    assert!(!fault.message.contains("geheim"), "{fault}");
    for (name, value) in [("x-a", "b\r\nx-c: d"), ("x-a\r\nx-c", "d"), ("host", "evil.example"), ("authorization", "x")]
    {
        let mut request = world.request(&fake.url("/"));
        request.headers.push((name.to_owned(), value.to_owned()));
        assert_eq!(world.send(&request).await.unwrap_err().code, FaultCode::AddressRefused, "{name:?}");
    }
    assert_eq!(fake.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_endpoint_takes_the_place_of_its_provider() {
    let fake = Fake::start(|_, _| say(200, "", "[]")).await;
    let endpoint = Endpoint::new("api.provider.example", &fake.url("/base")).unwrap();
    let world = Setting { endpoints: vec![endpoint], ..Setting::new(&[]) }.world().await;
    world.get("https://api.provider.example/things?a=b").await.unwrap();
    let request = fake.request(0);
    assert!(request.starts_with("GET /base/things?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("x-forwarded-host: api.provider.example\r\n"), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", fake.address)), "{request}");
}

#[tokio::test]
async fn an_empty_answer_and_a_missing_permission_are_told_apart() {
    let fake = Fake::start(|_, request| {
        if request.contains("/none") { say(404, "", r#"{"message":"Not Found"}"#) } else { say(403, "", "{}") }
    })
    .await;
    let mut world = World::of(&fake).await;
    world.rules = ReplyRules {
        empty_on: vec![EmptyOn { status: 404, code: None }],
        permission: Some("read:org".to_owned()),
        ..ReplyRules::default()
    };
    let reply = world.get(&fake.url("/none")).await.unwrap();
    assert_eq!((reply.status, reply.empty, reply.body.len()), (404, true, 0));
    let fault = world.fault(&fake.url("/forbidden")).await;
    assert_eq!(
        (fault.code, fault.status, fault.permission.as_deref()),
        (FaultCode::Status, Some(403), Some("read:org"))
    );
    assert!(fault.message.contains("`read:org`"), "{fault}");
}

#[tokio::test]
async fn a_head_has_no_body() {
    let fake = Fake::start(|_, _| Act::Say(b"HTTP/1.1 200 X\r\ncontent-length: 999999999\r\n\r\n".to_vec())).await;
    let world = World::of(&fake).await;
    let request = PreparedRequest { method: Method::Head, ..world.request(&fake.url("/")) };
    for _ in 0..2 {
        assert_eq!(world.send(&request).await.unwrap().body.len(), 0);
    }
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_graphql_error_behind_a_200_is_a_fault() {
    let fake = Fake::start(|_, _| say(200, "", r#"{"data":{},"errors":[{"message":"no such team"}]}"#)).await;
    let mut world = World::of(&fake).await;
    world.rules.graphql = true;
    let request = PreparedRequest {
        method: Method::Post,
        body: Some(br#"{"query":"{a}"}"#.to_vec()),
        ..world.request(&fake.url("/graphql"))
    };
    let fault = world.send(&request).await.unwrap_err();
    assert_eq!((fault.code, fault.status), (FaultCode::Graphql, Some(200)));
    assert!(fault.message.contains("no such team"), "{fault}");
    assert!(fake.request(0).ends_with("\r\n\r\n{\"query\":\"{a}\"}"));
}

#[tokio::test]
async fn a_secret_goes_out_and_never_comes_back() {
    let fake = Fake::start(|_, request| {
        assert!(request.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{request}");
        let (status, words) = if request.contains("/bad") { (400, "message") } else { (200, "echo") };
        say(status, &format!("x-echo: {SECRET}\r\n"), format!(r#"{{"{words}":"got {SECRET}","client_note":"x"}}"#))
    })
    .await;
    let credential = Some((CredentialKind::Bearer, SECRET.to_owned()));
    let rule =
        ScrubRule { operations: vec![OperationId::new("list-things").unwrap()], path: "/client_note".to_owned() };
    let mut world = Setting { credential, scrub: vec![rule], ..Setting::new(&[&fake]) }.world().await;
    world.rules.response_headers = vec!["x-echo".to_owned()];
    let reply = world.get(&fake.url("/good")).await.unwrap();
    assert!(!format!("{reply:?}").contains(SECRET) && !String::from_utf8_lossy(&reply.body).contains(SECRET));
    assert!(!String::from_utf8_lossy(&reply.body).contains("\"x\""), "{:?}", reply.body);
    assert_eq!(reply.stats.scrubbed, 3);
    let fault = world.fault(&fake.url("/bad")).await;
    assert!(!fault.message.contains(SECRET) && fault.message.contains("got "), "{fault}");
}

#[tokio::test]
async fn a_fixed_credential_that_is_refused_is_not_tried_again() {
    let fake = Fake::start(|_, _| say(401, "", r#"{"message":"Bad credentials"}"#)).await;
    let credential = Some((CredentialKind::Bearer, SECRET.to_owned()));
    let world = Setting { credential, ..Setting::new(&[&fake]) }.world().await;
    let fault = world.fault(&fake.url("/")).await;
    assert_eq!((fault.code, fault.status, fault.stats.attempts), (FaultCode::Status, Some(401), 1));
}

#[tokio::test]
async fn a_bought_token_that_is_refused_is_bought_again_once() {
    let fake = Fake::start(|n, request| match request.split(' ').nth(1) {
        Some("/token") => {
            say(200, "", format!(r#"{{"access_token":"token-number-{n}-0123456789","expires_in":3600}}"#))
        }
        Some("/never") => say(401, "", ""),
        _ if request.contains("token-number-1-") => say(401, "", ""),
        _ => say(200, "", "[]"),
    })
    .await;
    let token_endpoint = Endpoint::new("login.provider.example", &fake.url("/")).unwrap();
    let kind = CredentialKind::Oauth2ClientCredentials {
        token_url: "https://login.provider.example/token".to_owned(),
        scope: String::new(),
    };
    // Each look at the clock is a minute later: a token that was only just bought isn't thrown away.
    let minutes = AtomicU64::new(0);
    let clock: Clock = Arc::new(move || {
        let minute = minutes.fetch_add(1, Ordering::SeqCst);
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 60 * minute)
    });
    let input = format!("client_id=me\nclient_secret={SECRET}\n");
    let setting = Setting { endpoints: vec![token_endpoint], clock, ..Setting::new(&[&fake]) };
    let world = Setting { credential: Some((kind, input)), ..setting }.world().await;
    let reply = world.get(&fake.url("/things")).await.unwrap();
    assert_eq!((reply.stats.attempts, fake.hits()), (2, 4), "token, 401, token, answer");
    let fault = world.fault(&fake.url("/never")).await;
    assert_eq!((fault.status, fault.stats.attempts, fake.hits()), (Some(401), 2, 7));
}

#[tokio::test]
async fn a_token_endpoint_is_vetted_like_any_other() {
    let fake = Fake::start(|_, _| say(200, "", "[]")).await;
    let kind = CredentialKind::Oauth2ClientCredentials {
        token_url: "https://login.provider.example/token".to_owned(),
        scope: String::new(),
    };
    let resolver = Arc::new(StaticResolver::parse(["login.provider.example=169.254.169.254"]).unwrap());
    let input = format!("client_id=me\nclient_secret={SECRET}\n");
    let world = Setting { credential: Some((kind, input)), resolver, ..Setting::new(&[&fake]) }.world().await;
    let fault = world.fault(&fake.url("/")).await;
    assert_eq!((fault.code, fault.stats.attempts, fake.hits()), (FaultCode::Credential, 0, 0));
    assert!(fault.message.contains("metadata"), "{fault}");
}

#[tokio::test]
async fn every_widening_is_listed_for_the_run_record() {
    let mut setting = Setting::new(&[]);
    setting.allow = vec!["127.0.0.1:9000".to_owned()];
    setting.endpoints = vec![Endpoint::new("api.example", "http://127.0.0.1:9001").unwrap()];
    let listed = setting.egress().exceptions();
    assert_eq!(listed, ["allow 127.0.0.1:9000", "endpoint api.example -> http://127.0.0.1:9001"]);
}

#[tokio::test]
async fn https_is_never_spoken_in_the_clear() {
    let fake = Fake::start(|_, _| say(200, "", "[]")).await;
    let mut setting = Setting::new(&[&fake]);
    setting.limits = CallLimits { call_timeout: Duration::from_secs(1), max_attempts: 1, ..setting.limits };
    let fault = setting.world().await.fault(&format!("https://{}/", fake.address)).await;
    assert!(matches!(fault.code, FaultCode::Connection | FaultCode::Timeout), "{fault}");
    assert_eq!(fake.hits(), 0);
}

#[path = "send_condition_tests.rs"]
mod condition;
