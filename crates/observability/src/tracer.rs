//! The handle with which spans are made.
//!
//! It is cheap to clone and passed explicitly: there is no global tracer. Without an exporter it
//! records nothing, hands a caller's context on unchanged and gives spans that begin here ids for
//! the logs alone.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt};
use types::{SpanId, TraceContext, TraceFlags, TraceId};

use crate::config::OtelConfig;
use crate::export::{DeliveryError, SpanSink};
use crate::ids::{new_ids, new_span_id, new_trace_id};
use crate::propagation::{
    Incoming, Origin, Propagators, context_of, known_flags, local_only, state_header, trace_context,
};
use crate::sampler::{
    Question, Sampler, SamplerControl, SamplingDecision, SamplingReason, SamplingRequest,
    named_randomness,
};
use crate::span::{
    ActiveSpan, Parent, Particulars, Room, RootName, SpanBuilder, SpanRecord, StartedSpan,
};

#[derive(Debug)]
struct Inner {
    sampling: SamplerControl,
    propagators: Propagators,
    sink: Option<SpanSink>,
    /// What a span may hold; `None` where nothing is exported.
    room: Option<Room>,
}

/// Makes spans, decides about traces, carries contexts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tracer(Arc<Inner>);

/// What the context of a new span depends on besides its parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) span_id: Option<SpanId>,
    pub(crate) forced: bool,
    /// Whether a span that it links to is recorded.
    pub(crate) linked: bool,
    /// Roots of a kind share a token of the sampler's floor.
    pub(crate) kind_of_root: u64,
    pub(crate) now: Instant,
}

/// How the context of a new span came to be.
struct Next {
    recorded: bool,
    parent: Option<SpanId>,
    parent_origin: Origin,
    /// Why, if that is to be said on the span: it is the first of what is recorded.
    reason: Option<SamplingReason>,
    /// The caller, where it does not record the trace and this span is recorded all the same.
    unrecorded_caller: Option<TraceContext>,
}

impl Tracer {
    pub(crate) fn new(
        sampling: SamplerControl,
        propagators: Propagators,
        sink: Option<SpanSink>,
    ) -> Self {
        let room = sink.as_ref().map(|sink| Room::of(sink.limits()));
        Self(Arc::new(Inner { sampling, propagators, sink, room }))
    }

    /// A tracer that exports nothing and still propagates.
    #[must_use]
    pub fn disabled() -> Self {
        let sampling = SamplerControl::start(&OtelConfig::new(""));
        Self::new(sampling, Propagators::default(), None)
    }

