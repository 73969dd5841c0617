//! A canary for a credential: a provider that hands the secret back in every place and form it can, and afterwards a
//! search for it wherever a run leaves something behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
#![allow(clippy::print_stdout, reason = "a part that can't be looked at is said, not skipped in silence")]

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use porthole_model::grant::Grant;
use porthole_model::id::RunId;
use porthole_model::run::{Outcome, RunMode};
use porthole_store::log;
use porthole_tests::world::{World, WorldBuilder, packed, packed_with};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tracing_subscriber::filter::LevelFilter;

/// The host that the manifest names by default.
const HOST: &str = "api.hostile.example";
/// The name that this test's sandbox runs under, and by which it is found.
const SANDBOX: &str = "canary-sandbox";
/// How long something that takes milliseconds may take on a loaded machine.
const SOON: Duration = Duration::from_secs(30);
/// How much of a process is read at once, in bytes.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Everything that this process's tracing says.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<u8>>>);

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The forms in which a secret is looked for, each with its name.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let header = format!("Bearer {secret}");
    let hex = hex::encode(secret);
    // Without the last characters: what follows the secret in a longer text changes them.
    let whole = |text: String| text.trim_end_matches('=').as_bytes()[..text.len() / 4 * 4 - 4].to_vec();
    let list = secret.bytes().map(|b| b.to_string()).collect::<Vec<_>>().join(", ");
    vec![
        ("raw", secret.as_bytes().to_vec()),
        ("base64", whole(STANDARD.encode(secret))),
        ("base64 for URLs", whole(URL_SAFE_NO_PAD.encode(secret))),
        ("base64 of the header", whole(STANDARD.encode(&header))),
        ("base64 as the end of a password", whole(STANDARD_NO_PAD.encode(format!("user:{secret}")))[8..].to_vec()),
        ("hexadecimal", hex.as_bytes().to_vec()),
        ("upper hexadecimal", hex.to_uppercase().into_bytes()),
        ("percent-encoded", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string().into_bytes()),
        ("a list of bytes", list.into_bytes()),
    ]
}

/// The forms that are in these bytes.
fn found<'f>(bytes: &[u8], forms: &'f [(&'static str, Vec<u8>)]) -> Vec<&'f str> {
    // By the first byte: the haystacks have megabytes.
    let has = |needle: &[u8]| {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|b| *b == needle[0]) {
            rest = &rest[at..];
            if rest.starts_with(needle) {
                return true;
            }
            rest = &rest[1..];
        }
        false
    };
    forms.iter().filter(|(_, needle)| has(needle)).map(|(name, _)| *name).collect()
}

/// Paths and `Authorization` headers, in order.
type Seen = Vec<(String, Option<String>)>;

/// What the provider saw, and when it may go on.
#[derive(Clone)]
struct Provider {
    seen: Arc<Mutex<Seen>>,
    second_page: Arc<Semaphore>,
    marker: String,
}

impl Provider {
    async fn start(marker: &str) -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider =
            Self { seen: Arc::default(), second_page: Arc::new(Semaphore::new(0)), marker: marker.to_owned() };
        let routes = axum::Router::new().fallback(Self::reflect).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (provider, url)
    }

    /// Answers with the caller's own header, in every form, in the body and in a header.
    async fn reflect(State(provider): State<Self>, uri: Uri, headers: HeaderMap) -> Response {
        let given = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned());
        provider.seen.lock().unwrap().push((uri.path().to_owned(), given.clone()));
        let given = given.unwrap_or_default();
        let token = given.strip_prefix("Bearer ").unwrap_or_default();
        let echo = serde_json::json!({
            "message": format!("I know you: {given} {}", hex::encode(token)),
            "raw": token,
            "header": given,
            "base64": STANDARD.encode(token),
            "base64_header": STANDARD.encode(&given),
            "base64_inside": STANDARD.encode(format!("user:{token}")),
            "base64_url": URL_SAFE_NO_PAD.encode(token),
            "hex": hex::encode(token),
            "upper_hex": hex::encode_upper(token),
            "percent": utf8_percent_encode(token, NON_ALPHANUMERIC).to_string(),
        });
        let echo = format!("{echo}\n");
        let mut answer = HeaderMap::new();
        answer.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        answer.insert("x-echo", format!("{given} {}", STANDARD.encode(&given)).parse().unwrap());
        match (uri.path(), uri.query()) {
            ("/things/500", _) => (StatusCode::BAD_REQUEST, answer, echo).into_response(),
            ("/things", None) => {
                answer.insert(header::LINK, format!("<https://{HOST}/things?filter=2>; rel=\"next\"").parse().unwrap());
                let body = serde_json::json!({ "marker": provider.marker.repeat(50), "echo": echo });
                (answer, body.to_string()).into_response()
            }
            ("/things", _) => {
                let _open = provider.second_page.acquire().await.unwrap();
                (answer, echo).into_response()
            }
            _ => (answer, echo).into_response(),
        }
    }
}

