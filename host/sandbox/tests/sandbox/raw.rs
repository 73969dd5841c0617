//! Guests that no compiler makes, written instruction by instruction.

use std::path::Path;
use wasm_encoder::*;
use wit_component::StringEncoding;

/// Grows a table until it may no more, then traps.
pub(crate) fn table_bomb() -> Vec<u8> {
    let mut run = Function::new([]);
    run.instruction(&Instruction::Loop(BlockType::Empty))
        .instruction(&Instruction::RefNull(HeapType::FUNC))
        .instruction(&Instruction::I32Const(1_000_000))
        .instruction(&Instruction::TableGrow(0))
        .instruction(&Instruction::I32Const(-1))
        .instruction(&Instruction::I32Ne)
        .instruction(&Instruction::BrIf(0))
        .instruction(&Instruction::End)
        .instruction(&Instruction::Unreachable)
        .instruction(&Instruction::End);
    guest(run, 1)
}

/// Wants 64 MiB before its first instruction.
pub(crate) fn large_memory() -> Vec<u8> {
    let mut run = Function::new([]);
    run.instruction(&Instruction::I32Const(0)).instruction(&Instruction::End);
    guest(run, 1024)
}

/// Fails unless everything that it has is as its module says, and leaves all of it changed: memory (but for the first
/// page, where the world's values pass), a grown memory, data, a global, a table.
pub(crate) fn leaves_its_mark() -> Vec<u8> {
    let at = |offset| MemArg { offset, align: 2, memory_index: 0 };
    let mut run = Function::new([(1, ValType::I32)]);
    let fail_if = |run: &mut Function| {
        run.instruction(&Instruction::If(BlockType::Empty))
            .instruction(&Instruction::Unreachable)
            .instruction(&Instruction::End);
    };
    // From the local's address to the end of memory: all zero, and then all ones.
    let scan = |run: &mut Function| {
        run.instruction(&Instruction::Loop(BlockType::Empty))
            .instruction(&Instruction::LocalGet(4))
            .instruction(&Instruction::I32Load(at(0)));
        fail_if(run);
        run.instruction(&Instruction::LocalGet(4))
            .instruction(&Instruction::I32Const(-1))
            .instruction(&Instruction::I32Store(at(0)))
            .instruction(&Instruction::LocalGet(4))
            .instruction(&Instruction::I32Const(4))
            .instruction(&Instruction::I32Add)
            .instruction(&Instruction::LocalTee(4))
            .instruction(&Instruction::MemorySize(0))
            .instruction(&Instruction::I32Const(16))
            .instruction(&Instruction::I32Shl)
            .instruction(&Instruction::I32LtU)
            .instruction(&Instruction::BrIf(0))
            .instruction(&Instruction::End);
    };
    let data = i32::try_from(DATA_AT).unwrap();
    run.instruction(&Instruction::I32Const(data))
        .instruction(&Instruction::I32Load(at(0)))
        .instruction(&Instruction::I32Const(i32::from_le_bytes(*DATA)))
        .instruction(&Instruction::I32Ne);
    fail_if(&mut run);
    run.instruction(&Instruction::I32Const(data))
        .instruction(&Instruction::I32Const(-1))
        .instruction(&Instruction::I32Store(at(0)))
        .instruction(&Instruction::GlobalGet(0));
    fail_if(&mut run);
    run.instruction(&Instruction::I32Const(1)).instruction(&Instruction::GlobalSet(0));
    run.instruction(&Instruction::TableSize(0));
    fail_if(&mut run);
    run.instruction(&Instruction::RefNull(HeapType::FUNC))
        .instruction(&Instruction::I32Const(1000))
        .instruction(&Instruction::TableGrow(0))
        .instruction(&Instruction::Drop)
        .instruction(&Instruction::I32Const(65536))
        .instruction(&Instruction::LocalSet(4));
    scan(&mut run);
    run.instruction(&Instruction::I32Const(32))
        .instruction(&Instruction::MemoryGrow(0))
        .instruction(&Instruction::I32Const(8))
        .instruction(&Instruction::I32Ne);
    fail_if(&mut run);
    scan(&mut run);
    run.instruction(&Instruction::I32Const(0)).instruction(&Instruction::End);
    guest(run, 8)
}

/// Where a guest's data lies, and what it is.
const DATA_AT: u32 = 8192;
const DATA: &[u8; 4] = b"data";

/// Uses an instruction of a feature that is off.
pub(crate) fn tail_caller() -> Vec<u8> {
    let mut run = Function::new([]);
    for local in 0..4 {
        run.instruction(&Instruction::LocalGet(local));
    }
    run.instruction(&Instruction::ReturnCall(0)).instruction(&Instruction::End);
    guest(run, 1)
}

/// A core module that exports the world's `steps`, with this body for `run`.
fn guest(run: Function, memory_pages: u64) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    types.ty().function([ValType::I32; 2], [ValType::I32]);
    let mut functions = FunctionSection::new();
    for ty in [0, 1, 0] {
        functions.function(ty);
    }
    let mut tables = TableSection::new();
    let funcref = RefType::FUNCREF;
    tables.table(TableType { element_type: funcref, table64: false, minimum: 0, maximum: None, shared: false });
    let mut memories = MemorySection::new();
    let memory =
        MemoryType { minimum: memory_pages, maximum: None, memory64: false, shared: false, page_size_log2: None };
    memories.memory(memory);
    let mut globals = GlobalSection::new();
    globals.global(GlobalType { val_type: ValType::I32, mutable: true, shared: false }, &ConstExpr::i32_const(0));
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(DATA_AT.cast_signed()), DATA.iter().copied());
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    exports.export("porthole:integration/steps@0.1.0#run", ExportKind::Func, 0);
    exports.export("porthole:integration/steps@0.1.0#partitions", ExportKind::Func, 1);
    exports.export("cabi_realloc", ExportKind::Func, 2);
    let mut code = CodeSection::new();
    code.function(&run);
    for address in [0, 1024] {
        let mut function = Function::new([]);
        function.instruction(&Instruction::I32Const(address)).instruction(&Instruction::End);
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tables).section(&memories).section(&globals);
    module.section(&exports).section(&code).section(&data);
    with_world(module.finish())
}

fn with_world(mut module: Vec<u8>) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/integration@0.1.0");
    let (package, _) = resolve.push_path(path).unwrap();
    let world = resolve.select_world(&[package], Some("integration")).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

/// A component that imports an empty interface of this name and nothing else.
pub(crate) fn importing(name: &str) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    types.instance(&InstanceType::new());
    let mut imports = ComponentImportSection::new();
    imports.import(name, ComponentTypeRef::Instance(0));
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}
