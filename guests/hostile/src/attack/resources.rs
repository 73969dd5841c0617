//! Attacks on the machine: memory, time, stack, handles, the log.

use crate::Task;
use crate::bindings::exports::porthole::integration::steps::StepError;
use crate::bindings::porthole::integration::{credentials, run};
use std::hint::black_box;

/// Takes memory until there is none. Must end as the limit `memory`.
pub(crate) fn memory_bomb(_: &Task) -> Result<(), StepError> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(black_box(vec![1; 1024 * 1024]));
    }
}

/// Computes for ever, without a call. Must end as the limit `cpu`; after a cancellation as `cancelled`.
pub(crate) fn cpu_loop(_: &Task) -> Result<(), StepError> {
    let mut n: u64 = 0;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Calls itself for ever, with nothing in its memory, where its other stack would end first. Must end as the limit `stack`.
pub(crate) fn stack_overflow(_: &Task) -> Result<(), StepError> {
    #[inline(never)]
    fn deeper(n: u64) -> u64 {
        // An end that is never reached, and work on the way back that can't be done on the way there: or the compiler makes
        // a loop of it.
        if n == u64::MAX { 0 } else { deeper(n + 1).rotate_left(7) ^ n }
    }
    black_box(deeper(black_box(0)));
    Ok(())
}

/// Calls itself for ever, with much in its own stack, which lies in its memory. Must end as a trap.
pub(crate) fn stack_in_memory(_: &Task) -> Result<(), StepError> {
    fn deeper(n: u64) -> u64 {
        let here = black_box([n; 64]);
        let next: fn(u64) -> u64 = black_box(deeper);
        next(n + 1) ^ black_box(here)[0]
    }
    black_box(deeper(0));
    Ok(())
}

/// Reads where there is no memory. Must end as a trap, with this function in the stack.
pub(crate) fn trap_memory(_: &Task) -> Result<(), StepError> {
    let nowhere = black_box(0xffff_fff0_usize) as *const u8;
    // SAFETY: none; that is the attack. The wasm sandbox answers it.
    black_box(unsafe { nowhere.read_volatile() });
    Ok(())
}

/// Gives up. Must end as a trap.
pub(crate) fn unreachable(_: &Task) -> Result<(), StepError> {
    core::arch::wasm32::unreachable()
}

/// Panics, as a guest with a mistake does. Must end as a trap.
#[allow(clippy::panic, reason = "the attack")]
pub(crate) fn panic(_: &Task) -> Result<(), StepError> {
    panic!("a guest with a mistake")
}

/// Writes more log lines than anyone reads. Must be cut at the limit, and counted.
pub(crate) fn log_flood(_: &Task) -> Result<(), StepError> {
    for n in 0..100_000 {
        run::log(run::Level::Info, &format!("line {n}"));
    }
    Ok(())
}

/// Writes one long log line of characters of three bytes. Must be cut at the end of a character.
pub(crate) fn log_giant(_: &Task) -> Result<(), StepError> {
    run::log(run::Level::Error, &"€".repeat(100_000));
    Ok(())
}

/// Reports progress without pause. Must be thinned out, and the last one must arrive.
pub(crate) fn progress_flood(_: &Task) -> Result<(), StepError> {
    for n in 0..100_000 {
        run::progress(n, Some(100_000));
    }
    Ok(())
}

/// Asks the host small things without end. Must end as the limit `host-calls`.
pub(crate) fn host_call_flood(_: &Task) -> Result<(), StepError> {
    loop {
        black_box(run::started_at());
    }
}

/// Opens credentials and never drops them. Must end as the limit `handles`.
pub(crate) fn handle_leak(_: &Task) -> Result<(), StepError> {
    for _ in 0..100_000 {
        if let Ok(handle) = credentials::open("api") {
            std::mem::forget(handle);
        }
    }
    Ok(())
}

/// Hands 16 MiB to one host call. Must end as the limit `transfer`, before the host has copied it.
pub(crate) fn transfer_giant(_: &Task) -> Result<(), StepError> {
    run::log(run::Level::Info, &"x".repeat(16 * 1024 * 1024));
    Ok(())
}

/// Asks whether the run was cancelled until it was, without a pause. Must end well after a cancellation.
pub(crate) fn cancel_wait(_: &Task) -> Result<(), StepError> {
    while !run::cancelled() {}
    Ok(())
}
