//! Every number of the sandbox that the broker doesn't choose, with its unit and its reason. Those it does choose are
//! [`porthole_wire::Limits`].

use std::time::Duration;

/// The most lanes, whatever the broker asks for: each is a thread with a stack and 4 GiB of reserved addresses a memory.
pub const MAX_LANES: u32 = 64;

/// Stack of a guest, in bytes. Twice wasmtime's default, because interpreters compiled to wasm recurse deeply.
pub const WASM_STACK_BYTES: usize = 1024 * 1024;
/// Stack of a lane's thread, in bytes: the guest's stack, and as much again three times for the host functions below it.
pub const LANE_STACK_BYTES: usize = 4 * 1024 * 1024;

/// What a guest may hand to one host call, in bytes. Above it the guest traps before the host has allocated anything. A
/// batch of more than 1 MiB is refused with an error it can read; only a caller far beyond that meets this limit. It
/// also holds for what an export returns.
pub const HOSTCALL_BYTES: usize = 8 * 1024 * 1024;
/// Component handles of one task, in all tables: those of the credentials and those a guest makes for itself.
pub const COMPONENT_HANDLES: usize = 10_000;
/// Operation, arguments and their overhead in one call, in bytes. 64 such calls still fit a frame.
pub const MAX_CALL_BYTES: usize = 100_000;
/// The longest slot or entity type worth asking the broker about, in bytes. Manifests allow far less.
pub const MAX_NAME_BYTES: usize = 1024;

/// Linear memories of one task. A component from one source has one; a composed one a few. Each reserves 4 GiB of
/// addresses, so this and the lanes decide the address space.
pub const MEMORIES: usize = 8;
/// Tables of one task. Interpreters are linked from dozens of modules, and each may bring a table.
pub const TABLES: usize = 128;
/// Core instances of one task: those modules, and the small ones that glue them to the world.
pub const INSTANCES: usize = 256;
/// What one table element costs the host, in bytes: a pointer.
pub const TABLE_ELEMENT_BYTES: u64 = 8;

/// Core instances of a component that runs from the pool. A guest from one source has three: the module, and two small
/// ones that glue it to the world. A component with more, with more than one memory, or with more or larger tables than
/// below gets memory of its own for each task; only that takes longer, its limits are the same.
pub const POOLED_INSTANCES: u32 = 16;
/// Tables of a component that runs from the pool. A guest from one source has two.
pub const POOLED_TABLES: u32 = 4;
/// Elements that a table in the pool has room for: functions whose address a guest takes. Our own guests have hundreds. It
/// can't grow beyond; what begins with more doesn't run from the pool.
pub const POOLED_TABLE_ELEMENTS: usize = 64 * 1024;
/// What a memory in the pool keeps when its task is over, in bytes, overwritten with zeroes: stack, data and first
/// allocations of a guest that was linked as ours are. Fetching these pages from the kernel again takes longer than
/// overwriting them; of a larger part the opposite is true.
pub const POOLED_RESIDENT_BYTES: usize = 256 * 1024;
/// The same for a table, in bytes: a page.
pub const POOLED_TABLE_RESIDENT_BYTES: usize = 4096;
/// Compiled code that isn't tried with the pool, in bytes: only interpreters are this large, they don't fit, and trying
/// would cost a second copy of their code.
pub const POOLED_CODE_BYTES: usize = 16 * 1024 * 1024;
/// Room for code that a sandbox holds while it waits for it, in bytes: guests of the SDK have some 550 KiB, and an idle
/// sandbox stays below 1 MiB. What is larger is fetched when it comes.
pub const READY_CODE_BYTES: usize = 640 * 1024;
/// The largest memory that there is, in bytes: a 32-bit index reaches no further.
pub const LARGEST_MEMORY_BYTES: usize = 4 * 1024 * 1024 * 1024;

/// Names that `partitions` may return. The largest organisations have some ten thousand accounts.
pub const MAX_PARTITIONS: usize = 100_000;
/// The longest partition, in bytes.
pub const MAX_PARTITION_BYTES: usize = 256;
/// All partitions of a step together, in bytes, so that they fit a frame.
pub const MAX_PARTITIONS_BYTES: usize = 4 * 1024 * 1024;

/// How often a computing guest is looked at. A guest overruns its CPU limit by at most this.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);
/// What a cancelled guest may still compute to emit what it has, before it is stopped.
pub const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// Progress frames of one task are at least this far apart: ten a second is more than an eye can follow.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Addresses that one linear memory takes: wasmtime reserves 4 GiB so that a 32-bit index can't leave it, and guard
/// pages on both sides.
pub const MEMORY_RESERVATION_BYTES: u64 = 4 * 1024 * 1024 * 1024 + 128 * 1024 * 1024;
/// Addresses for everything else: the program, compiled code three times over, thread stacks, malloc's arenas (64 MiB
/// of addresses for each thread).
pub const ADDRESS_BASE_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Writable memory for everything but linear memories: a frame of compiled code and its copies (3 × 128 MiB while it is
/// loaded), and 16 MiB of buffers and malloc's rests for each lane.
pub const DATA_BASE_BYTES: u64 = 512 * 1024 * 1024;
/// See [`DATA_BASE_BYTES`].
pub const DATA_LANE_BYTES: u64 = 16 * 1024 * 1024;

/// The largest component that is compiled, in bytes. Interpreters with their library have tens of megabytes; what a
/// compiler makes of our own guests has less than one.
pub const MAX_COMPONENT_BYTES: usize = 64 * 1024 * 1024;
/// CPU time of a compilation, in seconds. It is done once for each version of a module; two minutes on one core are
/// enough for an interpreter, and end a component that was made to be slow.
pub const COMPILE_CPU_SECONDS: u64 = 120;
/// Address space of a compilation, in bytes. Cranelift holds one function at a time and the whole output.
pub const COMPILE_ADDRESS_BYTES: u64 = 4 * 1024 * 1024 * 1024;
