//! The only SQL: tenants, runs, the graph.
//!
//! Start reading at [`tx`]: the two doors to the database. [`PlatformTx`] reaches what belongs to no tenant; [`TenantTx`]
//! carries a tenant, and there is no third. Then one file for each noun, with free functions that take a transaction;
//! what works across transactions (claiming, sweeping, staging, reconciling) takes the [`Store`].
//!
//! Two rules hold in every statement. It names its tenant (and, for the graph, its shard) although row security would
//! add the tenant anyway: row security alone doesn't prune partitions, and one slip in either is caught by the other.
//! And it never contains a value that came from outside: values are bound, and the few names that can't be bound
//! (staging tables, ids in COPY) are made from typed ids.
//!
//! A function that a person or a worker calls to change something takes the [`OpContext`] first. What happens under a
//! [`Claim`] takes the claim instead: the claim says who, and a claim that is no longer current changes nothing.
//!
//! Whatever changes something writes its record with [`audit::append`], in the same transaction.
//!
//! [`OpContext`]: porthole_model::context::OpContext
//! [`Claim`]: porthole_model::run::Claim

pub mod approvals;
pub mod audit;
pub mod calls;
pub mod changes;
mod copy;
pub mod credentials;
pub mod embedded;
pub mod error;
pub mod grants;
pub mod graph;
pub mod index;
pub mod instances;
pub mod keys;
pub mod log;
pub mod mappings;
pub mod migrate;
pub mod modules;
pub mod pool;
pub mod publishers;
pub mod reconcile;
pub mod rejections;
pub mod reviewers;
mod row;
pub mod run_slices;
pub mod runs;
pub mod signing_keys;
pub mod slices;
pub mod staging;
pub mod stored_replies;
pub mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
pub mod tx;

pub use error::{Result, StoreError};
pub use pool::{Store, StoreOptions};
pub use tx::{PlatformTx, TenantTx};
