//! The store against a real Postgres: a database of its own for each test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod audit;
mod embedded;
mod graph;
mod keys;
mod mapped;
mod mappings;
mod migration;
mod nouns;
mod plans;
mod reconcile;
mod runs;
mod security;
mod world;
