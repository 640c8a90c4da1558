//! Log events with a name: what happened, at once, correlated with the span it happened in.

use super::attributes::{AttributeRef, attr, attribute_refs};

/// One kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventDef {
    /// Its name.
    pub name: &'static str,
    /// Who writes it.
    pub emitter: &'static str,
    /// What has happened, and why that is told.
    pub description: &'static str,
    /// What it says.
    pub attributes: &'static [AttributeRef],
}

/// The names as constants.
pub mod event_name {
    /// An attempt at a part begins.
    pub const ATTEMPT_STARTED: &str = "vmafx.attempt.started";
    /// An attempt at a part is over.
    pub const ATTEMPT_ENDED: &str = "vmafx.attempt.ended";
}

/// Every event in use.
pub const EVENTS: &[EventDef] = &[
    EventDef {
        name: event_name::ATTEMPT_STARTED,
        emitter: "node",
        description: "An attempt begins. Spans arrive when they end; of a node that is killed, \
                      this is what remains.",
        attributes: attribute_refs![
            attr::JOB_ID,
            attr::PART_ID,
            attr::FENCE,
            attr::ATTEMPT_NUMBER,
            attr::NODE_ID
        ],
    },
    EventDef {
        name: event_name::ATTEMPT_ENDED,
        emitter: "node",
        description: "An attempt is over and its report, if there was one, is answered.",
        attributes: attribute_refs![
            attr::JOB_ID,
            attr::PART_ID,
            attr::FENCE,
            attr::ATTEMPT_NUMBER,
            attr::NODE_ID,
            attr::OUTCOME,
            attr::FRAME_COUNT,
            attr::DURATION_SECONDS,
            attr::REPORT_ANSWER = "a report was answered",
            attr::ERROR_TYPE = "the attempt failed"
        ],
    },
];
