//! The handle with which spans are made.
//!
//! It is cheap to clone and passed explicitly: there is no global tracer. Without an exporter it
//! records nothing, hands a caller's context on unchanged and gives spans that begin here ids for
//! the logs alone.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt};
use types::{TraceContext, TraceFlags};

use crate::export::SpanSink;
use crate::ids::{new_span_id, new_trace_id};
use crate::propagation::{Origin, Propagators, context_of, span_context, trace_context};
use crate::sampler::{Sampler, SamplerConfig, SamplingDecision, SamplingReason, SamplingRequest};
use crate::schema;
use crate::span::{ActiveSpan, Parent, SpanBuilder, SpanRecord, StartedSpan, local_only};

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    propagators: Propagators,
    sink: Option<SpanSink>,
}

/// Makes spans, decides about traces, carries contexts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tracer(Arc<Inner>);

impl Tracer {
    pub(crate) fn new(
        sampler: SamplerConfig,
        propagators: Propagators,
        sink: Option<SpanSink>,
    ) -> Self {
        Self(Arc::new(Inner { sampler: Sampler::new(sampler), propagators, sink }))
    }

    /// A tracer that exports nothing and still propagates.
    #[must_use]
    pub fn disabled() -> Self {
        Self::new(SamplerConfig::default(), Propagators::default(), None)
    }

    /// Whether spans go anywhere.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.sink.is_some()
    }

    /// The sampler; its rules may be replaced while the process runs.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        &self.0.sampler
    }

    /// Which headers carry the context.
    #[must_use]
    pub fn propagators(&self) -> Propagators {
        self.0.propagators
    }

    /// Decides about a trace. Without an exporter no trace begins here, yet a caller's or a user's
    /// wish is passed on: another process may export.
    #[must_use]
    pub fn decide(&self, request: &SamplingRequest<'_>) -> SamplingDecision {
        let decision = self.0.sampler.decide(request);
        match decision.reason {
            SamplingReason::Ratio | SamplingReason::Link if !self.is_enabled() => {
                SamplingDecision { sampled: false, reason: SamplingReason::Disabled }
            }
            _ => decision,
        }
    }

    /// A span about to start.
    pub fn span(&self, name: impl Into<Cow<'static, str>>) -> SpanBuilder<'_> {
        SpanBuilder {
            tracer: self,
            name: name.into(),
            kind: SpanKind::Internal,
            parent: Parent::Current,
            span_id: None,
            start: None,
            links: Vec::new(),
            forced: false,
        }
    }

    /// Exports a span that has ended, with exactly its ids and times, if its context is sampled.
    /// Never blocks: where the queue is full the span is dropped and counted.
    pub fn emit_span(&self, record: SpanRecord) {
        if record.context.flags.is_sampled()
            && let Some(sink) = &self.0.sink
        {
            sink.push(record);
        }
    }

    /// The context a caller's headers describe.
    #[must_use]
    pub fn extract(&self, headers: &http::HeaderMap) -> Context {
        self.0.propagators.extract(headers)
    }

    /// Writes `cx` into the headers of a call.
    pub fn inject(&self, cx: &Context, headers: &mut http::HeaderMap) {
        self.0.propagators.inject(cx, headers);
    }

    pub(crate) fn start_span(self, builder: SpanBuilder<'_>) -> ActiveSpan {
        let started = match &builder.parent {
            Parent::Current => Context::map_current(|cx| self.continue_from(cx, &builder)),
            Parent::Root => self.continue_from(&Context::new(), &builder),
            Parent::Context(cx) => self.continue_from(cx, &builder),
            Parent::Remote(trace) => {
                self.continue_from(&context_of(trace, Origin::Remote), &builder)
            }
        };
        let (decision, started) = started;
        let mut span = ActiveSpan::new(self, started, builder);
        if let Some(decision) = decision {
            span.set(schema::attr::SAMPLING_REASON, decision.reason.as_str());
        }
        span
    }

    /// The context of a new span under `parent_cx`, and the decision if a trace begins with it.
    fn continue_from(
        &self,
        parent_cx: &Context,
        builder: &SpanBuilder<'_>,
    ) -> (Option<SamplingDecision>, StartedSpan) {
        let parent_span = parent_cx.span();
        let parent_context = parent_span.span_context();
        let has_parent = parent_context.is_valid();
        if !self.is_enabled() {
            let cx =
                if has_parent { parent_cx.clone() } else { unexported_root(parent_cx, builder) };
            let origin = Origin::Local;
            let started =
                StartedSpan { cx, parent_span_id: None, parent_origin: origin, recorded: false };
            return (None, started);
        }
        let parent = if has_parent { trace_context(parent_context) } else { None };
        let trace_id = parent.as_ref().map_or_else(new_trace_id, |parent| parent.trace_id);
        let links: Vec<TraceContext> =
            builder.links.iter().map(|link| link.context.clone()).collect();
        let request = SamplingRequest {
            trace_id,
            forced: builder.forced,
            parent: parent.as_ref(),
            links: &links,
        };
        let decision = self.0.sampler.decide(&request);
        let parent_span_id = parent.as_ref().map(|parent| parent.span_id);
        let context = TraceContext {
            trace_id,
            span_id: builder.span_id.unwrap_or_else(new_span_id),
            flags: if decision.sampled { TraceFlags::SAMPLED } else { TraceFlags(0) },
            tracestate: parent.map(|parent| parent.tracestate).unwrap_or_default(),
        };
        let is_remote = parent_context.is_remote();
        let started = StartedSpan {
            cx: parent_cx.with_remote_span_context(span_context(&context, Origin::Local)),
            parent_span_id,
            parent_origin: if is_remote { Origin::Remote } else { Origin::Local },
            recorded: decision.sampled,
        };
        (parent_span_id.is_none().then_some(decision), started)
    }
}

fn unexported_root(parent_cx: &Context, builder: &SpanBuilder<'_>) -> Context {
    let trace = TraceContext {
        trace_id: new_trace_id(),
        span_id: builder.span_id.unwrap_or_else(new_span_id),
        flags: TraceFlags(0),
        tracestate: String::new(),
    };
    local_only(parent_cx, &trace)
}
