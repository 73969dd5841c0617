//! Support for the tests: worlds, fakes and recordings.

pub mod aws_bed;
pub mod fake_aws;
pub mod fake_github;
pub mod fake_transit;
pub mod octokit;
#[cfg(test)]
mod raw_http;
pub mod recordings;
pub mod trust;
pub mod world;
