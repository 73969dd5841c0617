#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::test_support::Leaves;
use jiff::Timestamp;
use porthole_model::audit::{Entry, Object};
use porthole_model::context::{Actor, OpContext};
use porthole_model::run::SliceKey;
use uuid::Uuid;

const RUN: RunId = RunId(Uuid::from_u128(7));

fn entry(action: Action) -> Entry {
    Entry::new(action, Object::run(RUN)).run(RUN)
}

fn made(action: Action, seqs: &[i64]) -> Entry {
    let slice = SliceKey { step: "repos".parse().unwrap(), partition: "".parse().unwrap() };
    let layer = (action == Action::CallsDenied).then_some("granted");
    entry(action).calls(seqs.iter().map(|seq| CallMade::new(*seq, &slice, "list", layer)).collect())
}

fn ended(seqs: &[i64]) -> Entry {
    entry(Action::CallsEnded).ends(seqs.iter().map(|seq| CallEnded::new(*seq, Some(200), None, 1)).collect())
}

/// What is told of these records.
fn told(entries: Vec<Entry>) -> Vec<String> {
    let ctx = OpContext::new(Actor::Worker("w".to_owned()));
    let (mut semantics, mut told) = (Semantics::default(), Vec::new());
    for entry in entries {
        let record = entry.into_record(&ctx, Uuid::nil(), Timestamp::UNIX_EPOCH, &[0; 32]);
        semantics.take(&record, |oddity| told.push(oddity.to_string()));
    }
    told
}

#[test]
fn a_log_as_it_should_be_is_without_oddities() {
    let mut semantics = Semantics::default();
    for leaf in Leaves::of(60) {
        semantics.take(&Record::parse(&leaf).unwrap(), |oddity| panic!("{oddity}"));
    }
    assert!(semantics.runs() > 3);
}

#[test]
fn runs_go_their_ways() {
    use Action as A;
    let ways: [&[Action]; 5] = [
        &[A::RunQueued, A::RunStarted, A::RunPlanned, A::RunFinished],
        &[A::RunQueued, A::RunStarted, A::RunPlanned, A::RunHeld, A::RunConfirmed, A::RunStarted, A::RunFinished],
        &[A::RunQueued, A::RunCancelRequested, A::RunFinished, A::RunCancelRequested],
        &[A::RunQueued, A::RunStarted, A::RunHeld, A::RunCancelRequested, A::RunFinished],
        &[A::RunQueued, A::RunStarted, A::RunSwept, A::AuditShown],
    ];
    for way in ways {
        let found = told(way.iter().map(|action| entry(*action)).collect());
        assert!(found.is_empty(), "{way:?}: {found:?}");
    }
}

#[test]
fn steps_that_can_not_follow_are_told() {
    use Action as A;
    let ways: [(&[Action], &str); 9] = [
        (&[A::RunStarted], "`run.started` can't follow, because the run was never queued"),
        (&[A::RunQueued, A::RunQueued], "waits for a worker"),
        (&[A::RunQueued, A::RunPlanned], "waits for a worker"),
        (&[A::RunQueued, A::RunStarted, A::RunStarted], "is running"),
        (&[A::RunQueued, A::RunStarted, A::RunConfirmed], "is running"),
        (&[A::RunQueued, A::RunStarted, A::RunHeld, A::RunPlanned], "is held"),
        (&[A::RunQueued, A::RunStarted, A::RunFinished, A::RunFinished], "is over"),
        (&[A::RunQueued, A::RunStarted, A::RunFinished, A::CallsBegun], "is over"),
        (&[A::RunQueued, A::RunStarted, A::RunSwept, A::RunStarted], "is over"),
    ];
    for (way, expected) in ways {
        let found = told(way.iter().map(|action| entry(*action)).collect());
        assert!(found.len() == 1 && found.iter().all(|o| o.contains(expected)), "{way:?}: {found:?}");
    }
    let nowhere = told(vec![Entry::new(A::RunQueued, Object::new("run", "x"))]);
    assert_eq!(nowhere, ["`run.queued` says nothing of which run"]);
}

fn running(mut entries: Vec<Entry>) -> Vec<String> {
    entries.insert(0, entry(Action::RunQueued));
    entries.insert(1, entry(Action::RunStarted));
    told(entries)
}

#[test]
fn calls_made_at_the_same_time_may_be_recorded_in_any_order() {
    let found = running(vec![
        made(Action::CallsBegun, &[2, 1, 4]),
        ended(&[4]),
        made(Action::CallsDenied, &[3]),
        ended(&[1, 2]),
        entry(Action::RunFinished).count(CALLS, 3).count(DENIED, 1).count(LOST, 0).count(FAULTS, 0).count(BYTES, 3),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn gaps_repetitions_and_ends_without_a_beginning_are_told() {
    let begun = || made(Action::CallsBegun, &[1, 2, 5]);
    let finished = || entry(Action::RunFinished);
    let lost = || entry(Action::CallsEnded).ends(vec![CallEnded::new(1, None, Some("lost"), 0)]);
    let one = || made(Action::CallsBegun, &[1]);
    let cases = [
        (vec![begun(), ended(&[1, 2, 5]), finished()], "2 of its calls have no record, the first is call 3"),
        (vec![begun(), made(Action::CallsBegun, &[5])], "call 5 was recorded before"),
        (vec![begun(), made(Action::CallsDenied, &[1])], "call 1 was recorded before"),
        (vec![begun(), ended(&[2, 2])], "call 2 ends, and it was refused or has ended before"),
        (vec![begun(), ended(&[3])], "call 3 ends, and it was never begun"),
        (vec![ended(&[1])], "call 1 ends, and it was never begun"),
        (vec![made(Action::CallsDenied, &[1]), ended(&[1])], "call 1 ends, and it was refused"),
        (vec![made(Action::CallsBegun, &[0])], "0 is no number of a call"),
        (vec![made(Action::CallsBegun, &[i64::MIN])], "is no number of a call"),
        (vec![made(Action::CallsDenied, &[i64::MAX]), finished()], "9223372036854775806 of its calls"),
        (vec![one(), finished()], "it is over, and 1 of its calls never ended, the first is call 1"),
        (vec![one(), ended(&[1]), finished().count(CALLS, 2)], "tells of 2 calls, and the log has 1"),
        (vec![one(), ended(&[1]), finished().count(BYTES, 2)], "tells of 2 response-bytes, and the log has 1"),
        (vec![one(), lost(), finished().count(LOST, 0).count(FAULTS, 1)], "tells of 0 calls-lost, and the log has 1"),
        (vec![finished().count(DENIED, 1)], "tells of 1 calls-denied"),
    ];
    for (entries, expected) in cases {
        let found = running(entries);
        assert!(found.len() == 1 && found.iter().all(|o| o.contains(expected)), "{expected}: {found:?}");
    }
}
