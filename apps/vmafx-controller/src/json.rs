//! The one JSON shape of jobs and nodes, for programs that print what the HTTP API answers.

use serde_json::Value;
use types::{JobPage, JobSummary, JobView, NodeView};

use crate::http::view::{JobOut, NodesOut, PageOut, SummaryOut};

fn value(shape: &impl serde::Serialize) -> Value {
    serde_json::to_value(shape).expect("keys are text and numbers are plain")
}

/// A job with everything but its frames, as `GET /v1/jobs/{id}` answers.
#[must_use]
pub fn job(job: JobView) -> Value {
    value(&JobOut::from(job))
}

/// One line of a list, as in `GET /v1/jobs` and in each event of a watch.
#[must_use]
pub fn summary(job: JobSummary) -> Value {
    value(&SummaryOut::from(job))
}

/// One page of a list, as `GET /v1/jobs` answers.
#[must_use]
pub fn page(page: JobPage) -> Value {
    value(&PageOut::from(page))
}

/// The fleet, as `GET /v1/nodes` answers.
#[must_use]
pub fn nodes(nodes: Vec<NodeView>) -> Value {
    value(&NodesOut::from(nodes))
}