    /// Whether spans go anywhere.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.sink.is_some()
    }

    /// The sampler; its rules may be replaced while the process runs.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        self.0.sampling.sampler()
    }

    /// The way to look at and change the rules of sampling while the process runs.
    #[must_use]
    pub fn sampling(&self) -> SamplerControl {
        self.0.sampling.clone()
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
        let decision = self.sampler().decide(request);
        match decision.reason {
            SamplingReason::Ratio | SamplingReason::Link | SamplingReason::Quiet
                if !self.is_enabled() =>
            {
                decision.disabled()
            }
            _ => decision,
        }
    }

    /// A span about to start.
    pub fn span(&self, name: impl Into<Cow<'static, str>>) -> SpanBuilder<'_> {
        SpanBuilder::new(self, name.into())
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

    /// Sends spans at once, past the queue, and answers how many the collector took. For spans that
    /// whoever sends them still has, and will send again if this fails. Spans that are not sampled
    /// are left out. Never blocks the caller's thread; takes as long as the collector does.
    ///
    /// # Errors
    /// When nothing is exported here, too many deliveries wait, or the collector did not take them.
    pub async fn deliver(&self, mut spans: Vec<SpanRecord>) -> Result<u64, DeliveryError> {
        let sink = self.0.sink.as_ref().ok_or(DeliveryError::Disabled)?;
        spans.retain(|span| span.context.flags.is_sampled());
        let answer = sink.deliver(spans)?;
        answer.await.unwrap_or(Err(DeliveryError::Shutdown))
    }

    /// Waits until the spans that have ended are sent, and says whether the collector took all that
    /// have ended since this was last asked: what it did not is dropped and counted. What it refuses
    /// of a message that it takes is its own decision.
    ///
    /// # Errors
    /// When some were dropped, nothing is exported here, too many ask, or the process ends.
    pub async fn confirm(&self) -> Result<(), DeliveryError> {
        let sink = self.0.sink.as_ref().ok_or(DeliveryError::Disabled)?;
        let answer = sink.ask()?;
        answer.await.unwrap_or(Err(DeliveryError::Shutdown)).map(drop)
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

    pub(crate) fn start_span(&self, builder: SpanBuilder<'_>) -> ActiveSpan {
        let start = builder.begin(Instant::now());
        let started = match &builder.parent {
            Parent::Current => Context::map_current(|cx| self.continue_from(cx, &start)),
            Parent::Root => self.continue_from(&Context::new(), &start),
            Parent::Context(cx) => self.continue_from(cx, &start),
            Parent::Remote(trace) => self.continue_from(&context_of(trace, Origin::Remote), &start),
        };
        let tracer = Some(self.clone());
        ActiveSpan::new(tracer, self.0.room, started, start.now, || builder.particulars())
    }

    /// The span of a call of that name, which lives as long as the process, that came with
    /// `incoming`. Whoever gets it ends it by [`ActiveSpan::finish_after`].
    #[inline]
    pub(crate) fn serve(&self, incoming: &Incoming, name: RootName, now: Instant) -> ActiveSpan {
        let kind_of_root = name.hash;
        let start = Start { span_id: None, forced: false, linked: false, kind_of_root, now };
        let parent = incoming.parent.as_ref();
        let started = if self.is_enabled() {
            let (context, next) = self.next(parent, &start);
            next.started(incoming.base().with_remote_span_context(context))
        } else {
            StartedSpan::unrecorded(match parent {
                Some(_) => incoming.cx(),
                None => incoming.base().with_remote_span_context(unexported(&start)),
            })
        };
        ActiveSpan::new(None, self.0.room, started, now, || Particulars {
            kind: SpanKind::Server,
            name: Cow::Borrowed(name.text),
            start: None,
            links: Vec::new(),
        })
    }

    /// A new span under `parent_cx`.
    fn continue_from(&self, parent_cx: &Context, start: &Start) -> StartedSpan {
        let parent_span = parent_cx.span();
        let parent = Some(parent_span.span_context()).filter(|context| context.is_valid());
        if self.is_enabled() {
            let (context, next) = self.next(parent, start);
            return next.started(parent_cx.with_remote_span_context(context));
        }
        StartedSpan::unrecorded(match parent {
            Some(_) => parent_cx.clone(),
            None => parent_cx.with_remote_span_context(unexported(start)),
        })
    }

    /// The context of a new span after `parent`, and the decision if one was made.
    #[inline]
    fn next(&self, parent: Option<&SpanContext>, start: &Start) -> (SpanContext, Next) {
        let parent_flags = parent.map(known_flags);
        let api_trace_id = parent.map(SpanContext::trace_id);
        let trace_id = api_trace_id.and_then(|id| TraceId::new(id.to_bytes()));
        let (trace_id, span_id) = match (trace_id, start.span_id) {
            (Some(trace_id), span_id) => (trace_id, span_id.unwrap_or_else(new_span_id)),
            (None, Some(span_id)) => (new_trace_id(), span_id),
            (None, None) => new_ids(),
        };
        let decided_here = parent.is_none_or(|parent| {
            // Within a process a trace is not torn, whatever the rules for callers are.
            parent.is_remote() || start.forced || start.linked
        });
        let decision = decided_here.then(|| {
            let question = Question {
                trace_id,
                forced: start.forced,
                linked: start.linked,
                parent: parent_flags,
                kind: start.kind_of_root,
            };
            let named = || named_randomness(&state_header(parent?.trace_state()));
            self.sampler().answer(&question, named, || start.now)
        });
        let flags = match decision {
            Some(decision) => decision.flags(),
            None => parent_flags.unwrap_or_default(),
        };
        let callers = parent.map(SpanContext::trace_state);
        let state = match decision {
            Some(decision) => decision.trace_state(callers),
            None => callers.cloned().unwrap_or_default(),
        };
        let context = SpanContext::new(
            opentelemetry::TraceId::from_bytes(trace_id.to_bytes()),
            opentelemetry::SpanId::from_bytes(span_id.to_bytes()),
            opentelemetry::TraceFlags::new(flags.0),
            false,
            state,
        );
        let recorded = flags.is_sampled();
        let against_caller = recorded
            && parent_flags.is_some_and(|flags| !flags.is_sampled())
            && decision.is_some_and(|decision| {
                matches!(decision.reason, SamplingReason::Forced | SamplingReason::Link)
            });
        let begins = parent.is_none() || against_caller;
        let is_remote = parent.is_some_and(SpanContext::is_remote);
        let next = Next {
            recorded,
            parent: parent
                .filter(|_| !against_caller)
                .and_then(|parent| SpanId::new(parent.span_id().to_bytes())),
            parent_origin: if is_remote && !begins { Origin::Remote } else { Origin::Local },
            reason: decision.filter(|_| begins).map(|decision| decision.reason),
            unrecorded_caller: parent.filter(|_| against_caller).and_then(trace_context),
        };
        (context, next)
    }
}

impl Next {
    #[inline]
    fn started(self, cx: Context) -> StartedSpan {
        StartedSpan {
            cx,
            parent_span_id: self.parent,
            parent_origin: self.parent_origin,
            recorded: self.recorded,
            reason: self.reason,
            unrecorded_caller: self.unrecorded_caller,
        }
    }
}

/// The position of a span that begins a trace where nothing is exported.
fn unexported(start: &Start) -> SpanContext {
    let (trace_id, span_id) = new_ids();
    let span_id = start.span_id.unwrap_or(span_id);
    let (flags, tracestate) = (TraceFlags::RANDOM, String::new());
    local_only(&TraceContext { trace_id, span_id, flags, tracestate })
}
