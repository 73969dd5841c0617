//! The frames in their order, out of their order, and the ends of a sandbox.

use crate::artifacts::{SANDBOX, hostile};
use crate::broker::{Broker, limits, receive, response, send, send_code, spawn, yes};
use porthole_sandbox::sandbox::{EXIT_CLOSED, EXIT_LOAD, EXIT_PROTOCOL, EXIT_USAGE};
use porthole_wire::*;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn it_is_fully_isolated_and_holds_one_descriptor() {
    let broker = Broker::start(limits());
    assert!(broker.isolation.is_full(), "{:?}", broker.isolation);
    assert_eq!(broker.isolation.descriptors, [0]);
    // As root the test sees what the kernel has; without the right to look there is nothing to compare.
    if let Ok(open) = std::fs::read_dir(format!("/proc/{}/fd", broker.child.id())) {
        let names: Vec<_> = open.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["0"]);
    }
    assert_eq!(broker.close().code(), Some(EXIT_CLOSED));
}

#[test]
fn the_socket_may_be_descriptor_three() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let script = format!("exec 3<&0 0</dev/null; exec {SANDBOX}");
    let child =
        Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
    let broker = Broker::greet(child, ours, limits(), hostile()).unwrap();
    assert_eq!(broker.isolation.descriptors, [3]);
    assert!(broker.isolation.is_full());
}

#[test]
fn inherited_descriptors_are_closed() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let script = format!("exec 5</etc/passwd 9</etc/passwd; exec {SANDBOX}");
    let child =
        Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
    assert_eq!(Broker::greet(child, ours, limits(), hostile()).unwrap().isolation.descriptors, [0]);
}

#[test]
fn started_by_hand_it_says_so() {
    let status = Command::new(SANDBOX).stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(EXIT_USAGE));
}

#[test]
fn frames_out_of_turn_end_it() {
    let wrong = [
        ToSandbox::Cancel,
        ToSandbox::Load { length: 1 },
        ToSandbox::Start { protocol: PROTOCOL + 1, limits: limits(), allow_weak_isolation: true },
    ];
    for frame in wrong {
        let (mut child, mut socket) = spawn();
        send(&mut socket, &frame);
        assert!(matches!(receive(&mut socket), Some(FromSandbox::LoadFailed { .. })), "{frame:?}");
        assert_eq!(child.wait().unwrap().code(), Some(EXIT_PROTOCOL), "{frame:?}");
    }
}

#[test]
fn bytes_that_are_no_frame_end_it() {
    let (mut child, mut socket) = spawn();
    std::io::Write::write_all(&mut socket, &[3, 0, 0, 0, 255, 255, 255]).unwrap();
    assert!(matches!(receive(&mut socket), Some(FromSandbox::LoadFailed { .. })));
    assert_eq!(child.wait().unwrap().code(), Some(EXIT_PROTOCOL));
}

#[test]
fn code_of_no_engine_is_refused() {
    let (mut child, mut socket) = spawn();
    send(&mut socket, &ToSandbox::Start { protocol: PROTOCOL, limits: limits(), allow_weak_isolation: false });
    assert!(matches!(receive(&mut socket), Some(FromSandbox::Ready { .. })));
    send_code(&mut socket, b"\x7fELF and nothing else");
    assert!(matches!(receive(&mut socket), Some(FromSandbox::LoadFailed { .. })));
    assert_eq!(child.wait().unwrap().code(), Some(EXIT_LOAD));
}

#[test]
fn more_code_than_there_may_be_is_refused_before_memory_is_taken() {
    let (mut child, mut socket) = spawn();
    send(&mut socket, &ToSandbox::Start { protocol: PROTOCOL, limits: limits(), allow_weak_isolation: false });
    assert!(matches!(receive(&mut socket), Some(FromSandbox::Ready { .. })));
    send(&mut socket, &ToSandbox::Load { length: MAX_CODE_BYTES + 1 });
    assert!(matches!(receive(&mut socket), Some(FromSandbox::LoadFailed { .. })));
    assert_eq!(child.wait().unwrap().code(), Some(EXIT_PROTOCOL));
}

#[test]
fn an_answer_to_a_question_that_nobody_asked_ends_it() {
    let mut broker = Broker::start(limits());
    let task = broker.begin(TaskKind::Run, "honest", "");
    let Some(FromSandbox::Ask { ask: 0, .. }) = receive(&mut broker.socket) else { panic!("no question") };
    send(&mut broker.socket, &ToSandbox::Answer { task, ask: 7, answer: Answer::Open(Ok(())) });
    assert_eq!(broker.child.wait().unwrap().code(), Some(EXIT_PROTOCOL));
}

#[test]
fn it_ends_when_the_broker_closes_the_socket_even_while_a_guest_computes() {
    let mut broker = Broker::start(Limits { cpu_ms: 600_000, ..limits() });
    broker.begin(TaskKind::Run, "cpu-loop", "");
    assert_eq!(broker.close().code(), Some(EXIT_CLOSED));
}

#[test]
fn a_killed_sandbox_is_the_end_of_its_socket() {
    let mut broker = Broker::start(Limits { cpu_ms: 600_000, ..limits() });
    broker.begin(TaskKind::Run, "cpu-loop", "");
    broker.child.kill().unwrap();
    assert!(receive(&mut broker.socket).is_none());
    assert_eq!(broker.child.wait().unwrap().signal(), Some(9));
}

#[test]
fn lanes_run_tasks_side_by_side_and_a_waiting_one_stops_nobody() {
    let mut broker = Broker::start(Limits { lanes: 2, ..limits() });
    let waiting = broker.begin(TaskKind::Run, "honest", "");
    let Some(FromSandbox::Ask { task, ask, .. }) = receive(&mut broker.socket) else { panic!("no question") };
    assert_eq!((task, ask), (waiting, 0));
    // The first one waits for its answer; the second runs meanwhile, then the third on the same lane.
    assert!(!broker.attack("unreachable").trap().is_empty());
    assert_eq!(broker.attack("lie-empty").end, TaskEnd::Finished);
    send(&mut broker.socket, &ToSandbox::Answer { task, ask, answer: Answer::Open(Ok(())) });
    let outcome = broker.finish(waiting, |question| match question {
        Question::Calls(_) => Answer::Calls(vec![Ok(response(None))]),
        other => yes(other),
    });
    assert_eq!(outcome.end, TaskEnd::Finished);
}

#[test]
fn each_task_has_a_memory_of_its_own() {
    let mut broker = Broker::start(Limits { cpu_ms: 10_000, ..limits() });
    let before = broker.attack("lie-empty").usage.memory_bytes;
    assert_eq!(broker.attack("memory-bomb").limit(), "memory");
    assert_eq!(broker.attack("lie-empty").usage.memory_bytes, before);
}

#[test]
fn a_hundred_tasks_leave_nothing_behind() {
    let mut broker = Broker::start(Limits { lanes: 2, ..limits() });
    for _ in 0..100 {
        assert_eq!(broker.attack("honest").end, TaskEnd::Finished);
        assert_eq!(broker.attack("stack-overflow").limit(), "stack");
    }
}
