//! One run from claim to finish.
//!
//! Start reading at [`execute`]: prepare, start, steps, reconcile. [`worker`] claims runs and keeps their leases; [`broker`]
//! is the loop that talks to the sandbox; [`calls`] is the path of one call, [`collector`] that of one object; [`finish`]
//! is the way into the graph.

pub mod answers;
pub mod broker;
pub mod calls;
pub mod collected;
pub mod collector;
pub mod compile;
pub mod error;
pub mod execute;
pub mod finish;
pub mod index;
pub mod journal;
pub mod keys;
mod leases;
pub mod limits;
pub mod prepare;
pub mod process;
pub mod recorder;
pub mod replay;
pub mod schedule;
pub mod sequencer;
pub mod sink;
pub mod spool;
pub mod stored_replies;
pub mod task_calls;
pub mod transcript;
pub mod trust;
pub mod warm;
pub mod worker;
