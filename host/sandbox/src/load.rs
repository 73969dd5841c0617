//! From compiled code to something that can be instantiated, once per process.

use crate::bindings::v0_1::IntegrationPre;
use crate::capability;
use crate::code::Code;
use crate::engine;
use crate::limits;
use crate::task::TaskState;
use porthole_wire::Limits;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

/// Interfaces that a component may import. The registry has checked this at admission; here it costs nothing.
const WORLD: &str = "porthole:integration/";

/// Why a component can't be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Wasmtime doesn't start.
    #[error("wasmtime can't start: {0:#}")]
    Engine(wasmtime::Error),
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

/// An engine with the world linked for it, made before the code arrives.
pub(crate) struct Loader {
    engine: Engine,
    linker: Linker<TaskState>,
}

impl Loader {
    /// For guests that run from the pool.
    pub(crate) fn pooled(limits: &Limits) -> Result<Self, LoadError> {
        Self::new(engine::pooled(limits).map_err(LoadError::Engine)?)
    }

    /// For all others.
    fn on_demand() -> Result<Self, LoadError> {
        Self::new(engine::on_demand().map_err(LoadError::Engine)?)
    }

    fn new(engine: Engine) -> Result<Self, LoadError> {
        let mut linker = Linker::new(&engine);
        capability::link(&mut linker).map_err(LoadError::World)?;
        Ok(Self { engine, linker })
    }

    /// Maps the code and links it. What doesn't fit the pool gets an engine without one.
    pub(crate) fn load(self, code: &Code) -> Result<IntegrationPre<TaskState>, LoadError> {
        if code.len() <= limits::POOLED_CODE_BYTES {
            match self.map(code) {
                Err(LoadError::Code(_)) => {}
                loaded => return loaded,
            }
        }
        drop(self);
        Self::on_demand()?.map(code)
    }

    fn map(&self, code: &Code) -> Result<IntegrationPre<TaskState>, LoadError> {
        let component = code.deserialize(&self.engine).map_err(LoadError::Code)?;
        check_imports(&self.engine, &component)?;
        let linked = self.linker.instantiate_pre(&component).map_err(LoadError::World)?;
        IntegrationPre::new(linked).map_err(LoadError::World)
    }
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
