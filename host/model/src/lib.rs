//! Nouns and pure decisions of Porthole: no I/O, no async, no clock.
//!
//! Start reading at [`manifest`] (what a module asks for), [`operation`] (from a template and arguments to a request)
//! and [`grant`] (who may do what). What comes back from outside is judged in [`parse`] (what a guest emits), [`page`]
//! (where a list goes on) and [`mod@slice`] (whether everything was seen). What is done is told in [`audit`].

pub mod audit;
pub mod brake;
pub mod context;
mod element;
pub mod grant;
pub mod grant_proposal;
mod hash;
pub mod id;
pub mod json;
mod link;
pub mod manifest;
pub mod mapping;
pub mod number;
pub mod object;
pub mod operation;
pub mod page;
pub mod parse;
pub mod plan;
mod pointer;
pub mod reason;
pub mod rule;
pub mod run;
pub mod session_policy;
pub mod slice;
pub mod stored_reply;
mod text;
pub mod usage;
