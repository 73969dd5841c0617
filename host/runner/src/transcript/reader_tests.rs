#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]
use super::*;
use crate::transcript::{Recording, TaskWork};
use porthole_model::id::ModuleDigest;
use proptest::prelude::*;
use std::io::Write as _;
use std::sync::Mutex;

fn header() -> Header {
    let config = BTreeMap::from([("login".to_owned(), "acme".to_owned())]);
    Header::new(ModuleDigest([7; 32]), config, &porthole_wire::Limits::default())
}

fn key(step: &str, partition: &str) -> TaskKey {
    TaskKey { step: step.parse().unwrap(), partition: partition.parse().unwrap(), work: TaskWork::Run }
}

fn call(operation: &str) -> Call {
    let arguments = vec![("page".to_owned(), "2".to_owned())];
    Call::Begin { operation: operation.to_owned(), arguments, credential: Some("api".to_owned()) }
}

fn answers() -> Vec<Result<Response, CallError>> {
    let ok = |body: &[u8], next| {
        let headers = vec![("etag".to_owned(), "x".to_owned())];
        Ok(Response { status: 200, headers, body: body.to_vec(), empty: false, next })
    };
    vec![
        ok(b"[\"\xc3\xa9\\n\"]\n", Some(64)),
        ok(&[0xff, 0, 1], None),
        ok(b"", None),
        Err(CallError::Denied { layer: 1, reason: "no".to_owned(), remedy: "ask".to_owned() }),
        Err(CallError::Fault { status: Some(403), code: "status".into(), message: "m".into(), permission: None }),
        Err(CallError::Limit("enough".to_owned())),
        Err(CallError::BadToken),
        Err(CallError::Cancelled),
    ]
}

/// Two tasks; `first` says which of them asks first. Returns the digest.
async fn record(path: Option<&Path>, first: usize) -> String {
    let recording = Recording::begin(&header(), path).await.unwrap();
    let keys = [key("a", ""), key("b", "x")];
    for at in [first, 1 - first] {
        let heard = Mutex::default();
        let answers = answers();
        let calls: Vec<Call> = (0..answers.len()).map(|n| call(&format!("op-{n}"))).collect();
        recording.answered(&keys[at], &heard, 3, &calls, &answers).await.unwrap();
        recording.answered(&keys[at], &heard, 4, &[Call::Next { token: 9 }], &answers[..1]).await.unwrap();
        recording.ended(keys[at].clone(), &heard, Ended::Finished).await.unwrap();
    }
    recording.finish().await.unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.transcript");
    (folder, path)
}

#[tokio::test]
async fn what_is_written_is_read_and_the_digest_does_not_depend_on_the_order_of_tasks() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, path) = place();
    let digest = record(Some(&path), 0).await;
    assert_eq!(digest, record(None, 1).await, "with a file or without, in either order");
    let read = Transcript::open(&path).unwrap();
    assert_eq!((read.digest(), read.header(), read.calls()), (digest.as_str(), &header(), 18));
    for (at, answer) in answers().into_iter().enumerate() {
        let found = read.call(&key("b", "x"), at).unwrap().unwrap();
        assert_eq!(found, Answered { ask: 3, place: at as u32, call: call(&format!("op-{at}")), answer });
    }
    assert_eq!(read.call(&key("b", "x"), 8).unwrap().unwrap().call, Call::Next { token: 9 });
    assert_eq!(read.call(&key("b", "x"), 9).unwrap(), None);
    assert_eq!(read.calls_of(&key("c", "")), None);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!path.with_extension("transcript.part").exists());
    // Nothing is overwritten.
    assert!(Recording::begin(&header(), Some(&path)).await.is_err());
}

#[tokio::test]
async fn a_recording_that_is_dropped_leaves_no_file() {
    let (folder, path) = place();
    drop(Recording::begin(&header(), Some(&path)).await.unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Each line of a file, unpacked.
fn lines(path: &Path) -> Vec<Vec<u8>> {
    let file = File::open(path).unwrap();
    let mut lines = Lines::new(path, &file);
    std::iter::from_fn(|| lines.next().unwrap()).collect()
}

fn pack(path: &Path, lines: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    for line in lines {
        let mut member = flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
        member.write_all(line).unwrap();
        member.finish().unwrap();
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn an_edited_line_is_found_with_its_place() {
    let (_folder, path) = place();
    record(Some(&path), 0).await;
    let all = lines(&path);
    let expect = |lines: &[Vec<u8>], what: &str| {
        pack(&path, lines);
        let error = Transcript::open(&path).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let edit = |at: usize, from: &str, to: &str| {
        let mut all = all.clone();
        let text = String::from_utf8(all[at].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        all[at] = text.replace(from, to).into_bytes();
        all
    };
    // Two of the nine answers have a body, and the first is given again for a further page.
    expect(&edit(1, "op-0", "op-9"), "line 14, at byte");
    expect(&edit(1, "op-0", "op-9"), "the calls of task `a` are not those that were recorded");
    expect(&edit(2, "é", "e"), "line 3, at byte");
    expect(&edit(2, "é", "e"), "the body is not the one that was recorded");
    expect(&edit(4, "/wAB", "/wAC"), "the body is not the one that was recorded");
    expect(&edit(4, "/wAB", "/"), "a body is no base64");
    expect(&edit(0, "\"started-at-ms\":0", "\"started-at-ms\":1"), "a line was edited or is gone");
    expect(&edit(0, "transcript\":1", "transcript\":2"), "version 2 of the format");
    expect(&edit(13, "finished", "failed"), "a line was edited or is gone");
    expect(&edit(3, "\"place\":1", "\"place\":0"), "out of order");
    // Gone, doubled, swapped.
    for at in 0..all.len() {
        let mut less = all.clone();
        less.remove(at);
        pack(&path, &less);
        assert!(Transcript::open(&path).is_err(), "without line {at}");
        let mut twice = all.clone();
        twice.insert(at, all[at].clone());
        pack(&path, &twice);
        assert!(Transcript::open(&path).is_err(), "line {at} twice");
    }
    // The mixing of tasks says nothing: what is left of the order is each task's own.
    let mut mixed = all.clone();
    mixed[1..].rotate_right(0);
    pack(&path, &mixed);
    assert!(Transcript::open(&path).is_ok());
}

#[tokio::test]
async fn a_cut_or_damaged_file_is_an_error_with_its_place() {
    let (_folder, path) = place();
    record(Some(&path), 0).await;
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = Transcript::open(&path).unwrap_err().to_string();
        assert!(error.contains("cut"), "{cut}: {error}");
    }
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        // Some bytes of a gzip header mean nothing: then the content is what it was.
        if let Ok(read) = Transcript::open(&path) {
            assert_eq!(read.calls(), 18);
        }
    }
    // A bomb is not unpacked.
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    (0..=MAX_LINE_BYTES >> 20).for_each(|_| member.write_all(&zeros).unwrap());
    std::fs::write(&path, member.finish().unwrap()).unwrap();
    let error = Transcript::open(&path).unwrap_err().to_string();
    assert!(error.contains("more than 117440512 bytes"), "{error}");
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), pack_them in any::<bool>()) {
        let (_folder, path) = place();
        if pack_them {
            pack(&path, &[bytes]);
        } else {
            std::fs::write(&path, bytes).unwrap();
        }
        prop_assert!(Transcript::open(&path).is_err());
    }
}
