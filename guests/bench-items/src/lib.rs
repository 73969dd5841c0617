//! The guest of the benchmarks: it does what an integration does, and nothing that would make it look faster or slower.
//! Typed replies, the SDK's builders, one entity for each item of a page, in as many slices as the provider has parts.
//!
//! - [`item`] is an item as the provider writes it, and the entity it becomes; pure.
//! - [`steps`] is the order of calls.

pub mod item;
pub mod steps;

pub use steps::Items;

porthole_sdk::export!(Items);
