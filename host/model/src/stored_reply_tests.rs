#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
use super::*;
use crate::manifest::{CredentialKind, Manifest, Method};
use url::Url;

fn operation(change: &str) -> Operation {
    let text = r#"{"id":"list","request":"GET https://api.example.com/users","auth":"api","revalidate":true}"#;
    serde_json::from_str(&text.replace(r#""auth""#, &format!(r#"{change}"auth""#))).unwrap()
}

fn method(kind: CredentialKind) -> CredentialMethod {
    CredentialMethod { slot: "api".parse().unwrap(), method: "token".into(), description: String::new(), kind }
}

fn rule(path: &str) -> ScrubRule {
    ScrubRule { operations: vec!["list".parse().unwrap()], path: path.into() }
}

fn request(url: &str) -> PreparedRequest {
    PreparedRequest {
        operation: "list".parse().unwrap(),
        method: Method::Get,
        url: Url::parse(url).unwrap(),
        headers: Vec::new(),
        body: None,
        auth: None,
        scope: None,
    }
}

#[test]
fn what_changes_a_reply_changes_what_it_is_found_by() {
    let bearer = method(CredentialKind::Bearer);
    let same = Shape::of(&operation(""), Some(&bearer), &[rule("/a")]).unwrap();
    assert_eq!(Shape::of(&operation(""), Some(&bearer), &[rule("/a")]), Some(same));
    let elsewhere = ScrubRule { operations: vec!["other".parse().unwrap()], path: "/b".into() };
    assert_eq!(Shape::of(&operation(""), Some(&bearer), &[rule("/a"), elsewhere]), Some(same), "another's rule");
    let others = [
        Shape::of(&operation(r#""empty-on":[404],"#), Some(&bearer), &[rule("/a")]),
        Shape::of(&operation(r#""headers":{"accept":"x"},"#), Some(&bearer), &[rule("/a")]),
        Shape::of(&operation(r#""response-headers":["x-total"],"#), Some(&bearer), &[rule("/a")]),
        Shape::of(&operation(""), Some(&method(CredentialKind::Basic)), &[rule("/a")]),
        Shape::of(&operation(""), None, &[rule("/a")]),
        Shape::of(&operation(""), Some(&bearer), &[rule("/b")]),
        Shape::of(&operation(""), Some(&bearer), &[]),
    ];
    assert!(others.iter().all(|other| other.is_some() && *other != Some(same)), "{others:?}");

    let (one, two) = (CredentialId::new(), CredentialId::new());
    let at = "https://api.example.com/users";
    let key = ReplyKey::of(same, &request(at), at, Some(one));
    assert_eq!(ReplyKey::of(same, &request(at), at, Some(one)), key);
    let others = [
        ReplyKey::of(others[0].unwrap(), &request(at), at, Some(one)),
        ReplyKey::of(same, &request("https://api.example.com/users?page=2"), at, Some(one)),
        ReplyKey::of(same, &request(at), "http://127.0.0.1:1/users", Some(one)),
        ReplyKey::of(same, &request(at), at, Some(two)),
        ReplyKey::of(same, &request(at), at, None),
    ];
    assert!(others.iter().all(|other| *other != key));
}

#[test]
fn everything_is_fetched_anew_within_a_week_and_not_all_at_once() {
    let day = Duration::from_secs(24 * 3600);
    let key = |share| ReplyKey([share; 16]);
    for share in 0..=255 {
        assert!(!key(share).is_due(day * 5 - Duration::from_secs(1)) && key(share).is_due(MAX_AGE), "{share}");
    }
    let due = (0..=255).filter(|share| key(*share).is_due(day * 6)).count();
    assert!((120..=136).contains(&due), "{due}");
}

fn key(n: u8) -> ReplyKey {
    ReplyKey([n; 16])
}

#[test]
fn a_full_shelf_keeps_what_is_used_and_makes_room_of_what_is_not() {
    let mut shelf = Shelf::new(100);
    for n in 0..5 {
        shelf.holds(key(n), 20, Duration::from_secs(u64::from(n)));
    }
    shelf.used(key(4));
    shelf.used(key(0));
    // One that has changed takes its own place, as far as there is room.
    assert!(shelf.admits(key(0), 20));
    assert!(!shelf.admits(key(0), 21));
    // There is no room for another, however small; what it takes is what goes at the end.
    assert!(!shelf.admits(key(9), 30));
    assert_eq!(shelf.bytes(), 100);
    // 21 and 30 were turned away: the oldest of the unused go, and not the used one, which is older.
    assert_eq!(shelf.make_room(), [key(3), key(2), key(1)]);
    assert_eq!(shelf.bytes(), 40);
    assert!(shelf.make_room().is_empty(), "nothing is missing any more");
}

#[test]
fn a_shelf_with_room_gives_nothing_up() {
    let mut shelf = Shelf::new(u64::MAX);
    shelf.holds(key(1), 20, MAX_AGE);
    assert!(shelf.admits(key(2), 20) && !shelf.admits(key(3), MAX_REPLY_BYTES as u64 + 1));
    assert!(shelf.make_room().is_empty(), "what is too long for any shelf needs no room");
    shelf.forget(key(1));
    shelf.forget(key(1));
    assert_eq!(shelf.bytes(), 20);
    for n in 0..MAX_INSTANCE_REPLIES {
        let mut bytes = [7; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
        shelf.admits(ReplyKey(bytes), 1);
    }
    assert!(!shelf.admits(key(4), 1) && shelf.admits(key(2), 1), "their number is bounded too");
}

#[test]
fn a_manifest_without_the_word_reads_as_before() {
    let text = r#"{"schema":1,"module":{"name":"a","version":"1.0.0","provider":"A","description":"a"},
        "operations":[{"id":"list","request":"GET https://api.example.com/users"}],"steps":[]}"#;
    let manifest: Manifest = serde_json::from_str(text).unwrap();
    assert!(!manifest.operations[0].revalidate);
}
