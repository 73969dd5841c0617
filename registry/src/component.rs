//! From a core module, as the Rust compiler makes it for `wasm32-unknown-unknown`, to a component; and what a component
//! imports and exports.

use crate::error::{RegistryError, Result};
use crate::wasm::{self, Kind};
use wit_component::ComponentEncoder;

/// Makes a component of a core module that was built with the bindings of our world. A component is returned as it is.
///
/// # Errors
/// When the bytes aren't WebAssembly, or the module doesn't fit a world.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>> {
    if wasm::kind(core)? == Kind::Component {
        return Ok(core.to_vec());
    }
    let encode = || ComponentEncoder::default().validate(true).module(core)?.encode();
    // The chain names the import that has no place in the world; it is what an author has to read.
    encode().map_err(|e| RegistryError::Componentize(format!("{e:#}")))
}

/// The names of what a component imports, in order.
///
/// # Errors
/// When the bytes aren't a component.
pub fn imports(component: &[u8]) -> Result<Vec<String>> {
    Ok(wasm::shape(component)?.imports.into_iter().map(str::to_owned).collect())
}

/// The names of what a component exports, in order.
///
/// # Errors
/// When the bytes aren't a component.
pub fn exports(component: &[u8]) -> Result<Vec<String>> {
    Ok(wasm::shape(component)?.exports.into_iter().map(str::to_owned).collect())
}
