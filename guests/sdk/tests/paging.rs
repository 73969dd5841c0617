//! Lists are followed to their end, many at once, and one that fails doesn't stop the others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use porthole_sdk::testing::MemoryHost;
use porthole_sdk::{CALLS_AT_ONCE, Call, Cause, Cx, Denial, Fault, Layer, Level, StepError};
use serde_json::{Value, json};

fn numbers(cx: &Cx<'_>, call: Call) -> Result<Vec<u64>, StepError> {
    let mut all = Vec::new();
    for page in cx.pages(call) {
        all.extend(page?.list::<u64>()?);
    }
    Ok(all)
}

fn list(number: usize) -> (usize, Call) {
    (number, Call::new("list").arg("n", number))
}

#[test]
fn a_list_is_followed_to_its_end() {
    let host = MemoryHost::new().pages("list", &[("b", "2"), ("a", "1")], [json!([1, 2]), json!([3]), json!([4])]);
    let cx = Cx::new(&host).unwrap();
    let call = Call::new("list").arg("a", 1).arg("b", 2).credential("api");
    assert_eq!(numbers(&cx, call).unwrap(), [1, 2, 3, 4]);
    assert_eq!(host.unfollowed_pages(), 0);
    assert_eq!(host.calls().len(), 1);
    assert_eq!(host.calls()[0].credential_slot(), Some("api"));
}

#[test]
fn a_list_that_is_left_shows_as_unfollowed() {
    let host = MemoryHost::new().pages("list", &[], [json!([1]), json!([2])]);
    let cx = Cx::new(&host).unwrap();
    assert!(cx.pages(Call::new("list")).next().unwrap().is_ok());
    assert_eq!(host.unfollowed_pages(), 1);
}

#[test]
fn a_list_ends_after_the_page_that_fails() {
    let host = MemoryHost::new().pages_then("list", &[], [json!([1])], Fault::status(502, "bad gateway"));
    let cx = Cx::new(&host).unwrap();
    let mut pages = cx.pages(Call::new("list"));
    assert!(pages.next().unwrap().is_ok());
    assert_eq!(pages.next().unwrap().unwrap_err().to_string(), "`list`: status (502): bad gateway");
    assert!(pages.next().is_none());
}

#[test]
fn an_empty_response_is_an_empty_list() {
    let host = MemoryHost::new().empty("list", &[], 404);
    assert_eq!(numbers(&Cx::new(&host).unwrap(), Call::new("list")).unwrap(), [0u64; 0]);
}

#[test]
fn a_reply_of_another_shape_says_which_operation_and_where() {
    let host = MemoryHost::new().reply("list", &[], json!({"message": "hello"}));
    let error = numbers(&Cx::new(&host).unwrap(), Call::new("list")).unwrap_err();
    assert!(matches!(error, StepError::Unexpected(_)));
    let message = error.to_string();
    assert!(
        message.starts_with("`list`: the reply isn't what it should be") && message.contains("line 1"),
        "{message}"
    );
}

#[test]
fn declared_headers_can_be_read() {
    let host = MemoryHost::new().raw("get", &[], &[("x-total", "7")], b"[]");
    let response = Cx::new(&host).unwrap().call(Call::new("get")).unwrap();
    assert_eq!((response.header("x-total"), response.header("x-other")), (Some("7"), None));
}

#[test]
fn many_lists_are_open_at_once_but_no_more_than_the_host_takes() {
    let mut host = MemoryHost::new();
    for n in 0..200 {
        let pages: Vec<Value> = (0..n % 4 + 1).map(|page| json!([n * 10 + page])).collect();
        host = host.pages("list", &[("n", &n.to_string())], pages);
    }
    let cx = Cx::new(&host).unwrap();
    let mut seen = vec![Vec::new(); 200];
    let outcome = cx
        .pages_many((0..200).map(list), |n, page| {
            seen[*n].extend(page.list::<usize>()?);
            Ok(())
        })
        .unwrap();
    assert_eq!((outcome.complete, outcome.failed), (200, 0));
    for (n, seen) in seen.iter().enumerate() {
        let expected: Vec<_> = (0..n % 4 + 1).map(|page| n * 10 + page).collect();
        assert_eq!(*seen, expected, "every page of list {n}, in order");
    }
    assert_eq!(host.most_at_once(), CALLS_AT_ONCE);
    assert_eq!(host.unfollowed_pages(), 0);
}

