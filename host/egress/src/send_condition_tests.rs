//! Calls that ask whether a stored reply still holds.

use super::*;
use crate::stored_reply::{Condition, StoredReply};
use crate::validator::Validator;

/// A stored reply, and how often it was brought.
struct Stored(Validator, Option<StoredReply>, AtomicUsize);

impl Stored {
    fn new(reply: Option<StoredReply>) -> Self {
        Self(Validator::Etag(b"W/\"one\""[..].into()), reply, AtomicUsize::new(0))
    }

    fn page() -> StoredReply {
        StoredReply {
            status: 200,
            headers: vec![("x-total".to_owned(), "7".to_owned())],
            link: Some("<b>; rel=\"next\"".to_owned()),
            body: b"[1]".to_vec(),
        }
    }
}

impl Condition for Stored {
    fn validator(&self) -> &Validator {
        &self.0
    }

    fn load(&self) -> BoxFuture<'_, Option<StoredReply>> {
        self.2.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { self.1.clone() })
    }
}

impl World {
    async fn ask(&self, url: &str, stored: &Stored) -> Result<Reply, CallFault> {
        let request = self.request(url);
        let call = self.session.send_if(&request, &self.rules, Some(stored), &self.waits);
        tokio::time::timeout(Duration::from_secs(20), call).await.unwrap()
    }
}

async fn world(fake: &Fake) -> World {
    let mut world = World::of(fake).await;
    world.rules = ReplyRules {
        revalidate: true,
        response_headers: vec!["x-total".to_owned()],
        empty_on: [400, 404].map(|status| EmptyOn { status, code: None }).into(),
        ..ReplyRules::default()
    };
    world
}

fn conditional(request: &str) -> bool {
    request.contains("if-none-match: W/\"one\"\r\n")
}

