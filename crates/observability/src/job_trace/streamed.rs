//! A report on its way over the work stream, while that is happening.
//!
//! A report by a call has the spans of the layers on both sides. One that goes over the work stream has
//! the same two, made around the message and its answer: the node's continues the attempt and travels
//! with the message, the controller's continues that one. So a recorded job's reports take the way
//! that all reports take, and its tree is that of any other.

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry::StringValue;
use opentelemetry::trace::SpanKind;
use tonic::Code;
use types::TraceContext;

use super::calls::{REPORT_RESULT, STREAM};
use crate::layers::{RpcSide, ServedCall, describe_peer, describe_rpc};
use crate::schema::attr;
use crate::span::{ActiveSpan, Parent};
use crate::tracer::Tracer;

/// The span of a report that goes over the work stream, on one of its sides. Dropped before its answer
/// it was cancelled.
#[derive(Debug)]
pub struct ReportSpan {
    span: ActiveSpan,
    side: RpcSide,
    code: Code,
}

impl ReportSpan {
    /// A node sends it, within the attempt whose end it tells, to this host and port.
    #[must_use]
    pub fn sent(tracer: &Tracer, (host, port): (Arc<str>, u16)) -> Self {
        let mut it = Self::begin(tracer, RpcSide::Client, Parent::Current);
        if it.span.is_recording() {
            it.span.set(attr::SERVER_ADDRESS, StringValue::from(host));
            it.span.set(attr::SERVER_PORT, i64::from(port));
        }
        it
    }

    /// It has arrived at the controller, with the position of its sender.
    #[must_use]
    pub fn arrived(tracer: &Tracer, sender: TraceContext, peer: Option<SocketAddr>) -> Self {
        let mut it = Self::begin(tracer, RpcSide::Server, Parent::Remote(sender));
        if let Some(peer) = peer.filter(|_| it.span.is_recording()) {
            describe_peer(&mut it.span, peer);
        }
        it
    }

    fn begin(tracer: &Tracer, side: RpcSide, parent: Parent) -> Self {
        let kind = match side {
            RpcSide::Client => SpanKind::Client,
            RpcSide::Server => SpanKind::Server,
        };
        let span = tracer.span(REPORT_RESULT).kind(kind).parent(parent).start();
        Self { span, side, code: Code::Cancelled }
    }

    /// The position that travels with the message.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.span.trace()
    }

    /// What of it is kept with the report; `None` where its span is none of this process's own.
    #[must_use]
    pub fn call(&self) -> Option<ServedCall> {
        ServedCall::of(&self.span)
    }

    /// It ends, as a call would that is answered with this status.
    pub fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for ReportSpan {
    fn drop(&mut self) {
        if self.span.is_recording() {
            describe_rpc(&mut self.span, self.side, REPORT_RESULT, self.code);
            self.span.set(attr::REPORT_WAY, STREAM);
        }
    }
}
