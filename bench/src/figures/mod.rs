//! The figures, in the order of the table. Each is a file; its rows say what was measured and against what.

use crate::bench::Figure;

mod audit;
mod emit;
mod instantiate;
mod load;
mod path;
mod spawn;
mod tenants;
mod waiting;

/// All of them.
pub(crate) const ALL: &[Figure] = &[
    load::FIGURE,
    path::FIGURE,
    emit::FIGURE,
    instantiate::FIGURE,
    spawn::FIGURE,
    waiting::FIGURE,
    audit::FIGURE,
    tenants::FIGURE,
];
