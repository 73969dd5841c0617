//! The figures, in the order of the table. Each is a file; its rows say what was measured and against what.

use crate::bench::Figure;

mod audit;

/// All of them.
pub(crate) const ALL: &[Figure] = &[audit::FIGURE];
