//! What a task costs before its guest does anything: a store, an instance, the first host call.

use crate::bench::{Bench, Figure, repository};
use crate::measure::percentile;
use crate::row::{Goal, Row};
use anyhow::Result;
use bytes::Bytes;
use futures_util::FutureExt as _;
use porthole_model::id::ModuleDigest;
use porthole_registry::{Packed, pack, read_manifest};
use porthole_runner::compile::Compiler;
use porthole_sandbox::measure::{Bare, Guest};
use porthole_wire::Limits;
use std::time::Duration;
use wasm_encoder::{
    CanonicalOption, CodeSection, ComponentBuilder, ComponentExportKind, ComponentTypeRef, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, ImportSection, MemorySection, MemoryType, Module, ModuleArg, TypeSection,
};

/// Begun tasks.
const SAMPLES: usize = 20_000;

/// See the module's documentation.
pub(crate) const FIGURE: Figure = Figure {
    name: "instantiate",
    about: "store + instantiate + first host call, against an empty component",
    limit: Duration::from_secs(120),
    run: |bench| measure(bench).boxed(),
};

async fn measure(bench: Bench) -> Result<Vec<Row>> {
    let guest = bench_items(&bench).await?;
    let compiler = Compiler::new(&bench.bin, &bench.folder("compiled")?)?;
    let with_memory = compiler.code(ModuleDigest([1; 32]), &empty(true)).await?;
    let without = compiler.code(ModuleDigest([2; 32]), &empty(false)).await?;
    let samples = bench.size(SAMPLES);
    tokio::task::spawn_blocking(move || compare(&guest, &with_memory, &without, samples)).await?
}

/// The guest `bench-items`, packed.
pub(super) fn packed_bench_items(bench: &Bench) -> Result<Packed> {
    let text = std::fs::read_to_string(repository().join("guests/bench-items/manifest.toml"))?;
    let manifest = read_manifest(&text).map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
    Ok(pack(&std::fs::read(bench.guest("bench_items"))?, &manifest)?)
}

/// The same, compiled.
pub(super) async fn bench_items(bench: &Bench) -> Result<Bytes> {
    let packed = packed_bench_items(bench)?;
    let compiler = Compiler::new(&bench.bin, &bench.folder("compiled")?)?;
    Ok(compiler.code(packed.digest, &packed.bytes).await?)
}

fn compare(guest: &[u8], with_memory: &[u8], without: &[u8], samples: usize) -> Result<Vec<Row>> {
    let guest = Guest::load(guest, Limits::default())?;
    let (with_memory, without) = (Bare::load(with_memory)?, Bare::load(without)?);
    let (mut ours, mut bare, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    // One after the other, so that whatever else the machine does meets all three.
    for _ in 0..samples {
        ours.push(guest.step("made", r#"{"links":"no","made":"0"}"#)?);
        bare.push(with_memory.run()?);
        nothing.push(without.run()?);
    }
    let [ours, bare, nothing] = [ours, bare, nothing].map(|mut times| percentile(&mut times, 0.5).as_secs_f64() * 1e6);
    let row = Row::new("store + instantiate + first host call, p50", ours, "µs");
    let row = row.against("an empty component with a page of memory", bare).goal(Goal::RatioAtMost(1.5));
    let note = format!(
        "{samples} of each, in turn, in one process without the walls (their system call filter is passed by both), each with memory from the pool \
         that lanes use. Ours is three core modules (the guest and the two that glue it to the world), \
         carries two strings in and a configuration out, sets up an allocator and returns a result; the empty one calls a \
         host function without arguments and returns. A component without even a memory: {nothing:.1} µs"
    );
    Ok(vec![row.note(note)])
}

/// `(component (import "host" (func)) (export "run" (func)))`, where `run` calls `host`.
fn empty(memory: bool) -> Vec<u8> {
    let mut component = ComponentBuilder::default();
    let (ty, mut encoder) = component.type_function(None);
    encoder.params::<_, wasm_encoder::ComponentValType>([]).result(None);
    let host = component.import("host", ComponentTypeRef::Func(ty));
    let lowered = component.lower_func(None, host, Vec::<CanonicalOption>::new());
    let module = component.core_module(None, &core(memory));
    let host = component.core_instantiate_exports(None, [("host", ExportKind::Func, lowered)]);
    let instance = component.core_instantiate(None, module, [("", ModuleArg::Instance(host))]);
    let run = component.core_alias_export(None, instance, "run", ExportKind::Func);
    let run = component.lift_func(None, run, ty, Vec::<CanonicalOption>::new());
    component.export("run", ComponentExportKind::Func, run, None);
    component.finish()
}

fn core(memory: bool) -> Module {
    let (mut types, mut imports, mut functions) = (TypeSection::new(), ImportSection::new(), FunctionSection::new());
    types.ty().function([], []);
    imports.import("", "host", EntityType::Function(0));
    functions.function(0);
    let mut memories = MemorySection::new();
    if memory {
        let page = MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
        memories.memory(page);
    }
    let mut exports = ExportSection::new();
    exports.export("run", ExportKind::Func, 1);
    let mut code = CodeSection::new();
    let mut run = Function::new([]);
    run.instructions().call(0).end();
    code.function(&run);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&memories).section(&exports).section(&code);
    module
}