/// The process of that name among this one's children.
fn find_sandbox() -> Option<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let children = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok()).collect::<Vec<_>>();
    let mut ids = children.iter().flat_map(|c| c.split_whitespace()).filter_map(|id| id.parse::<u32>().ok());
    ids.find(|id| std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == SANDBOX))
}

/// The forms found in a process's memory, and how many bytes were read.
fn search_memory(id: u32, forms: &[(&'static str, Vec<u8>)]) -> io::Result<(Vec<String>, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps"))?;
    let memory = std::fs::File::open(format!("/proc/{id}/mem"))?;
    let (mut hits, mut read) = (Vec::new(), 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    for line in maps.lines().filter(|l| l.split(' ').nth(1).is_some_and(|mode| mode.starts_with('r'))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (mut at, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        while at < to {
            let length = CHUNK_BYTES.min(usize::try_from(to - at).unwrap());
            // Some of the kernel's own mappings can't be read this way.
            let Ok(n) = memory.read_at(&mut chunk[..length], at) else { break };
            if n == 0 {
                break;
            }
            hits.extend(found(&chunk[..n], forms).iter().map(|form| format!("{form} in {line}")));
            read += n as u64;
            // Chunks overlap, so that nothing is missed at a seam.
            at += if n < length || at + n as u64 == to { n as u64 } else { n as u64 - 1_024 };
        }
    }
    Ok((hits, read))
}

/// The forms found in the files of a folder and those below it.
fn search_files(folder: &Path, forms: &[(&'static str, Vec<u8>)], searched: &mut Vec<String>) -> Vec<String> {
    let mut hits = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            hits.extend(search_files(&path, forms, searched));
        } else if kind.is_file() {
            searched.push(path.display().to_string());
            // Another test may replace a file just now.
            let bytes = std::fs::read(&path).unwrap_or_default();
            hits.extend(found(&bytes, forms).iter().map(|form| format!("{form} in {}", path.display())));
        }
    }
    hits
}

async fn world(url: &str, token: &str, data: &Path) -> World {
    let mut manifest = packed("hostile").unwrap().manifest;
    for operation in &mut manifest.operations {
        operation.response_headers = vec!["x-echo".to_owned()];
    }
    let on = ["honest", "call-ungranted", "lie-after-fault"];
    let mut grant = Grant::all_of(&manifest);
    grant.steps_off = manifest.steps.iter().filter(|s| !on.contains(&s.id.as_str())).map(|s| s.id.clone()).collect();
    let builder = WorldBuilder::new(packed_with("hostile", &manifest).unwrap()).endpoint(HOST, url).unwrap();
    let builder = builder.secret("api", "token", token).grant(grant).limits(|l| l.calls.max_attempts = 2);
    let mut world = builder.build().await.unwrap();
    let programs = world.parts.sandbox.parent().unwrap();
    world.parts.compiler = Arc::new(porthole_runner::compile::Compiler::new(programs, data).unwrap());
    let link = world.path().join(SANDBOX);
    std::os::unix::fs::symlink(&world.parts.sandbox, &link).unwrap();
    world.parts.sandbox = link;
    world
}

async fn wait_for(world: &World, run: RunId, step: &str) {
    let end = Instant::now() + SOON * 4;
    while world.slices(run).await.unwrap().get(step).is_none_or(|s| s.state != "finished") {
        assert!(Instant::now() < end, "{step} is not finished");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_nowhere_after_a_run_that_used_it() {
    let trace = Trace::default();
    let writer = trace.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    // With characters that are written differently in a URL.
    let token = format!("ph+canary/{}=", hex::encode(rand::random::<[u8; 16]>()));
    let marker = format!("marker-{}", hex::encode(rand::random::<[u8; 16]>()));
    let forms = forms(&token);
    let data = tempfile::tempdir().unwrap();
    let (provider, url) = Provider::start(&marker).await;
    let world = world(&url, &token, data.path()).await;

    let run = world.queue(RunMode::Apply).await.unwrap();
    let look = async {
        // Both replies that reflect have been read by the guest by now, and the honest step waits for its second page.
        wait_for(&world, run, "call-ungranted").await;
        wait_for(&world, run, "lie-after-fault").await;
        let end = Instant::now() + SOON;
        while provider.seen.lock().unwrap().iter().filter(|(path, _)| path == "/things").count() < 2 {
            assert!(Instant::now() < end, "the second page is not asked for");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let id = find_sandbox().expect("the sandbox runs");
        let memory = search_memory(id, &forms);
        // The control: what the provider said beside the secret is found in the same memory.
        let control = search_memory(id, &[("marker", marker.clone().into_bytes())]);
        provider.second_page.add_permits(1);
        (memory, control)
    };
    let (ended, (memory, control)) = tokio::join!(world.work_on(run), look);
    let ended = ended.unwrap();

    // The secret was used, in each call, and the guest got to see what came back.
    let seen = provider.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen.iter().all(|(_, given)| given.as_deref() == Some(&format!("Bearer {token}"))), "{seen:?}");
    assert_eq!(ended.outcome, Some(Outcome::Partial), "{}", ended.message);

    match (memory, control) {
        (Ok((hits, read)), Ok((control, _))) => {
            assert_eq!(hits, Vec::<String>::new(), "in the sandbox's memory");
            assert!(read > 1024 * 1024 && !control.is_empty(), "{read} bytes read, control {control:?}");
        }
        // Who isn't root can't read a process that is not dumpable, and that is as it should be.
        (Err(e), _) | (_, Err(e)) => {
            assert_eq!(e.kind(), io::ErrorKind::PermissionDenied, "{e}");
            println!("the sandbox's memory was not searched: {e}");
        }
    }

    let mut tx = world.store().tenant(world.tenant).await.unwrap();
    let lines = log::read(&mut tx, run, 0, 100_000).await.unwrap();
    drop(tx);
    let text = lines.iter().map(|l| l.message.as_str()).collect::<Vec<_>>().join("\n");
    assert!(text.contains("let through") && text.contains("[redacted]"), "the log shows no reflection: {text}");
    let places = [
        ("the run", format!("{ended:?} {}", serde_json::to_string(&ended.plan).unwrap())),
        ("the run log", format!("{lines:?}")),
        ("the calls", format!("{:?}", world.calls(run).await.unwrap())),
        ("the slices", format!("{:?}", world.slices(run).await.unwrap())),
        ("the graph", format!("{:?}", world.graph().await.unwrap())),
        ("the database", world.database.dump().await.unwrap()),
    ];
    for (place, text) in &places {
        assert!(text.len() > 100, "{place} is empty");
        assert_eq!(found(text.as_bytes(), &forms), Vec::<&str>::new(), "in {place}");
    }
    let mut searched = Vec::new();
    for folder in [world.path(), data.path()] {
        assert_eq!(search_files(folder, &forms, &mut searched), Vec::<String>::new());
    }
    for name in ["kek", "seal.key", ".code"] {
        assert!(searched.iter().any(|path| path.ends_with(name)), "{name} was not searched: {searched:?}");
    }
    // A transcript holds what the guest got, and so what was blanked in it.
    provider.second_page.add_permits(1);
    let file = world.path().join("run.transcript");
    world.record(&file).await.unwrap();
    let mut transcript = Vec::new();
    let packed = std::fs::read(&file).unwrap();
    io::copy(&mut flate2::read::MultiGzDecoder::new(packed.as_slice()), &mut transcript).unwrap();
    assert_eq!(found(&transcript, &forms), Vec::<&str>::new(), "in the transcript");
    assert_eq!(found(&packed, &forms), Vec::<&str>::new(), "in the packed transcript");
    let shown = String::from_utf8_lossy(&transcript);
    assert!(shown.contains(&marker) && shown.contains("[redacted]"), "the transcript shows no reflection");
    // Tracing last, so that what was read above is in it as well.
    let traced = trace.0.lock().unwrap().clone();
    let shown = String::from_utf8_lossy(&traced);
    assert!(shown.contains("TRACE") && shown.contains(&run.to_string()), "{} bytes traced", traced.len());
    assert_eq!(found(&traced, &forms), Vec::<&str>::new(), "in {} bytes of tracing", traced.len());
}

#[test]
fn the_search_finds_each_form_in_a_buffer_that_holds_it() {
    let token = "ph+canary/0123456789abcdef=";
    let forms = forms(token);
    for (name, bytes) in &forms {
        let buffer = [b"before".as_slice(), bytes, b"after"].concat();
        assert!(found(&buffer, &forms).contains(name), "{name}");
    }
    assert!(found(b"nothing of the kind", &forms).is_empty());
    // The encodings are those that the provider uses, not only those that this file made for the search.
    let header = format!("Bearer {token}");
    let texts = [STANDARD.encode(token), STANDARD.encode(&header), STANDARD.encode(format!("user:{token}"))];
    assert!(texts.iter().all(|text| !found(text.as_bytes(), &forms).is_empty()), "{texts:?}");
}

#[test]
fn the_search_finds_a_string_in_the_memory_of_a_process() {
    let token = format!("ph+canary/{}=", hex::encode(rand::random::<[u8; 16]>()));
    let buffer = std::hint::black_box(token.clone().into_bytes());
    let (hits, read) = search_memory(std::process::id(), &[("raw", token.into_bytes())]).unwrap();
    assert!(!hits.is_empty() && read > 0);
    drop(buffer);
}
