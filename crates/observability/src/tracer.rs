//! The handle with which spans are made.
//!
//! It is cheap to clone and passed explicitly: there is no global tracer. Without an exporter it
//! records nothing, hands a caller's context on unchanged and gives spans that begin here ids for
//! the logs alone.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use opentelemetry::trace::SpanKind;
use types::{SpanId, TraceFlags, TraceId};

use crate::clock::Moment;
use crate::config::OtelConfig;
use crate::context::{Context, Known, SpanPlace};
use crate::export::{DeliveryError, SpanSink};
use crate::ids::{new_ids, new_span_id, new_trace_id};
use crate::propagation::{Origin, Propagators, context_of};
use crate::sampler::{
    Question, Sampler, SamplerControl, SamplingDecision, SamplingReason, SamplingRequest,
    named_randomness,
};
use crate::served::RootName;
use crate::span::{ActiveSpan, Parent, Particulars, Room, SpanBuilder, SpanRecord, StartedSpan};

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
    /// The trace's id, where the span begins one.
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) span_id: Option<SpanId>,
    pub(crate) forced: bool,
    /// Whether a span that it links to is recorded.
    pub(crate) linked: bool,
    /// Roots of a kind share a token of the sampler's floor.
    pub(crate) kind_of_root: u64,
    pub(crate) now: Moment,
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
    #[inline]
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.sink.is_some()
    }

    /// The sampler; its rules may be replaced while the process runs.
    #[inline]
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
    #[inline]
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
        // Jobs that one request submitted share its span, which is told once.
        let mut told = HashSet::with_capacity(spans.len());
        spans.retain(|SpanRecord { context, .. }| {
            context.flags.is_sampled() && told.insert((context.trace_id, context.span_id))
        });
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
        let start = builder.begin(Moment::now());
        let started = match &builder.parent {
            Parent::Current => self.continue_from(Context::current(), &start),
            Parent::Root => self.continue_from(Context::new(), &start),
            Parent::Context(cx) => self.continue_from(cx.clone(), &start),
            Parent::Remote(trace) => self.continue_from(context_of(trace, Origin::Remote), &start),
        };
        let tracer = Some(self.clone());
        ActiveSpan::new(tracer, self.0.room, started, start.now, || builder.particulars())
    }

    /// The span of a call of that name, which lives as long as the process, under the span of `cx`, with
    /// ids that were drawn before, if they were: the trace's counts where the span begins one. Whoever gets it ends it by [`ActiveSpan::finish_by`].
    #[inline]
    pub(crate) fn of_call(
        &self,
        kind: SpanKind,
        name: RootName,
        cx: Context,
        drawn: Option<(TraceId, SpanId)>,
        now: Moment,
    ) -> ActiveSpan {
        let kind_of_root = name.hash;
        let (trace_id, span_id) = drawn.unzip();
        let start = Start { trace_id, span_id, forced: false, linked: false, kind_of_root, now };
        let started = self.continue_from(cx, &start);
        ActiveSpan::new(None, self.0.room, started, now, || Particulars {
            kind,
            name: Cow::Borrowed(name.text),
            start: None,
            links: Vec::new(),
        })
    }

    /// What a span may hold; `None` where nothing is exported.
    #[inline]
    pub(crate) fn room(&self) -> Option<Room> {
        self.0.room
    }

    /// A new span under the one of `cx`.
    fn continue_from(&self, cx: Context, start: &Start) -> StartedSpan {
        if self.is_enabled() {
            return self.next(cx, start);
        }
        StartedSpan::unrecorded(match cx.span() {
            Some(_) => cx,
            None => cx.within(unexported(start)),
        })
    }

    /// A new span under the one of `cx`, where spans are exported.
    fn next(&self, cx: Context, start: &Start) -> StartedSpan {
        let parent = cx.span().copied();
        let trace_id = parent.map(|parent| parent.trace_id).or(start.trace_id);
        let (trace_id, span_id) = match (trace_id, start.span_id) {
            (Some(trace_id), Some(span_id)) => (trace_id, span_id),
            (Some(trace_id), None) => (trace_id, new_span_id()),
            (None, Some(span_id)) => (new_trace_id(), span_id),
            (None, None) => new_ids(),
        };
        if self.is_passed_over(&cx, trace_id, start) {
            let flags = parent.map_or(TraceFlags::RANDOM, |parent| parent.flags);
            let is_remote = parent.is_some_and(|parent| parent.is_remote());
            return StartedSpan {
                parent_span_id: parent.map(|parent| parent.span_id),
                parent_origin: if is_remote { Origin::Remote } else { Origin::Local },
                ..StartedSpan::unrecorded(cx.within(SpanPlace {
                    trace_id,
                    span_id,
                    flags,
                    known: Known::Here,
                }))
            };
        }
        self.decide_and_start(cx, trace_id, span_id, start)
    }

    /// Whether the new span is one of the many about which there is nothing to decide.
    fn is_passed_over(&self, cx: &Context, trace_id: TraceId, start: &Start) -> bool {
        let parent = cx.span();
        !start.forced
            && !start.linked
            && (parent.is_some() || !cx.has_tracestate())
            && self
                .sampler()
                .passes_over(trace_id, parent, start.kind_of_root, || start.now.instant())
    }

    /// A new span under the one of `cx` of which the sampler is asked. Apart, because few are.
    #[inline(never)]
    fn decide_and_start(
        &self,
        cx: Context,
        trace_id: TraceId,
        span_id: SpanId,
        start: &Start,
    ) -> StartedSpan {
        let parent = cx.span().copied();
        let parent_flags = parent.map(|parent| parent.flags);
        // Within a process a trace is not torn, whatever the rules for callers are.
        let decided_here =
            parent.is_none_or(|parent| parent.is_remote() || start.forced || start.linked);
        let decision = decided_here.then(|| {
            let question = Question {
                trace_id,
                forced: start.forced,
                linked: start.linked,
                parent: parent_flags,
                kind: start.kind_of_root,
            };
            let now = || start.now.instant();
            self.sampler().answer(&question, || named_randomness(cx.tracestate()), now)
        });
        let flags = match decision {
            Some(decision) => decision.flags(),
            None => parent_flags.unwrap_or_default(),
        };
        let recorded = flags.is_sampled();
        let against_caller = recorded
            && parent_flags.is_some_and(|flags| !flags.is_sampled())
            && decision.is_some_and(|decision| {
                matches!(decision.reason, SamplingReason::Forced | SamplingReason::Link)
            });
        let begins = parent.is_none() || against_caller;
        let is_remote = parent.is_some_and(|parent| parent.is_remote());
        let unrecorded_caller = if against_caller { cx.trace().map(Box::new) } else { None };
        let place = SpanPlace { trace_id, span_id, flags, known: Known::Here };
        StartedSpan {
            cx: match decision {
                Some(decision) => decision.tell(cx).within(place),
                None => cx.within(place),
            },
            parent_span_id: parent.filter(|_| !against_caller).map(|parent| parent.span_id),
            parent_origin: if is_remote && !begins { Origin::Remote } else { Origin::Local },
            recorded,
            reason: decision.filter(|_| begins).map(|decision| decision.reason),
            unrecorded_caller,
        }
    }
}

/// The position of a span that begins a trace where nothing is exported.
fn unexported(start: &Start) -> SpanPlace {
    let (trace_id, span_id) = new_ids();
    let trace_id = start.trace_id.unwrap_or(trace_id);
    let span_id = start.span_id.unwrap_or(span_id);
    SpanPlace { trace_id, span_id, flags: TraceFlags::RANDOM, known: Known::HereAlone }
}
