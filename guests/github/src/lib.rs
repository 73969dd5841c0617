//! The GitHub integration: the account, its repositories, people, teams, and who may do what with which repository. It
//! never reads source code or file contents; `manifest.toml` asks for no operation that could.
//!
//! - [`steps`] is the table of steps and their order of calls: start reading there.
//! - [`client`] knows the operations of `manifest.toml`.
//! - [`reply`] is what GitHub answers, as far as it is read.
//! - [`convert`] makes objects of replies; pure.
//!
//! Keys are made of GitHub's numeric ids, which survive renaming and are the same in REST and GraphQL. Node ids are not:
//! both APIs still hand out two formats of them.

pub mod client;
pub mod convert;
pub mod kind;
pub mod reply;
pub mod steps;

pub use steps::Github;

porthole_sdk::export!(Github);
