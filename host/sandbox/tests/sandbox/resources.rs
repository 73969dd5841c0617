//! Memory, time, stack, handles, the log.

use crate::broker::{Broker, limits};
use porthole_wire::{Limits, MAX_LOG_BYTES, TaskEnd, TaskKind, ToSandbox};
use std::time::{Duration, Instant};

#[test]
fn a_memory_bomb_ends_at_the_limit_and_the_lane_lives_on() {
    let mut broker = Broker::start(Limits { cpu_ms: 10_000, ..limits() });
    let outcome = broker.attack("memory-bomb");
    assert_eq!(outcome.limit(), "memory");
    assert!(outcome.usage.memory_bytes <= 32 << 20 && outcome.usage.memory_bytes > 16 << 20, "{:?}", outcome.usage);
    assert_eq!(broker.attack("honest").end, TaskEnd::Finished);
}

#[test]
fn a_loop_ends_when_its_cpu_time_is_used_up() {
    let mut broker = Broker::start(limits());
    let outcome = broker.attack("cpu-loop");
    assert_eq!(outcome.limit(), "cpu");
    assert!((300_000..1_000_000).contains(&outcome.usage.cpu_us), "{:?}", outcome.usage);
}

#[test]
fn time_spent_waiting_for_the_broker_is_free() {
    let mut broker = Broker::start(limits());
    let outcome = broker.attack_with("honest", |question| {
        std::thread::sleep(Duration::from_millis(200));
        crate::broker::yes(question)
    });
    assert_eq!(outcome.end, TaskEnd::Finished);
    assert!(outcome.usage.cpu_us < 200_000, "{:?}", outcome.usage);
}

#[test]
fn endless_recursion_ends_at_the_stack_limit() {
    let mut broker = Broker::start(limits());
    assert_eq!(broker.attack("stack-overflow").limit(), "stack");
    // A compiled guest has a second stack, in its memory. Below it there is nothing.
    assert!(broker.attack("stack-in-memory").trap().contains("out of bounds memory access"));
}

#[test]
fn traps_end_the_task_with_the_guests_stack() {
    let mut broker = Broker::start(limits());
    let memory = broker.attack("trap-memory");
    assert!(memory.trap().contains("out of bounds memory access"), "{}", memory.trap());
    assert!(memory.trap().contains("porthole_hostile::"), "no demangled names: {}", memory.trap());
    assert!(broker.attack("unreachable").trap().contains("unreachable"));
    assert!(broker.attack("panic").trap().contains("unreachable"));
    assert_eq!(broker.attack("honest").end, TaskEnd::Finished);
}

#[test]
fn log_lines_beyond_the_limit_are_dropped_and_counted() {
    let mut broker = Broker::start(Limits { log_lines: 10, cpu_ms: 10_000, ..limits() });
    let outcome = broker.attack("log-flood");
    assert_eq!(outcome.logs.len(), 10);
    assert_eq!(outcome.logs[0], (1, "line 0".to_owned()));
    assert_eq!(outcome.usage.log_dropped, 99_990);
    assert_eq!(outcome.end, TaskEnd::Finished);
}

#[test]
fn a_giant_log_line_is_cut_between_characters() {
    let mut broker = Broker::start(limits());
    let outcome = broker.attack("log-giant");
    let (level, line) = &outcome.logs[0];
    assert_eq!(*level, 3);
    assert_eq!(line.len(), MAX_LOG_BYTES / 3 * 3);
    assert!(line.chars().all(|c| c == '€'));
}

#[test]
fn progress_is_thinned_out_and_the_last_one_arrives() {
    let mut broker = Broker::start(Limits { cpu_ms: 10_000, ..limits() });
    let outcome = broker.attack("progress-flood");
    assert!(outcome.progress.len() < 200, "{}", outcome.progress.len());
    assert_eq!(outcome.progress.last(), Some(&(99_999, Some(100_000))));
}

#[test]
fn a_flood_of_host_calls_ends_at_the_limit() {
    let mut broker = Broker::start(Limits { host_calls: 1_000, ..limits() });
    let outcome = broker.attack("host-call-flood");
    assert_eq!(outcome.limit(), "host-calls");
    assert_eq!(outcome.usage.host_calls, 1_000);
}

#[test]
fn leaked_handles_end_at_the_limit() {
    let mut broker = Broker::start(Limits { handles: 16, ..limits() });
    let outcome = broker.attack("handle-leak");
    assert_eq!(outcome.limit(), "handles");
    assert_eq!(outcome.questions.len(), 17);
}

#[test]
fn more_than_the_host_takes_in_one_call_is_refused_before_it_is_copied() {
    let mut broker = Broker::start(Limits { memory_bytes: 64 << 20, cpu_ms: 10_000, ..limits() });
    assert_eq!(broker.attack("transfer-giant").limit(), "transfer");
}

#[test]
fn a_guest_learns_of_the_cancellation() {
    let mut broker = Broker::start(Limits { cpu_ms: 60_000, host_calls: u64::MAX, ..limits() });
    let id = broker.begin(TaskKind::Run, "cancel-wait", "");
    std::thread::sleep(Duration::from_millis(50));
    crate::broker::send(&mut broker.socket, &ToSandbox::Cancel);
    assert_eq!(broker.finish(id, crate::broker::yes).end, TaskEnd::Finished);
}

#[test]
fn a_guest_that_ignores_the_cancellation_is_stopped() {
    let mut broker = Broker::start(Limits { cpu_ms: 60_000, ..limits() });
    let id = broker.begin(TaskKind::Run, "cpu-loop", "");
    let begun = Instant::now();
    crate::broker::send(&mut broker.socket, &ToSandbox::Cancel);
    assert_eq!(broker.finish(id, crate::broker::yes).limit(), "cancelled");
    let grace = porthole_sandbox::limits::CANCEL_GRACE;
    assert!((grace..grace * 3).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn too_many_or_too_long_partitions_fail() {
    let mut broker = Broker::start(Limits { memory_bytes: 128 << 20, cpu_ms: 10_000, ..limits() });
    for (step, says) in [("partitions-flood", "150000"), ("partitions-giant", "257"), ("partitions-heavy", "8000000")] {
        let id = broker.begin(TaskKind::Partitions, step, "");
        match broker.finish(id, crate::broker::yes).end {
            TaskEnd::Failed { message, .. } => assert!(message.contains(says), "{step}: {message}"),
            // Together with their overhead they may be more than one call transfers.
            TaskEnd::Limit { limit, .. } => assert_eq!((step, limit.as_str()), ("partitions-heavy", "transfer")),
            other => panic!("{step}: {other:?}"),
        }
    }
    let id = broker.begin(TaskKind::Partitions, "honest", "");
    assert_eq!(broker.finish(id, crate::broker::yes).end, TaskEnd::Partitions(vec!["a".to_owned(), "b".to_owned()]));
}
