#![allow(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use crate::grant::Layer;

/// A slice that went well: two pages, some objects, the guest returned.
fn good() -> SliceLedger {
    let mut ledger = SliceLedger::new();
    ledger.called();
    ledger.page_opened(1);
    assert!(ledger.page_followed(1));
    ledger.called();
    ledger.emitted(500, 0, 0);
    ledger.ended(Ok(()));
    ledger
}

fn denial() -> Denial {
    Denial {
        layer: Layer::Granted,
        operation: "list-users".to_owned(),
        reason: "instance `acme` was not granted it".to_owned(),
        remedy: "porthole grant set acme --allow list-users".to_owned(),
    }
}

fn after(change: impl FnOnce(&mut SliceLedger)) -> (Verdict, Outcome) {
    let mut ledger = good();
    change(&mut ledger);
    (ledger.verdict(), ledger.outcome())
}

#[test]
fn a_slice_of_which_everything_was_seen_is_complete() {
    let ledger = good();
    assert_eq!(ledger.verdict(), Verdict { complete: true, reason: None, missing_permission: None });
    assert_eq!(ledger.outcome(), Outcome::Succeeded);
    assert_eq!(ledger.calls(), 2);
}

#[test]
fn whatever_is_missing_makes_it_incomplete_though_the_guest_says_ok() {
    type Case = (&'static str, fn(&mut SliceLedger), Outcome);
    let cases: [Case; 7] = [
        ("denied (granted)", |l| l.denied(&denial()), Outcome::Partial),
        ("status: 500", |l| l.faulted("status", "500", None), Outcome::Partial),
        ("cut short: body", |l| l.cut("body"), Outcome::Partial),
        ("1 lists were not followed", |l| l.page_opened(7), Outcome::Partial),
        ("1 bad objects had no readable key", |l| l.emitted(0, 1, 1), Outcome::Partial),
        ("the run was cancelled", SliceLedger::cancelled, Outcome::Cancelled),
        ("11 of 511 objects were bad", |l| l.emitted(0, 11, 0), Outcome::Failed),
    ];
    for (reason, change, outcome) in cases {
        let (verdict, ended) = after(change);
        assert!(!verdict.complete, "{reason}");
        assert!(verdict.reason.as_deref().unwrap().contains(reason), "{verdict:?}");
        assert_eq!(ended, outcome, "{reason}");
    }
}

#[test]
fn a_guest_that_failed_or_vanished_leaves_the_slice_incomplete() {
    let (verdict, outcome) = after(|l| l.ended(Err("trap: unreachable")));
    assert_eq!((verdict.reason.as_deref(), outcome), (Some("the guest failed: trap: unreachable"), Outcome::Failed));
    let fresh = SliceLedger::new();
    assert_eq!((fresh.verdict().reason.as_deref(), fresh.outcome()), (Some("the guest didn't end"), Outcome::Failed));
}

#[test]
fn the_deepest_cause_is_named_with_the_permission_that_was_missing() {
    let (verdict, outcome) = after(|l| {
        l.faulted("status", "403 for list-members", Some("Members: read"));
        l.faulted("status", "500 for list-repos", None);
        l.ended(Err("call failed"));
    });
    assert_eq!(verdict.reason.as_deref(), Some("status: 403 for list-members (the first of 2 failed calls)"));
    assert_eq!(verdict.missing_permission.as_deref(), Some("Members: read"));
    assert_eq!(outcome, Outcome::Failed);
}

#[test]
fn odd_data_is_tolerated_up_to_a_share() {
    let bad = |accepted: u64, rejected: u64| {
        let mut ledger = SliceLedger::new();
        ledger.emitted(accepted, rejected, 0);
        ledger.ended(Ok(()));
        !ledger.verdict().complete
    };
    assert!(!bad(1, 10) && bad(1, 11), "ten objects are tolerated however few there are");
    assert!(bad(0, 1), "nothing but bad objects is no odd data");
    assert!(!bad(9_900, 100) && bad(9_900, 101), "one in a hundred is tolerated");
}

#[test]
fn a_page_is_followed_once_and_only_if_it_exists() {
    let mut ledger = good();
    assert!(!ledger.page_followed(99));
    ledger.page_opened(2);
    assert!(ledger.page_followed(2) && !ledger.page_followed(2));
    assert!(ledger.verdict().complete);
}

#[test]
fn messages_are_cut_and_printable() {
    let (verdict, _) = after(|l| l.ended(Err(&format!("\u{1b}[2J{}", "é".repeat(5_000)))));
    let reason = verdict.reason.unwrap();
    assert!(reason.len() < MAX_MESSAGE_BYTES + 50 && !reason.contains('\u{1b}'), "{}", reason.len());
}

#[test]
fn only_a_complete_listing_retires_partitions() {
    let names = |list: &[&str]| list.iter().map(|n| Partition::new(*n).unwrap()).collect::<Vec<_>>();
    let known = names(&["eu", "us", "ap", "us"]);
    assert_eq!(retired_partitions(&known, &names(&["eu", "new"]), true), names(&["ap", "us"]));
    assert_eq!(retired_partitions(&known, &names(&["eu", "new"]), false), names(&[]));
    assert_eq!(retired_partitions(&known, &names(&[]), true), names(&["ap", "eu", "us"]));
    assert_eq!(retired_partitions(&known, &names(&[]), false), names(&[]));
    assert_eq!(retired_partitions(&[], &known, true), names(&[]));
}

#[test]
fn what_builds_on_an_incomplete_step_is_incomplete() {
    let mut ledger = SliceLedger::new();
    ledger.ended(Ok(()));
    assert!(ledger.verdict().complete);
    ledger.builds_on_incomplete(&"repos".parse().unwrap());
    let verdict = ledger.verdict();
    assert!(!verdict.complete);
    assert_eq!(verdict.reason.unwrap(), "step `repos`, which it builds on, is incomplete");
}
