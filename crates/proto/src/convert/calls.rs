//! Calls and commits on a job's way.

use std::time::Duration;

use types::{
    CallerSpan, Commit, ReportSpans, ReportWay, SpanId, SubmitCall, SubmitMethod, Timestamp,
};

use super::micros;
use super::view::{span_id, trace_id, unix_micros};
use crate::controller as pb;
use crate::error::WireError;

/// Reads a span id that may be absent.
fn caller(text: &str) -> Result<Option<SpanId>, WireError> {
    (!text.is_empty()).then(|| span_id(text, "caller_span_id")).transpose()
}

impl From<Commit> for pb::Commit {
    fn from(commit: Commit) -> Self {
        let (start_us, end_us) = (unix_micros(commit.start), unix_micros(commit.end));
        Self { start_us, end_us, writes: commit.writes }
    }
}

impl From<pb::Commit> for Commit {
    fn from(commit: pb::Commit) -> Self {
        Self {
            start: Timestamp::from_unix_micros(commit.start_us),
            end: Timestamp::from_unix_micros(commit.end_us),
            writes: commit.writes,
        }
    }
}

impl From<SubmitCall> for pb::SubmitCall {
    fn from(call: SubmitCall) -> Self {
        Self {
            method: call.method.as_str().to_owned(),
            span_id: call.span_id.to_string(),
            caller_span_id: call.caller.map(|it| it.span_id.to_string()).unwrap_or_default(),
            caller_is_parent: call.caller.is_some_and(|caller| caller.is_parent),
            began_at_us: unix_micros(call.began_at),
            sent_at_us: unix_micros(call.sent_at),
        }
    }
}

impl TryFrom<pb::SubmitCall> for SubmitCall {
    type Error = WireError;

    fn try_from(call: pb::SubmitCall) -> Result<Self, WireError> {
        let method = SubmitMethod::ALL.into_iter().find(|it| it.as_str() == call.method);
        let is_parent = call.caller_is_parent;
        Ok(Self {
            method: method
                .ok_or_else(|| WireError::new("method", format!("{:?} is not one", call.method)))?,
            span_id: span_id(&call.span_id, "span_id")?,
            caller: caller(&call.caller_span_id)?.map(|span_id| CallerSpan { span_id, is_parent }),
            began_at: Timestamp::from_unix_micros(call.began_at_us),
            sent_at: Timestamp::from_unix_micros(call.sent_at_us),
        })
    }
}

impl From<ReportWay> for pb::ReportWay {
    fn from(way: ReportWay) -> Self {
        let ReportWay { is_call, lead, spans } = way;
        let told = Self { by_call: is_call, lead_us: micros(lead), ..Self::default() };
        match spans {
            None => told,
            Some(spans) => Self {
                trace_id: spans.trace_id.to_string(),
                span_id: spans.span_id.to_string(),
                caller_span_id: spans.caller.map(|id| id.to_string()).unwrap_or_default(),
                recorded: spans.is_recorded,
                ..told
            },
        }
    }
}

impl TryFrom<pb::ReportWay> for ReportWay {
    type Error = WireError;

    fn try_from(way: pb::ReportWay) -> Result<Self, WireError> {
        let spans = match trace_id(&way.trace_id, "trace_id")? {
            None => None,
            Some(trace_id) => Some(ReportSpans {
                trace_id,
                span_id: span_id(&way.span_id, "span_id")?,
                caller: caller(&way.caller_span_id)?,
                is_recorded: way.recorded,
            }),
        };
        Ok(Self { is_call: way.by_call, lead: Duration::from_micros(way.lead_us), spans })
    }
}
