//! The figures, in the order of the table. Each is a file; its rows say what was measured and against what.

use crate::bench::Figure;

mod audit;
mod emit;
mod load;
mod path;
mod tenants;

/// All of them.
pub(crate) const ALL: &[Figure] = &[load::FIGURE, path::FIGURE, emit::FIGURE, audit::FIGURE, tenants::FIGURE];
