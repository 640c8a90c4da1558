//! A span of this process while it runs.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use types::{SpanId, TraceContext};

use super::{DroppedItems, IntoSystemTime, Position, SpanEvent, SpanLink, SpanRecord};
use crate::clock::Moment;
use crate::config::SpanLimits;
use crate::context::{Context, Known, Origin, SpanPlace};
use crate::sampler::{SamplingReason, without_threshold};
use crate::schema;
use crate::tracer::Tracer;

/// Attributes that most spans have no more of.
const ATTRIBUTES_USUAL: usize = 12;

/// The data of a span that will be exported.
#[derive(Debug)]
struct Recording {
    kind: SpanKind,
    name: Cow<'static, str>,
    started_at: SystemTime,
    /// The same by the system's clock that is never set.
    started: Instant,
    attributes: Vec<KeyValue>,
    links: Vec<SpanLink>,
    events: Vec<SpanEvent>,
    status: Status,
    dropped: DroppedItems,
}

impl Recording {
    /// The time now, by the clock that other spans have too, and not before the start whoever sets it.
    fn now(&self) -> SystemTime {
        self.started_at + self.started.elapsed()
    }

    /// Of a span that begins. Apart, so that what is done for a span that nobody records is short.
    #[cold]
    fn begin(
        reason: Option<SamplingReason>,
        unrecorded_caller: Option<Box<TraceContext>>,
        particulars: Particulars,
    ) -> Box<Self> {
        let Particulars { kind, name, start, mut links } = particulars;
        let mut attributes = Vec::with_capacity(ATTRIBUTES_USUAL);
        if let Some(reason) = reason {
            attributes.push(KeyValue::new(schema::attr::SAMPLING_REASON, reason.as_str()));
        }
        links.extend(unrecorded_caller.map(|caller| SpanLink::new(*caller, "caller")));
        Box::new(Self {
            kind,
            name,
            started_at: start.unwrap_or_else(SystemTime::now),
            started: Instant::now(),
            attributes,
            links,
            events: Vec::new(),
            status: Status::Unset,
            dropped: DroppedItems::default(),
        })
    }
}

/// Adds what there is room for, and counts what there is not: a span that lives for hours holds
/// no more than another.
fn push_within<T>(items: &mut Vec<T>, item: T, room: usize, dropped: &mut u32) {
    if items.len() < room {
        items.push(item);
    } else {
        *dropped = dropped.saturating_add(1);
    }
}

/// A span of this process. It ends with [`end`](Self::end) or when dropped, exactly once.
#[derive(Debug)]
pub struct ActiveSpan {
    /// Who exports it when it ends; `None` where its owner brings the tracer then.
    tracer: Option<Tracer>,
    /// What it may hold; `None` where nothing is exported.
    room: Option<Room>,
    cx: Context,
    parent_span_id: Option<SpanId>,
    parent_origin: Origin,
    started: Moment,
    recording: Option<Box<Recording>>,
    ended: bool,
}

/// How many items a running span may hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    attributes: u16,
    links: u16,
    events: u16,
}

impl Room {
    pub(crate) fn of(limits: &SpanLimits) -> Self {
        let count = |most: usize| u16::try_from(most).unwrap_or(u16::MAX);
        Self {
            attributes: count(limits.attributes.count_max),
            links: count(limits.links_max),
            events: count(limits.events_max),
        }
    }
}

/// What is kept of a span that is recorded, from its start.
pub(crate) struct Particulars {
    pub(crate) kind: SpanKind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) start: Option<SystemTime>,
    pub(crate) links: Vec<SpanLink>,
}

/// What [`Tracer`] found out about a span that starts.
pub(crate) struct StartedSpan {
    pub(crate) cx: Context,
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) parent_origin: Origin,
    pub(crate) recorded: bool,
    /// Why the trace is recorded or not, if this span is to say so.
    pub(crate) reason: Option<SamplingReason>,
    /// The caller, where it does not record the trace: it will never arrive as a parent.
    pub(crate) unrecorded_caller: Option<Box<TraceContext>>,
}

impl StartedSpan {
    #[inline]
    pub(crate) fn unrecorded(cx: Context) -> Self {
        Self {
            cx,
            parent_span_id: None,
            parent_origin: Origin::Local,
            recorded: false,
            reason: None,
            unrecorded_caller: None,
        }
    }
}

impl ActiveSpan {
    #[inline]
    pub(crate) fn new(
        tracer: Option<Tracer>,
        room: Option<Room>,
        started: StartedSpan,
        now: Moment,
        particulars: impl FnOnce() -> Particulars,
    ) -> Self {
        let StartedSpan { cx, parent_span_id, parent_origin, recorded, .. } = started;
        let recording = if recorded {
            Some(Recording::begin(started.reason, started.unrecorded_caller, particulars()))
        } else {
            None
        };
        let started = now;
        Self { tracer, room, cx, parent_span_id, parent_origin, started, recording, ended: false }
    }

    /// A span that nobody records, under that of a caller, if there is one.
    #[inline(always)]
    pub(crate) fn unrecorded(
        cx: Context,
        caller: Option<&SpanPlace>,
        room: Option<Room>,
        started: Moment,
    ) -> Self {
        let (tracer, recording, ended) = (None, None, false);
        let parent_span_id = caller.map(|caller| caller.span_id);
        let parent_origin = if caller.is_some() { Origin::Remote } else { Origin::Local };
        Self { tracer, room, cx, parent_span_id, parent_origin, started, recording, ended }
    }

    /// A call without a span, in the context of its caller.
    pub(crate) fn without_record(cx: Context, now: Moment) -> Self {
        let started = StartedSpan::unrecorded(cx);
        let (tracer, room, recording) = (None, None, None);
        let StartedSpan { cx, parent_span_id, parent_origin, .. } = started;
        let (started, ended) = (now, false);
        Self { tracer, room, cx, parent_span_id, parent_origin, started, recording, ended }
    }