#[test]
fn a_list_that_fails_is_said_and_the_others_go_on() {
    let denial = Denial { layer: Layer::Granted, reason: "not granted".into(), remedy: "grant it".into() };
    let forbidden = Fault { permission: Some("Members: read".into()), ..Fault::status(403, "forbidden") };
    let host = MemoryHost::new()
        .pages("list", &[("n", "0")], [json!([1]), json!([2])])
        .deny("list", &[("n", "1")], denial)
        .pages_then("list", &[("n", "2")], [json!([3])], forbidden)
        .reply("list", &[("n", "3")], json!([4]));
    let cx = Cx::new(&host).unwrap();
    let mut seen = Vec::new();
    let outcome = cx
        .pages_many((0..4).map(list), |_, page| {
            seen.extend(page.list::<u64>()?);
            Ok(())
        })
        .unwrap();
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4]);
    assert_eq!((outcome.complete, outcome.failed), (2, 2));
    let logs = host.logs();
    assert!(logs.iter().all(|l| l.level == Level::Warn));
    assert_eq!(logs[0].message, "`list`: denied (granted): not granted; what would allow it: grant it");
    assert_eq!(logs[1].message, "`list`: status (403): forbidden; it needs Members: read");
}

#[test]
fn a_flood_of_failures_is_summed_up() {
    let mut host = MemoryHost::new();
    for n in 0..50 {
        host = host.fault("list", &[("n", &n.to_string())], Fault::status(403, "forbidden"));
    }
    let outcome = Cx::new(&host).unwrap().pages_many((0..50).map(list), |_, _| Ok(())).unwrap();
    assert_eq!(outcome.failed, 50);
    let logs = host.logs();
    assert_eq!((logs.len(), logs[10].message.as_str()), (11, "40 more lists failed"));
}

#[test]
fn the_end_of_the_run_ends_all_lists() {
    for cause in [Cause::Cancelled, Cause::Limit("calls".into())] {
        let host = MemoryHost::new().fail("list", &[("n", "0")], cause).reply("list", &[("n", "1")], json!([1]));
        let result = Cx::new(&host).unwrap().pages_many((0..2).map(list), |_, _| Ok(()));
        assert!(matches!(result, Err(StepError::Call(_))), "{result:?}");
    }
}

#[test]
fn an_error_of_the_visitor_stops_at_once() {
    let host = MemoryHost::new().reply("list", &[("n", "0")], json!("x")).reply("list", &[("n", "1")], json!([1]));
    let result = Cx::new(&host).unwrap().pages_many((0..2).map(list), |_, page| page.list::<u64>().map(|_| ()));
    assert!(matches!(result, Err(StepError::Unexpected(_))));
}

#[test]
fn many_calls_are_answered_in_order() {
    let mut host = MemoryHost::new();
    for n in 0..150 {
        host = host.reply("get", &[("n", &n.to_string())], json!(n));
    }
    let cx = Cx::new(&host).unwrap();
    let answers = cx.call_many((0..150).map(|n| Call::new("get").arg("n", n)));
    let values: Vec<u64> = answers.into_iter().map(|a| a.unwrap().json().unwrap()).collect();
    assert_eq!(values, (0..150).collect::<Vec<_>>());
    assert_eq!(host.most_at_once(), CALLS_AT_ONCE);
}

#[test]
fn a_call_without_a_canned_answer_prints_what_was_asked_for() {
    let host = MemoryHost::new();
    let error = Cx::new(&host).unwrap().call(Call::new("get").arg("id", 7)).unwrap_err();
    assert!(error.to_string().contains(r#"("get", [("id", "7")])"#), "{error}");
}

#[test]
fn stored_entities_are_read_over_pages_and_only_when_declared() {
    #[derive(serde::Deserialize)]
    struct Team {
        slug: String,
    }
    let mut host = MemoryHost::new().reads("acme_user");
    for n in 0..5 {
        host = host.stored("acme_team", &format!("acme:team:{n}"), json!({"slug": format!("t{n}")}));
    }
    let cx = Cx::new(&host).unwrap();
    let teams: Vec<_> = cx.entities::<Team>("acme_team").map(Result::unwrap).collect();
    assert_eq!(teams.len(), 5);
    assert_eq!((teams[4].key.as_str(), teams[4].properties.slug.as_str()), ("acme:team:4", "t4"));
    assert_eq!(cx.entities::<Team>("acme_user").count(), 0);
    let error = cx.entities::<Team>("acme_repo").next().unwrap().err().unwrap();
    assert!(error.to_string().contains("`acme_repo`"));
}

#[test]
fn configuration_clock_progress_and_cancellation_reach_the_step() {
    let host = MemoryHost::new().config(json!({"login": "acme", "n": 1})).started_at_ms(5).cancel();
    let cx = Cx::new(&host).unwrap();
    assert_eq!(cx.config("login").unwrap(), "acme");
    assert!(matches!(cx.config("n"), Err(StepError::Config(_))));
    assert!(matches!(cx.config("none"), Err(StepError::Config(_))));
    assert_eq!(cx.started_at_ms(), 5);
    assert!(cx.cancelled());
    cx.progress(3, Some(9));
    assert_eq!(host.last_progress(), Some((3, Some(9))));
    assert_eq!(cx.call(Call::new("x")).unwrap_err().cause, Cause::Cancelled);
}
