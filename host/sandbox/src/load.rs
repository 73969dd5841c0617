//! From compiled code to something that can be instantiated, once per process.

use crate::bindings::v0_1::IntegrationPre;
use crate::capability;
use crate::task::TaskState;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

/// Interfaces that a component may import. The registry has checked this at admission; here it costs nothing.
const WORLD: &str = "porthole:integration/";

/// Why a component can't be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Not code of this engine.
    #[error("the compiled code doesn't load: {0:#}")]
    Code(wasmtime::Error),
    /// It wants something outside the world.
    #[error("the component imports `{0}`, which is outside `{WORLD}`")]
    Import(String),
    /// It doesn't fit the world.
    #[error("the component doesn't fit the world: {0:#}")]
    World(wasmtime::Error),
}

/// Maps the code and links it.
pub(crate) fn load(engine: &Engine, code: &[u8]) -> Result<IntegrationPre<TaskState>, LoadError> {
    let component = deserialize(engine, code).map_err(LoadError::Code)?;
    check_imports(engine, &component)?;
    let mut linker = Linker::new(engine);
    capability::link(&mut linker).map_err(LoadError::World)?;
    let linked = linker.instantiate_pre(&component).map_err(LoadError::World)?;
    IntegrationPre::new(linked).map_err(LoadError::World)
}

#[expect(unsafe_code, reason = "machine code is trusted by whoever runs it")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must be what an engine of this version made. The broker has checked their seal, a MAC over the
    // module's digest, the engine's compatibility number and the code, which only it can make and only makes of what
    // porthole-compile wrote. Were they something else, they would run within the walls that stand around this process.
    unsafe { Component::deserialize(engine, code) }
}

fn check_imports(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    for (name, item) in ty.imports(engine) {
        if !name.starts_with(WORLD) || !matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            return Err(LoadError::Import(name.to_owned()));
        }
    }
    Ok(())
}
