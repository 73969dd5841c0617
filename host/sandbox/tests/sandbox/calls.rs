//! Calls and credentials: what goes over unchanged, and what the sandbox refuses by itself. Whether an operation is
//! allowed is the broker's decision; here the test is the broker.

use crate::broker::{Broker, limits, response, yes};
use porthole_wire::*;

/// Denies, refuses tokens and slots, as a real broker does with the attacks.
fn strict(question: &Question) -> Answer {
    match question {
        Question::Open { slot } if slot != "api" => Answer::Open(Err(OpenError::UnknownSlot)),
        Question::Calls(calls) => Answer::Calls(calls.iter().map(refuse).collect()),
        Question::Entities { .. } => Answer::Entities(Err(ReadError::Undeclared)),
        other => yes(other),
    }
}

fn refuse(call: &Call) -> Result<Response, CallError> {
    match call {
        Call::Next { .. } => Err(CallError::BadToken),
        Call::Begin { operation, .. } => Err(CallError::Denied {
            layer: 1,
            reason: format!("`{operation}` is not granted"),
            remedy: format!("grant {operation}"),
        }),
    }
}

#[test]
fn an_honest_step_pages_and_numbers_its_questions_from_zero() {
    let mut broker = Broker::start(limits());
    let mut pages = 0;
    let outcome = broker.attack_with("honest", |question| match question {
        Question::Calls(_) => {
            pages += 1;
            Answer::Calls(vec![Ok(response((pages < 3).then_some(pages)))])
        }
        other => yes(other),
    });
    assert_eq!(outcome.end, TaskEnd::Finished);
    let numbers: Vec<_> = outcome.questions.iter().map(|(ask, _)| *ask).collect();
    assert_eq!(numbers, (0..7).collect::<Vec<_>>());
    let credential = Some("api".to_owned());
    let begin = Call::Begin { operation: "list-things".to_owned(), arguments: vec![], credential };
    assert_eq!(outcome.questions[1].1, Question::Calls(vec![begin]));
    assert_eq!(outcome.questions[3].1, Question::Calls(vec![Call::Next { token: 1 }]));
    assert_eq!((outcome.usage.emit_objects, outcome.usage.host_calls), (3, 7));
}

#[test]
fn a_denial_reaches_the_guest_with_its_layer_and_remedy() {
    let mut broker = Broker::start(limits());
    for step in ["call-undeclared", "call-foreign", "call-ungranted", "credential-missing"] {
        let outcome = broker.attack_with(step, strict);
        let text = outcome.answered();
        assert!(text.contains("Layer::Granted") && text.contains("remedy: \"grant "), "{step}: {text}");
    }
}

#[test]
fn arguments_go_over_as_they_are_for_the_broker_to_judge() {
    let mut broker = Broker::start(limits());
    let outcome = broker.attack_with("call-argument", strict);
    assert_eq!(outcome.answered(), "each was denied");
    let climbs = outcome.questions.iter().any(|(_, q)| {
        matches!(q, Question::Calls(c) if matches!(&c[0], Call::Begin { arguments, .. } if arguments[0].1 == "../admin"))
    });
    assert!(climbs);
}

#[test]
fn sixty_five_calls_at_once_are_refused_and_the_step_has_not_finished() {
    let mut broker = Broker::start(limits());
    let outcome = broker.attack("call-many-65");
    assert_eq!(outcome.limit(), "calls-at-once");
    assert!(!outcome.questions.iter().any(|(_, q)| matches!(q, Question::Calls(_))));
}

#[test]
fn a_giant_call_is_refused_without_the_broker() {
    let mut broker = Broker::start(limits());
    let outcome = broker.attack("call-giant");
    assert!(outcome.answered().contains("CallError::Limit"), "{outcome:?}");
    assert!(outcome.questions.is_empty());
}

#[test]
fn a_flood_of_calls_ends_when_the_broker_says_so() {
    let mut broker = Broker::start(limits());
    let mut calls = 0;
    let outcome = broker.attack_with("call-flood", |question| match question {
        Question::Calls(_) if calls == 50 => Answer::Calls(vec![Err(CallError::Limit("50 calls".to_owned()))]),
        Question::Calls(_) => {
            calls += 1;
            yes(question)
        }
        other => yes(other),
    });
    assert_eq!(outcome.answered(), "50 calls");
}

#[test]
fn tokens_are_the_brokers_to_judge() {
    let mut broker = Broker::start(limits());
    assert_eq!(broker.attack_with("token-invented", strict).answered(), "each was refused");
    let id = broker.begin(TaskKind::Run, "token-foreign", "4711");
    let outcome = broker.finish(id, strict);
    assert_eq!(outcome.answered(), "each was refused");
    assert_eq!(outcome.questions[0].1, Question::Calls(vec![Call::Next { token: 4711 }]));
    let mut used = false;
    let outcome = broker.attack_with("token-twice", |question| match question {
        Question::Calls(calls) if matches!(calls[0], Call::Begin { .. }) => Answer::Calls(vec![Ok(response(Some(9)))]),
        Question::Calls(_) if used => Answer::Calls(vec![Err(CallError::BadToken)]),
        Question::Calls(_) => {
            used = true;
            yes(question)
        }
        other => yes(other),
    });
    assert!(outcome.answered().contains("BadToken"));
}

#[test]
fn unknown_slots_and_types_are_refused() {
    let mut broker = Broker::start(limits());
    assert!(broker.attack_with("slot-unknown", strict).answered().contains("UnknownSlot"));
    assert_eq!(broker.attack_with("read-undeclared", strict).answered(), "each was refused");
    // A giant name isn't worth a question.
    let outcome = broker.attack_with("slot-giant", strict);
    assert!(outcome.answered().contains("UnknownSlot"));
    assert!(outcome.questions.is_empty());
}

#[test]
fn the_guest_may_claim_what_it_likes_and_the_broker_has_seen_the_rest() {
    let mut broker = Broker::start(limits());
    for step in ["lie-after-denial", "lie-after-fault"] {
        let outcome = broker.attack_with(step, strict);
        assert_eq!(outcome.end, TaskEnd::Finished, "{step}");
        assert!(outcome.questions.iter().any(|(_, q)| matches!(q, Question::Calls(_))), "{step}");
    }
    let outcome = broker.attack_with("lie-unread-page", |question| match question {
        Question::Calls(_) => Answer::Calls(vec![Ok(response(Some(1)))]),
        other => yes(other),
    });
    assert_eq!(outcome.end, TaskEnd::Finished);
    let outcome = broker.attack("lie-empty");
    assert!(outcome.end == TaskEnd::Finished && outcome.questions.is_empty());
}
