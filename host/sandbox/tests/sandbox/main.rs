//! The real binaries, a test broker, and a guest that attacks: one test for each limit and each turn of the dance.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod artifacts;
mod broker;
mod calls;
mod compiler;
mod dance;
mod graph;
mod pairing;
mod raw;
mod resources;
