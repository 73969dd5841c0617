//! The AWS integration: an account's identities, permissions, machines, networks, functions, buckets and configuration
//! rules. Configuration and metadata only; `manifest.toml` and `operations.tsv` ask for nothing that could read content.
//!
//! A service is a table: where its items come from, and what becomes of each.
//! - [`spec`] has the words of the tables, [`engine`] carries them out, [`convert`] makes the objects.
//! - [`reply`] reads what AWS answers, JSON or XML, as one tree; [`path`] finds places in it.
//! - [`account`] is the first step, [`steps`] the table of all; [`iam`], [`ec2`], [`api`], [`s3`], [`config`] are the
//!   base, [`services`] the further services: tables alone.
//! - [`policy`], [`trust`] and [`delegation`] say who can assume which role; pure. [`assume`] is the step,
//!   [`identities`] what it reads back.
//!
//! Keys are ARNs wherever AWS has one. Relationships whose far end nobody may have collected carry it ([`carried`]).

pub mod account;
pub mod api;
pub mod assume;
pub mod attachments;
pub mod carried;
pub mod config;
pub mod convert;
pub mod delegation;
pub mod ec2;
pub mod engine;
pub mod firewall;
pub mod iam;
pub mod identities;
pub mod path;
pub mod policy;
pub mod reply;
pub mod s3;
pub mod services;
pub mod spec;
pub mod steps;
pub mod time;
pub mod trust;

pub use steps::Aws;

porthole_sdk::export!(Aws);
