//! Nouns and pure decisions of Porthole: no I/O, no async, no clock.
//!
//! Start reading at [`manifest`] (what a module asks for), [`operation`] (from a template and arguments to a request)
//! and [`grant`] (who may do what).

pub mod context;
pub mod grant;
pub mod id;
pub mod manifest;
pub mod object;
pub mod operation;
pub mod rule;
pub mod run;
