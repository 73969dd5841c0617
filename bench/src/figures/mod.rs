//! The figures, in the order of the table. Each is a file; its rows say what was measured and against what.

use crate::bench::Figure;

mod audit;
mod load;
mod tenants;

/// All of them.
pub(crate) const ALL: &[Figure] = &[load::FIGURE, audit::FIGURE, tenants::FIGURE];
