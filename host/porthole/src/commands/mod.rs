//! One file for each noun.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod credential;
pub(crate) mod egress;
pub(crate) mod grant;
pub(crate) mod grant_propose;
pub(crate) mod graph;
pub(crate) mod graph_why;
pub(crate) mod instance;
pub(crate) mod key;
pub(crate) mod mapping;
pub(crate) mod module;
pub(crate) mod publisher;
pub(crate) mod replay;
pub(crate) mod reviewer;
pub(crate) mod run;
pub(crate) mod runs;
mod signing_keys;
pub(crate) mod status;
pub(crate) mod tenant;
pub(crate) mod up;