#[tokio::test]
async fn a_reply_that_still_holds_costs_no_body() {
    let fake = Fake::start(|_, _| say(304, "etag: \"one\"\r\nx-total: 8\r\n", "")).await;
    let stored = Stored::new(Some(Stored::page()));
    let reply = world(&fake).await.ask(&fake.url("/"), &stored).await.unwrap();
    assert!(conditional(&fake.request(0)), "{}", fake.request(0));
    assert_eq!((reply.status, &*reply.body, reply.empty), (200, b"[1]".as_slice(), false));
    assert_eq!(reply.headers, [("x-total".to_owned(), "8".to_owned())], "the newer one");
    assert_eq!(reply.link.as_deref(), Some("<b>; rel=\"next\""), "a 304 without links says nothing of them");
    assert_eq!((reply.reused.map(|r| r.outdated), reply.validator), (Some(false), None));
    assert_eq!((reply.stats.attempts, stored.2.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_reply_that_changed_comes_with_what_it_is_asked_about_next() {
    let fake = Fake::start(|_, _| say(200, "etag: \"two\"\r\n", "[2]")).await;
    let stored = Stored::new(Some(Stored::page()));
    let reply = world(&fake).await.ask(&fake.url("/"), &stored).await.unwrap();
    assert_eq!((&*reply.body, reply.reused), (b"[2]".as_slice(), None));
    assert_eq!(reply.validator, Some(Validator::Etag(b"\"two\""[..].into())));
    assert_eq!(stored.2.load(Ordering::SeqCst), 0, "nobody brought the old one");
    // An operation that doesn't say so is never asked about.
    let reply = World::of(&fake).await.get(&fake.url("/")).await.unwrap();
    assert_eq!(reply.validator, None);
}

#[tokio::test]
async fn a_next_page_that_the_304_names_is_followed_and_the_stored_reply_is_outdated() {
    let fake = Fake::start(|n, _| {
        let store = if n == 3 { "cache-control: no-store\r\n" } else { "" };
        say(304, &format!("link: <c>; rel=\"{}\"\r\n{store}", if n == 2 { "first" } else { "next" }), "")
    })
    .await;
    let last = Stored::new(Some(StoredReply { link: None, ..Stored::page() }));
    let middle = Stored::new(Some(Stored::page()));
    let world = world(&fake).await;
    let grown = world.ask(&fake.url("/"), &last).await.unwrap();
    assert_eq!(grown.link.as_deref(), Some("<c>; rel=\"next\""));
    assert!(grown.reused.unwrap().outdated);
    // The list got shorter: what the 304 says is what holds now.
    let shrunk = world.ask(&fake.url("/"), &middle).await.unwrap();
    assert_eq!(shrunk.link.as_deref(), Some("<c>; rel=\"first\""));
    assert!(!shrunk.reused.unwrap().outdated);
    assert!(world.ask(&fake.url("/"), &middle).await.unwrap().reused.unwrap().outdated, "it isn't to be stored now");
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_a_fault() {
    let fake = Fake::start(|_, _| say(304, "", "")).await;
    let fault = world(&fake).await.fault(&fake.url("/")).await;
    assert_eq!((fault.code, fault.status), (FaultCode::Status, Some(304)));
    assert!(fault.message.contains("nobody had asked"), "{fault}");
    // Nor is one an answer that speaks of another reply, or of one that is gone: it is asked without the question then,
    // and after that there is nobody who asked.
    for reply in [Some(Stored::page()), None] {
        let other = Fake::start(|_, _| say(304, "etag: \"other\"\r\n", "")).await;
        let stored = Stored::new(reply);
        let fault = world(&other).await.ask(&other.url("/"), &stored).await.unwrap_err();
        assert_eq!((fault.status, other.hits(), stored.2.load(Ordering::SeqCst)), (Some(304), 2, 0));
        assert!(conditional(&other.request(0)) && !conditional(&other.request(1)));
    }
}

#[tokio::test]
async fn what_can_not_be_brought_is_fetched_anew_in_the_same_call() {
    let fake = Fake::start(|_, request| match conditional(request) {
        true => say(304, "", ""),
        false => say(200, "etag: \"one\"\r\n", "[1]"),
    })
    .await;
    let stored = Stored::new(None);
    let reply = world(&fake).await.ask(&fake.url("/"), &stored).await.unwrap();
    assert_eq!((&*reply.body, reply.reused, reply.stats.attempts), (b"[1]".as_slice(), None, 2));
    assert!(reply.validator.is_some());
}

#[tokio::test]
async fn a_server_that_objects_to_the_question_is_asked_without_it() {
    // 400 is one of the operation's `empty-on`; one that is about the condition must not be taken for "none here".
    for status in [400, 412, 431] {
        let fake = Fake::start(move |_, request| match conditional(request) {
            true => say(status, "", "{}"),
            false => say(200, "", "[1]"),
        })
        .await;
        let reply = world(&fake).await.ask(&fake.url("/"), &Stored::new(Some(Stored::page()))).await.unwrap();
        assert_eq!((&*reply.body, reply.empty, fake.hits()), (b"[1]".as_slice(), false, 2), "{status}");
    }
    // What means the same with and without it is believed at once.
    let fake = Fake::start(|_, _| say(404, "", "{}")).await;
    let reply = world(&fake).await.ask(&fake.url("/"), &Stored::new(Some(Stored::page()))).await.unwrap();
    assert_eq!((reply.empty, reply.validator, fake.hits()), (true, None, 1));
}

#[tokio::test]
async fn a_304_obeys_the_limits_of_the_provider_and_counts_as_a_call() {
    let headers = "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1\r\n";
    let fake = Fake::start(move |_, _| say(304, headers, "")).await;
    let world = world(&fake).await;
    let stored = Stored::new(Some(Stored::page()));
    world.ask(&fake.url("/"), &stored).await.unwrap();
    world.ask(&fake.url("/"), &stored).await.unwrap();
    assert_eq!(world.waits().len(), 1, "the second waits for the window that the first closed");
}

#[tokio::test]
async fn what_was_stored_is_scrubbed_by_the_rules_of_today() {
    let fake = Fake::start(|_, request| match conditional(request) {
        true => say(304, "", ""),
        false => say(200, &format!("etag: \"{SECRET}\"\r\n"), "[]"),
    })
    .await;
    let mut setting = Setting::new(&[&fake]);
    setting.scrub =
        vec![ScrubRule { operations: vec![OperationId::new("list-things").unwrap()], path: "/a".to_owned() }];
    setting.credential = Some((CredentialKind::Bearer, SECRET.to_owned()));
    let mut world = setting.world().await;
    world.rules.revalidate = true;
    let body = format!("{{\"a\":\"hidden since\",\"b\":\"{SECRET}\"}}").into_bytes();
    let stored = Stored::new(Some(StoredReply { body, ..Stored::page() }));
    let reply = world.ask(&fake.url("/"), &stored).await.unwrap();
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(!text.contains(SECRET) && !text.contains("hidden since") && text.contains("[scrubbed]"), "{text}");
    // A tag that is made of our token is no tag.
    let reply = world.get(&fake.url("/")).await.unwrap();
    assert_eq!((reply.status, reply.validator), (200, None));
}
