//! The only wasmtime: the locked-down process that runs guests, and the compiler process.
//!
//! Two binaries live here. `porthole-sandbox` runs one module for one run: no compiler, no secret, no descriptor but the
//! socket to its broker. `porthole-compile` turns one component into machine code and ends. Neither ever opens a file, a
//! connection or another process.
//!
//! Start reading at [`sandbox::main`]: it is the order in which the walls go up. What a guest can do to the host is what
//! `capability/` answers; what the host does to itself is in [`lockdown`]; every number is in [`limits`].

mod bindings;
mod capability;
mod code;
#[cfg(feature = "compile")]
pub mod compile;
pub mod engine;
mod lane;
pub mod limits;
mod load;
pub mod lockdown;
#[doc(hidden)]
pub mod measure;
mod memory;
mod meter;
mod question;
pub mod sandbox;
mod stop;
mod task;
mod wire;

/// An error and its causes in one line: the broker and the terminal get text, not a chain.
#[must_use]
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
