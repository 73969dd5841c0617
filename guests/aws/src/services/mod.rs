//! The further services: tables alone, with a few lines of code where an answer needs them.

pub mod batch;
pub mod containers;
pub mod data;
pub mod dns;
pub mod edge;
pub mod keys;
pub mod machines;
pub mod messages;
pub mod network;
pub mod repositories;
pub mod storage;
pub mod stores;
pub mod watch;
pub mod work;

use crate::path;
use crate::spec::Step;
use serde_json::Value;

/// Their steps.
pub const STEPS: &[&[&Step]] = &[
    network::STEPS,
    machines::STEPS,
    data::STEPS,
    stores::STEPS,
    repositories::STEPS,
    containers::STEPS,
    batch::STEPS,
    edge::STEPS,
    dns::STEPS,
    keys::STEPS,
    messages::STEPS,
    storage::STEPS,
    watch::STEPS,
    work::STEPS,
];

/// What stands at a path, if it has the form of an ARN.
fn arn(value: &Value, path: &str) -> Option<String> {
    path::text(value, path).filter(|text| text.starts_with("arn:")).map(std::borrow::Cow::into_owned)
}
