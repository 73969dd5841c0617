//! Batches: lengths, budgets and the window. What an object looks like is the broker's question, so bad ones go over.

use crate::broker::{Broker, limits, receive, send, yes};
use porthole_wire::*;

#[test]
fn objects_beyond_the_budget_are_refused_and_the_step_has_not_finished() {
    let mut broker = Broker::start(Limits { emit_objects: 5_500, cpu_ms: 10_000, ..limits() });
    let outcome = broker.attack("emit-objects-flood");
    assert_eq!(outcome.limit(), "emit-objects");
    assert_eq!(outcome.usage.emit_objects, 5_000);
    assert_eq!(outcome.questions.len(), 5);
}

#[test]
fn bytes_beyond_the_budget_are_refused_and_the_step_has_not_finished() {
    let mut broker = Broker::start(Limits { emit_bytes: 1_000_000, cpu_ms: 10_000, ..limits() });
    let outcome = broker.attack("emit-bytes-flood");
    assert_eq!(outcome.limit(), "emit-bytes");
    assert!(outcome.usage.emit_bytes <= 1_000_000);
    assert_eq!(outcome.questions.len(), 4);
}

#[test]
fn giant_lines_and_batches_are_refused_and_the_step_has_not_finished() {
    let mut broker = Broker::start(limits());
    for step in ["emit-giant-line", "emit-giant-batch"] {
        let outcome = broker.attack(step);
        assert_eq!(outcome.limit(), "emit-size", "{step}");
        assert!(outcome.questions.is_empty(), "{step}");
    }
    let outcome = broker.attack("lie-after-refused-batch");
    assert_eq!(outcome.limit(), "emit-size");
    assert!(outcome.emitted().contains("lie:batch"));
}

#[test]
fn bad_objects_go_over_between_good_ones_for_the_broker_to_judge() {
    let mut broker = Broker::start(limits());
    for step in crate::pairing::BAD_OBJECTS {
        let outcome = broker.attack(step);
        assert_eq!(outcome.end, TaskEnd::Finished, "{step}");
        let emitted = outcome.emitted();
        assert!(emitted.contains("good:before") && emitted.contains("good:after"), "{step}");
        assert!(outcome.usage.emit_objects >= 3, "{step}");
    }
}

#[test]
fn batches_are_sent_ahead_up_to_the_window_and_all_are_answered_before_the_end() {
    let mut broker = Broker::start(Limits { emit_objects: 100_000, cpu_ms: 10_000, ..limits() });
    let id = broker.begin(TaskKind::Run, "emit-objects-flood", "");
    // Nothing is answered: the window fills, and then there is silence.
    let window: Vec<_> = (0..EMIT_WINDOW).map(|_| asked(&mut broker)).collect();
    assert_eq!(window, (0..EMIT_WINDOW as u64).collect::<Vec<_>>());
    broker.socket.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let mut byte = [0];
    assert!(std::io::Read::read(&mut broker.socket, &mut byte).is_err(), "a batch beyond the window");
    broker.socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    // Answered in another order than asked, except that the oldest one opens the window.
    for ask in [2, 1, 3] {
        send(&mut broker.socket, &ToSandbox::Answer { task: id, ask, answer: Answer::Emitted(Ok(())) });
    }
    send(&mut broker.socket, &ToSandbox::Answer { task: id, ask: 0, answer: Answer::Emitted(Ok(())) });
    let outcome = broker.finish(id, yes);
    assert_eq!(outcome.limit(), "emit-objects");
    assert_eq!(outcome.questions.len(), 100 - EMIT_WINDOW);
}

fn asked(broker: &mut Broker) -> AskId {
    match receive(&mut broker.socket) {
        Some(FromSandbox::Ask { ask, question: Question::Emit(_), .. }) => ask,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_by_the_broker_shows_at_a_fixed_batch_whenever_it_came() {
    let mut broker = Broker::start(Limits { cpu_ms: 10_000, ..limits() });
    let mut batches = 0;
    let outcome = broker.attack_with("emit-objects-flood", |_| {
        batches += 1;
        Answer::Emitted(if batches == 3 { Err(EmitError::Limit("the third".to_owned())) } else { Ok(()) })
    });
    // The third batch was refused; the guest learns of it at the seventh, which isn't sent.
    assert_eq!(outcome.questions.len(), 2 + EMIT_WINDOW);
    assert_eq!(outcome.limit(), "emit");
}

#[test]
fn a_refusal_that_the_guest_did_not_live_to_see_still_counts() {
    let mut broker = Broker::start(limits());
    let outcome = broker.attack_with("honest", |question| match question {
        Question::Emit(_) => Answer::Emitted(Err(EmitError::Cancelled)),
        other => yes(other),
    });
    assert_eq!(outcome.limit(), "cancelled");
}
