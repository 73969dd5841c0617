//! The life of `porthole-compile`.
//!
//! It reads a component from its standard input (a little-endian `u32` length and the bytes), and writes to its standard
//! output the engine's compatibility number (little-endian `u64`) and the code (a little-endian `u32` length and the
//! bytes). Errors are text on its standard error and exit code 1. The broker seals what comes out, with a key that this
//! process has never seen.
//!
//! A component is hostile and a code generator is large, so this is a process of its own: no file, no network, one
//! thread, limited time and memory.

use crate::{engine, limits, lockdown};
use std::io::{self, Read, Write};

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The standard input ended early.
    #[error("can't read the component")]
    Read(#[source] io::Error),
    /// Larger than admitted.
    #[error("the component has {0} bytes, at most {max} are admitted", max = limits::MAX_COMPONENT_BYTES)]
    TooLarge(usize),
    /// A wall can't be put up.
    #[error("can't lock the compiler down")]
    Lockdown(#[source] lockdown::LockdownError),
    /// Wasmtime doesn't start.
    #[error("can't start the compiler: {0:#}")]
    Engine(wasmtime::Error),
    /// Not a component, or one that needs a feature that is off.
    #[error("the component doesn't compile: {0:#}")]
    Compile(wasmtime::Error),
    /// The code is longer than a sandbox takes.
    #[error("the code has {0} bytes, at most {max} are taken", max = porthole_wire::MAX_CODE_BYTES)]
    CodeTooLarge(usize),
    /// Nobody reads the standard output.
    #[error("can't write the code")]
    Write(#[source] io::Error),
}

/// Reads, compiles, writes.
///
/// # Errors
/// When there is no code to write.
pub fn main() -> Result<(), CompileError> {
    let engine = engine::engine().map_err(CompileError::Engine)?;
    lockdown::enter_compiler().map_err(CompileError::Lockdown)?;
    let component = read(&mut io::stdin().lock())?;
    let code = engine.precompile_component(&component).map_err(CompileError::Compile)?;
    write(&mut io::stdout().lock(), &code)
}

fn read(input: &mut impl Read) -> Result<Vec<u8>, CompileError> {
    let mut head = [0; 4];
    input.read_exact(&mut head).map_err(CompileError::Read)?;
    let length = u32::from_le_bytes(head) as usize;
    if length > limits::MAX_COMPONENT_BYTES {
        return Err(CompileError::TooLarge(length));
    }
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes).map_err(CompileError::Read)?;
    Ok(bytes)
}

fn write(output: &mut impl Write, code: &[u8]) -> Result<(), CompileError> {
    let length = u32::try_from(code.len()).ok().filter(|length| *length <= porthole_wire::MAX_CODE_BYTES);
    let length = length.ok_or(CompileError::CodeTooLarge(code.len()))?;
    output.write_all(&engine::compatibility().to_le_bytes()).map_err(CompileError::Write)?;
    output.write_all(&length.to_le_bytes()).map_err(CompileError::Write)?;
    output.write_all(code).and_then(|()| output.flush()).map_err(CompileError::Write)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_length_that_is_a_lie_is_refused_before_memory_is_taken() {
        assert!(matches!(read(&mut &[255, 255, 255, 255][..]), Err(CompileError::TooLarge(_))));
        assert!(matches!(read(&mut &[4, 0, 0, 0, 1][..]), Err(CompileError::Read(_))));
        assert_eq!(read(&mut &[1, 0, 0, 0, 7][..]).unwrap(), [7]);
    }
}
