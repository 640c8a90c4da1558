//! The JSON of jobs and nodes, in the shape the controller's HTTP API has.

use serde_json::Value;
use types::{JobSummary, JobView, NodeView};

/// A job with everything but its frames.
pub(crate) fn job(job: &JobView) -> Value {
    serde_json::to_value(job).unwrap_or_default()
}

/// One line of a list.
pub(crate) fn summary(job: &JobSummary) -> Value {
    serde_json::to_value(job).unwrap_or_default()
}

/// A node.
pub(crate) fn node(node: &NodeView) -> Value {
    serde_json::to_value(node).unwrap_or_default()
}
