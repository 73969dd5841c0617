//! The only wasmtime: the locked-down process that runs guests, and the compiler process.
