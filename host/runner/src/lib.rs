//! One run from claim to finish.
