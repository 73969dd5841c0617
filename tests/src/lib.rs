//! Support for the tests: worlds, fakes and recordings.

pub mod fake_github;
pub mod octokit;
pub mod recordings;
#[cfg(test)]
mod raw_http;
