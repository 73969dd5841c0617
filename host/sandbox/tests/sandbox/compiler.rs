//! The compiler process, and components that it or the loader must refuse.

use crate::artifacts::{SANDBOX, compatibility, compile, compile_framed, compiler, component, hostile};
use crate::broker::{Broker, limits};
use crate::raw;
use porthole_sandbox::measure::Guest;
use porthole_wire::{Limits, TaskEnd};

#[test]
fn both_binaries_agree_on_the_engine() {
    let number = compatibility(SANDBOX);
    assert_eq!(number, compatibility(compiler()));
    assert_eq!(number.trim().len(), 16);
    let compiled = compile(&component(&raw::table_bomb()));
    assert_eq!(format!("{:016x}\n", compiled.parts().0), number);
}

#[test]
fn what_is_no_component_is_refused() {
    for bytes in [&b""[..], b"(component)", b"\0asm\x01\0\0\0", &[0; 100]] {
        let compiled = compile(bytes);
        assert!(!compiled.success && compiled.output.is_empty());
        assert!(compiled.error.contains("doesn't compile"), "{}", compiled.error);
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_it_is_read() {
    let compiled = compile_framed(u32::MAX, b"");
    assert!(compiled.error.contains("at most 67108864 are admitted"), "{}", compiled.error);
    assert!(compile_framed(100, b"short").error.contains("can't read the component"));
}

#[test]
fn a_component_that_imports_anything_else_is_refused_when_it_is_loaded() {
    let code = compile(&raw::importing("wasi:filesystem/types@0.2.0"));
    let refused = Broker::load(limits(), code.parts().1).err().unwrap();
    assert!(refused.contains("wasi:filesystem/types@0.2.0"), "{refused}");
    let code = compile(&raw::importing("porthole:integration/secrets@0.1.0"));
    assert!(Broker::load(limits(), code.parts().1).err().unwrap().contains("doesn't fit the world"));
}

#[test]
fn features_that_no_guest_needs_are_off() {
    assert!(compile(&component(&raw::tail_caller())).error.contains("tail calls"));
}

#[test]
fn a_table_bomb_ends_at_the_memory_limit() {
    let code = compile(&component(&raw::table_bomb()));
    let mut broker = Broker::load(Limits { cpu_ms: 10_000, ..limits() }, code.parts().1).unwrap();
    let outcome = broker.attack("any");
    assert_eq!(outcome.limit(), "memory");
    assert!(outcome.usage.memory_bytes <= 32 << 20);
}

#[test]
fn a_task_finds_nothing_of_the_one_whose_memory_it_gets() {
    let code = compile(&component(&raw::leaves_its_mark()));
    assert!(Guest::load(code.parts().1, limits()).unwrap().is_pooled());
    let mut broker = Broker::load(Limits { cpu_ms: 10_000, ..limits() }, code.parts().1).unwrap();
    for _ in 0..5 {
        assert_eq!(broker.attack("any").end, TaskEnd::Finished);
    }
}

#[test]
fn a_guest_from_one_source_runs_from_the_pool_and_a_larger_one_on_its_own() {
    assert!(Guest::load(hostile(), limits()).unwrap().is_pooled());
    let large = compile(&component(&raw::large_memory()));
    assert!(!Guest::load(large.parts().1, limits()).unwrap().is_pooled());
}

#[test]
fn a_memory_larger_than_the_limit_from_the_start_is_refused() {
    let code = compile(&component(&raw::large_memory()));
    let mut broker = Broker::load(limits(), code.parts().1).unwrap();
    assert_eq!(broker.attack("any").limit(), "memory");
}
