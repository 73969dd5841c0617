//! What a guest can ask for, one file per interface of the world. These files translate between the world and the frames
//! and hold the limits that need no broker; they decide nothing about operations, credentials or objects.

mod credentials;
mod graph;
mod operations;
mod run;

use crate::bindings::v0_1::Integration;
use crate::task::TaskState;
use wasmtime::component::{HasSelf, Linker};

/// Links the world, and nothing else.
pub(crate) fn link(linker: &mut Linker<TaskState>) -> wasmtime::Result<()> {
    Integration::add_to_linker::<_, HasSelf<TaskState>>(linker, |state| state)
}
