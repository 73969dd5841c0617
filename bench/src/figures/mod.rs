//! The figures, in the order of the table. Each is a file; its rows say what was measured and against what.

use crate::bench::Figure;

mod audit;
mod call;
mod call_world;
mod conditional;
mod directory;
mod emit;
mod index;
mod instantiate;
mod load;
mod path;
mod policy;
mod spawn;
mod tenants;
mod waiting;

/// All of them.
pub(crate) const ALL: &[Figure] = &[
    load::FIGURE,
    path::FIGURE,
    emit::FIGURE,
    index::FIGURE,
    instantiate::FIGURE,
    spawn::FIGURE,
    call::FIGURE,
    policy::FIGURE,
    waiting::FIGURE,
    audit::FIGURE,
    directory::FIGURE,
    conditional::FIGURE,
    tenants::FIGURE,
];