    /// Whether attributes are worth building.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// The context in which this span is the current one; attach it, or hand it to
    /// [`with_context`](crate::with_context).
    #[must_use]
    pub fn cx(&self) -> &Context {
        &self.cx
    }

    /// The position to give to whoever continues the trace; `None` when there is no trace.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.cx.trace()
    }

    /// The span it continues from, whether or not it is recorded.
    pub(crate) fn parent_span_id(&self) -> Option<SpanId> {
        self.parent_span_id
    }

    /// Where that one was made.
    #[cfg(test)]
    pub(crate) fn parent_origin(&self) -> Origin {
        self.parent_origin
    }

    /// Whose position [`trace`](Self::trace) is: where nothing is exported a span has none of its
    /// own.
    #[must_use]
    pub fn position(&self) -> Position {
        match self.room {
            Some(_) => Position::Own,
            None => match self.cx.span() {
                Some(SpanPlace { known: Known::HereAlone, .. }) => Position::Local,
                _ => Position::Callers,
            },
        }
    }

    /// Sets an attribute, if recording.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(recording) = &mut self.recording {
            let room = usize::from(self.room.unwrap_or_default().attributes);
            let item = KeyValue::new(key, value);
            push_within(&mut recording.attributes, item, room, &mut recording.dropped.attributes);
        }
    }

    /// Replaces the name, if recording.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(recording) = &mut self.recording {
            recording.name = name.into();
        }
    }

    /// Adds a link, if recording.
    pub fn link(&mut self, link: SpanLink) {
        if let Some(recording) = &mut self.recording {
            let room = usize::from(self.room.unwrap_or_default().links);
            push_within(&mut recording.links, link, room, &mut recording.dropped.links);
        }
    }

    /// Notes that something happened now, if recording.
    pub fn event(&mut self, name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) {
        if let Some(recording) = &mut self.recording {
            let at = recording.now();
            let event = SpanEvent { name: name.into(), at, attributes };
            let room = usize::from(self.room.unwrap_or_default().events);
            push_within(&mut recording.events, event, room, &mut recording.dropped.events);
        }
    }

    /// Marks it failed; see [`SpanRecord::failed`].
    pub fn fail(
        &mut self,
        error_type: impl Into<Value>,
        description: impl Into<Cow<'static, str>>,
    ) {
        if let Some(recording) = &mut self.recording {
            recording.attributes.push(KeyValue::new(schema::attr::ERROR_TYPE, error_type));
            recording.status = Status::error(description);
        }
    }

    /// Records a span that sampling had dropped, from now on: the context it hands out is sampled,
    /// and it will be exported. For a server that learns from the request itself that the trace is
    /// wanted. Its parent was dropped too and will never arrive, so it becomes the first span of
    /// the trace, with a link in place of the parent. Without an exporter, or without a trace,
    /// nothing changes.
    pub fn promote(&mut self, kind: SpanKind, name: impl Into<Cow<'static, str>>) {
        if self.ended || self.recording.is_some() || self.room.is_none() {
            return;
        }
        let (Some(trace), Some(span)) = (self.trace(), self.cx.span().copied()) else { return };
        let caller = self.parent_span_id.take().map(|parent| trace.with_span(parent));
        self.parent_origin = Origin::Local;
        let flags = span.flags.with_sampled(true);
        self.cx = std::mem::take(&mut self.cx)
            .within(SpanPlace { flags, known: Known::Here, ..span })
            .with_tracestate(without_threshold(&trace.tracestate));
        let forced = SamplingReason::Forced.as_str();
        let (now, has_run) = (Instant::now(), self.started.elapsed());
        self.recording = Some(Box::new(Recording {
            kind,
            name: name.into(),
            started_at: SystemTime::now() - has_run,
            started: now.checked_sub(has_run).unwrap_or(now),
            attributes: vec![KeyValue::new(schema::attr::SAMPLING_REASON, forced)],
            links: caller.map(|caller| SpanLink::new(caller, "caller")).into_iter().collect(),
            events: Vec::new(),
            status: Status::Unset,
            dropped: DroppedItems::default(),
        }));
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time now as its end would be; `None` where nobody records it.
    pub(crate) fn now(&self) -> Option<SystemTime> {
        self.recording.as_ref().map(|recording| recording.now())
    }

    /// Ends it now.
    pub fn end(mut self) {
        self.finish(None);
    }

    /// Ends it at a given time.
    pub fn end_at(mut self, end: impl IntoSystemTime) {
        self.finish(Some(end.into_system_time()));
    }

    fn finish(&mut self, end: Option<SystemTime>) {
        match self.tracer.take() {
            Some(tracer) => self.finish_by(&tracer, end),
            None => self.ended = true,
        }
    }

    /// Ends it, for an owner that keeps the tracer.
    pub(crate) fn finish_by(&mut self, tracer: &Tracer, end: Option<SystemTime>) {
        if std::mem::replace(&mut self.ended, true) || self.recording.is_none() {
            return;
        }
        let (Some(recording), Some(context)) = (self.recording.take(), self.trace()) else {
            return;
        };
        let end = end.unwrap_or_else(|| recording.now());
        tracer.emit_span(SpanRecord {
            context,
            parent_span_id: self.parent_span_id,
            parent_origin: self.parent_origin,
            kind: recording.kind,
            name: recording.name,
            start: recording.started_at,
            end,
            attributes: recording.attributes,
            links: recording.links,
            events: recording.events,
            status: recording.status,
            speaker: None,
            dropped: recording.dropped,
        });
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        self.finish(None);
    }
}
