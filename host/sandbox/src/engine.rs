//! One engine configuration for both binaries. Code that one makes is run by the other, so every setting is here and
//! nowhere else; [`compatibility`] is the number by which the broker sees that they agree.

use crate::{code, limits};
use porthole_wire::Limits;
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, WasmBacktraceDetails};

/// The wasmtime whose code generator made, and whose runtime runs, the code. A fix in the generator is a new version and
/// must throw away what the old one made; wasmtime itself compares the major version only. A test compares this with
/// the lock file.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// This file: a changed setting is a changed compatibility.
const SETTINGS: &str = include_str!("engine.rs");

/// The engine that compiles.
///
/// # Errors
/// When wasmtime refuses a setting on this machine.
pub fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

/// The engine for what is too large for the pool: each instance gets memory of its own, which goes back to the kernel
/// afterwards.
pub(crate) fn on_demand() -> wasmtime::Result<Engine> {
    let mut config = config();
    code::in_pages(&mut config);
    Engine::new(&config)
}

/// The engine whose instances take their memory from a pool: addresses are reserved once, and a task gets the memory that
/// an earlier one gave back. It gets it empty: wasmtime overwrites the first
/// [`limits::POOLED_RESIDENT_BYTES`] with zeroes and returns the rest to the kernel before a slot is given out again, and
/// a slot that couldn't be cleaned is mapped anew.
///
/// It installs wasmtime's signal handlers, so it is made before the system calls are filtered.
pub(crate) fn pooled(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut config = config();
    config.allocation_strategy(pool(limits));
    code::in_pages(&mut config);
    Engine::new(&config)
}

/// Room for as many tasks as there are lanes, and for nobody else.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let lanes = limits.lanes;
    let memory_bytes = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX).min(limits::LARGEST_MEMORY_BYTES);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(lanes)
        .total_core_instances(lanes.saturating_mul(limits::POOLED_INSTANCES))
        .max_core_instances_per_component(limits::POOLED_INSTANCES)
        .total_memories(lanes)
        .max_memories_per_component(1)
        .max_memories_per_module(1)
        .max_memory_size(memory_bytes)
        .linear_memory_keep_resident(limits::POOLED_RESIDENT_BYTES)
        .total_tables(lanes.saturating_mul(limits::POOLED_TABLES))
        .max_tables_per_component(limits::POOLED_TABLES)
        .max_tables_per_module(limits::POOLED_TABLES)
        .table_elements(limits::POOLED_TABLE_ELEMENTS)
        .table_keep_resident(limits::POOLED_TABLE_RESIDENT_BYTES)
        // A slot is clean before the lane that used it takes its next task.
        .decommit_batch_size(1)
        // It would need a descriptor.
        .pagemap_scan(Enabled::No);
    pool
}

fn config() -> Config {
    let mut config = Config::new();
    // A guest that computes is looked at every EPOCH_TICK.
    config.epoch_interruption(true);
    config.max_wasm_stack(limits::WASM_STACK_BYTES);
    // Function names only. File names and lines would mean reading the guest's DWARF in the host.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    // What maps an instruction of the code back to its offset in the module is a third of the code, and a trap tells names
    // of functions without it.
    config.generate_address_map(false);
    // Copy-on-write images need memfd_create and a descriptor for each memory; the sandbox has neither.
    config.memory_init_cow(false);
    // Nobody looks at a guest with a debugger or a profiler.
    config.native_unwind_info(false);

    // What compilers of guest languages emit and the component model needs. The rest is surface without use.
    config.wasm_component_model(true);
    config.wasm_simd(true);
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_tail_call(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_custom_page_sizes(false);

    #[cfg(feature = "compile")]
    compiler(&mut config);
    config
}

/// Settings of the code generator. They travel in the code and are compared when it is loaded.
#[cfg(feature = "compile")]
fn compiler(config: &mut Config) {
    config.strategy(wasmtime::Strategy::Cranelift);
    config.cranelift_opt_level(wasmtime::OptLevel::Speed);
    // The bits of a NaN differ between processors; a run that is repeated elsewhere must not.
    config.cranelift_nan_canonicalization(true);
}

/// Which engine made a piece of code: wasmtime, our settings, and the processor. Equal numbers mean that code from one
/// loads in the other. Not a seal: the broker binds it to the code with a MAC.
#[must_use]
pub fn compatibility() -> u64 {
    let mut hash = Fnv::new();
    hash.add(WASMTIME_VERSION);
    hash.add(SETTINGS);
    hash.add(std::env::consts::ARCH);
    hash.add(std::env::consts::OS);
    for feature in processor_features() {
        hash.add(feature);
    }
    hash.0
}

/// FNV-1a, 64 bits: the same in every build, unlike the standard library's hasher.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a text and its end, so that `ab`, `c` differs from `a`, `bc`.
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The processor features of which the code generator makes use when it finds them.
#[cfg(target_arch = "x86_64")]
fn processor_features() -> Vec<&'static str> {
    macro_rules! found {
        ($($name:tt),*) => { [$(($name, std::is_x86_feature_detected!($name))),*] };
    }
    let all = found!(
        "cmpxchg16b",
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "avx",
        "avx2",
        "fma",
        "avxvnni",
        "avx512vnni",
        "bmi1",
        "bmi2",
        "avx512bitalg",
        "avx512dq",
        "avx512f",
        "avx512vl",
        "avx512vbmi",
        "lzcnt"
    );
    all.into_iter().filter(|(_, here)| *here).map(|(name, _)| name).collect()
}

/// The processor features of which the code generator makes use when it finds them.
#[cfg(target_arch = "aarch64")]
fn processor_features() -> Vec<&'static str> {
    macro_rules! found {
        ($($name:tt),*) => { [$(($name, std::arch::is_aarch64_feature_detected!($name))),*] };
    }
    let all = found!("lse", "paca", "fp16", "dotprod", "i8mm");
    all.into_iter().filter(|(_, here)| *here).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_built() {
        let lock = include_str!("../../../Cargo.lock");
        let (_, rest) = lock.split_once("name = \"wasmtime\"\nversion = \"").unwrap();
        let (version, _) = rest.split_once('"').unwrap();
        assert_eq!(
            version, WASMTIME_VERSION,
            "write the new version into engine.rs, so that old code is compiled again"
        );
    }

    #[test]
    fn the_engine_starts_and_its_number_stays() {
        engine().unwrap();
        assert!(on_demand().unwrap().pooling_allocator_metrics().is_none());
        assert!(pooled(&Limits::default()).unwrap().pooling_allocator_metrics().is_some());
        let largest = Limits { memory_bytes: u64::MAX, lanes: limits::MAX_LANES, ..Limits::default() };
        pooled(&largest).unwrap();
        assert_eq!(compatibility(), compatibility());
    }
}
