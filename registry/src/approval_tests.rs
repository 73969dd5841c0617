#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

type Change = fn(&mut Decision);

fn decision() -> Decision {
    Decision {
        module: ModuleDigest([2; 32]),
        basis: Some(ModuleDigest([1; 32])),
        diff: ModuleDigest([3; 32]).to_string(),
        verdict: Verdict::Wider,
        kind: ApprovalKind::Normal,
        reason: "reads the hooks, which we need for SOC 2".to_owned(),
        at: Timestamp::from_second(1_790_000_000).unwrap(),
    }
}

fn approved() -> (SigningKey, Approval) {
    let key = SigningKey::generate().unwrap().1;
    let approval = Approval::by(&key, &"ada".parse().unwrap(), decision()).unwrap();
    (key, approval)
}

#[test]
fn an_approval_comes_back_from_its_file() {
    let (key, approval) = approved();
    let read = Approval::from_file(approval.to_file().as_bytes()).unwrap();
    assert_eq!(read, approval);
    assert!(read.is_by(&key.public()) && !read.is_by(&approved().0.public()));
    let automatic = Approval::automatic(Decision { verdict: Verdict::Equal, ..decision() }).unwrap();
    assert_eq!(Approval::from_file(automatic.to_file().as_bytes()).unwrap(), automatic);
    assert!(!automatic.is_by(&key.public()));
}

#[test]
fn every_field_is_signed() {
    let (key, approval) = approved();
    let changes: [fn(&mut Statement); 8] = [
        |s| s.module = ModuleDigest([9; 32]),
        |s| s.basis = None,
        |s| s.diff = ModuleDigest([4; 32]).to_string(),
        |s| s.verdict = Verdict::Equal,
        |s| s.kind = ApprovalKind::Emergency,
        |s| s.reviewer = Some("eve".parse().unwrap()),
        |s| s.reason.push('!'),
        |s| s.at = Timestamp::UNIX_EPOCH,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = approval.clone();
        change(&mut other.statement);
        assert!(!other.is_by(&key.public()), "change {number}");
    }
}

#[test]
fn what_no_approval_says_is_refused() {
    let key = SigningKey::generate().unwrap().1;
    let by = |change: Change| {
        let mut decision = decision();
        change(&mut decision);
        Approval::by(&key, &"ada".parse().unwrap(), decision)
    };
    let cases: [(Change, &str); 6] = [
        (|d| d.reason = "  ".to_owned(), "the reason is empty"),
        (|d| d.reason = "x".repeat(MAX_REASON_BYTES + 1), "at most 2048"),
        (|d| d.reason = "fine\u{202e}".to_owned(), "nobody would see"),
        (|d| (d.basis, d.verdict) = (None, Verdict::Equal), "against nothing"),
        (|d| d.diff = "md5".to_owned(), "digest of the diff"),
        (|d| d.kind = ApprovalKind::Automatic, "isn't automatic"),
    ];
    for (change, expected) in cases {
        let error = by(change).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(Approval::automatic(decision()).unwrap_err().to_string().contains("got wider"));
}

#[test]
fn the_file_has_one_spelling() {
    let (_, approval) = approved();
    let text = approval.to_file();
    let unsigned = Approval { signature: None, ..approval };
    for other in [
        text.trim_end().to_owned(),
        text.replace("\"version\": 1", "\"version\": 2"),
        text.replace("{\n", "{\n  \"more\": 1,\n"),
        text.replace("\"normal\"", "\"automatic\""),
        text.replace("\"normal\"", "\"formal\""),
        unsigned.to_file(),
    ] {
        assert!(other != text && Approval::from_file(other.as_bytes()).is_err(), "{other}");
    }
}
