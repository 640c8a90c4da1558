//! Spans: finished ones as plain records, running ones as guards.
//!
//! A [`SpanRecord`] says everything about a span that has ended, with ids and times chosen by the
//! caller, so that a span may be written by a process, or a run, other than the one in which it
//! began. An [`ActiveSpan`] is a span of this process that ends with its guard.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use types::{SpanId, Timestamp, TraceContext};

use crate::clock::Moment;
use crate::config::SpanLimits;
use crate::context::{Context, Known, Origin, SpanPlace};
use crate::sampler::{SamplingReason, without_threshold};
use crate::schema;
use crate::speaker::Speaker;
use crate::tracer::{Start, Tracer};

/// From which length on a span's end is taken from the system's clock: before, the difference to the
/// processor's counter is less than what spans resolve.
const EXACT_FROM: Duration = Duration::from_millis(50);

/// Attributes that most spans have no more of.
const ATTRIBUTES_USUAL: usize = 12;

/// Attributes, links and events beyond this number are dropped, each for itself.
pub const SPAN_ITEMS_MAX: usize = 128;

/// A connection to a span that is not the parent.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanLink {
    /// The other span.
    pub context: TraceContext,
    /// What the connection means.
    pub attributes: Vec<KeyValue>,
}

impl SpanLink {
    /// A link that says of itself what it is, in `vmafx.link`.
    #[must_use]
    pub fn new(context: TraceContext, meaning: &'static str) -> Self {
        Self { context, attributes: vec![KeyValue::new(schema::attr::LINK, meaning)] }
    }
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanEvent {
    /// What happened.
    pub name: Cow<'static, str>,
    /// When.
    pub at: SystemTime,
    /// Its particulars.
    pub attributes: Vec<KeyValue>,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRecord {
    /// Trace, the span's own id, flags. The span is exported if the sampled flag is set.
    pub context: TraceContext,
    /// The span it is a child of; `None` for the root of a trace.
    pub parent_span_id: Option<SpanId>,
    /// Whether that parent lives in another process.
    pub parent_origin: Origin,
    /// Its role in a call or a message exchange.
    pub kind: SpanKind,
    /// What it was about, of low cardinality.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start: SystemTime,
    /// When it ended; taken for `start` where it lies before.
    pub end: SystemTime,
    /// Its particulars.
    pub attributes: Vec<KeyValue>,
    /// Related spans.
    pub links: Vec<SpanLink>,
    /// What happened meanwhile.
    pub events: Vec<SpanEvent>,
    /// Unset, or an error. Success is not set by hand.
    pub status: Status,
    /// Who did what it tells, where that is not this process.
    pub speaker: Option<Speaker>,
    /// What was dropped of it.
    pub(crate) dropped: DroppedItems,
}

/// How much of a span was dropped to keep its limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DroppedItems {
    pub(crate) attributes: u32,
    pub(crate) events: u32,
    pub(crate) links: u32,
    /// Attributes by event; empty where none were dropped.
    pub(crate) event_attributes: Vec<u32>,
    /// Attributes by link; empty where none were dropped.
    pub(crate) link_attributes: Vec<u32>,
}

impl SpanRecord {
    /// A root span without particulars; the fields are there to be set.
    pub fn new(
        context: TraceContext,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        start: impl IntoSystemTime,
        end: impl IntoSystemTime,
    ) -> Self {
        Self {
            context,
            parent_span_id: None,
            parent_origin: Origin::Local,
            kind,
            name: name.into(),
            start: start.into_system_time(),
            end: end.into_system_time(),
            attributes: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            status: Status::Unset,
            speaker: None,
            dropped: DroppedItems::default(),
        }
    }

    /// Makes it the child of `parent_span_id`.
    #[must_use]
    pub fn child_of(mut self, parent_span_id: SpanId, origin: Origin) -> Self {
        (self.parent_span_id, self.parent_origin) = (Some(parent_span_id), origin);
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// Adds a link.
    #[must_use]
    pub fn with_link(mut self, link: SpanLink) -> Self {
        self.links.push(link);
        self
    }

    /// Marks it failed: `error_type`, of low cardinality, becomes the attribute `error.type`. The
    /// description is for people and must hold no path, token or argument.
    #[must_use]
    pub fn failed(
        mut self,
        error_type: impl Into<Value>,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.attributes.push(KeyValue::new(schema::attr::ERROR_TYPE, error_type));
        self.status = Status::error(description);
        self
    }
}

/// Whose position a span hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The span's own.
    Own,
    /// That of this process, for its logs alone: nothing is exported, and nobody called within a
    /// trace.
    Local,
    /// The caller's, unchanged: nothing is exported here, but perhaps there.
    Callers,
}

/// A point in time in one of the forms in which the code holds it.
pub trait IntoSystemTime {
    /// The same point as the standard library's type.
    fn into_system_time(self) -> SystemTime;
}

impl IntoSystemTime for SystemTime {
    fn into_system_time(self) -> SystemTime {
        self
    }
}

impl IntoSystemTime for Timestamp {
    /// Points before 1970, which no span has, become 1970.
    fn into_system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.since(Timestamp::EPOCH)
    }
}

/// What a new span continues from.
#[derive(Debug, Clone, Default)]
pub enum Parent {
    /// The span of the code that runs now, if there is one.
    #[default]
    Current,
    /// Nothing: a new trace begins.
    Root,
    /// The span of this context.
    Context(Context),
    /// This position, which came by wire or out of the store.
    Remote(TraceContext),
}

/// A span about to start. Made by [`Tracer::span`].
#[derive(Debug)]
#[must_use = "a span starts with `start`"]
pub struct SpanBuilder<'t> {
    pub(crate) tracer: &'t Tracer,
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: SpanKind,
    pub(crate) parent: Parent,
    pub(crate) span_id: Option<SpanId>,
    pub(crate) start: Option<SystemTime>,
    pub(crate) links: Vec<SpanLink>,
    pub(crate) forced: bool,
}

impl<'t> SpanBuilder<'t> {
    pub(crate) fn new(tracer: &'t Tracer, name: Cow<'static, str>) -> Self {
        Self {
            tracer,
            name,
            kind: SpanKind::Internal,
            parent: Parent::Current,
            span_id: None,
            start: None,
            links: Vec::new(),
            forced: false,
        }
    }

    /// What is kept of it if it is recorded.
    pub(crate) fn particulars(self) -> Particulars {
        Particulars { kind: self.kind, name: self.name, start: self.start, links: self.links }
    }

    /// What its context depends on.
    pub(crate) fn begin(&self, now: Moment) -> Start {
        Start {
            span_id: self.span_id,
            forced: self.forced,
            linked: self.links.iter().any(|link| link.context.flags.is_sampled()),
            kind_of_root: quick_hash(self.name.as_bytes()),
            now,
        }
    }

    /// Its role; internal unless set.
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// What it continues from; the current span unless set.
    pub fn parent(mut self, parent: Parent) -> Self {
        self.parent = parent;
        self
    }

    /// Gives it an id that was allocated before.
    pub fn span_id(mut self, span_id: SpanId) -> Self {
        self.span_id = Some(span_id);
        self
    }

    /// Sets its beginning; now unless set.
    pub fn start_time(mut self, start: impl IntoSystemTime) -> Self {
        self.start = Some(start.into_system_time());
        self
    }

    /// Adds a link. Links given here take part in the sampling decision of a new trace.
    pub fn link(mut self, link: SpanLink) -> Self {
        self.links.push(link);
        self
    }

    /// Records the trace whatever the ratio says.
    pub fn force(mut self) -> Self {
        self.forced = true;
        self
    }

    /// Starts it.
    pub fn start(self) -> ActiveSpan {
        self.tracer.start_span(self)
    }
}

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
    /// The time this long after the start. What lasted is measured by the clock that other spans have too.
    fn time_after(&self, took: Duration) -> SystemTime {
        let exactly = if took < EXACT_FROM { took } else { self.started.elapsed() };
        self.started_at + exactly
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
            let at = recording.time_after(self.started.elapsed());
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
        self.recording = Some(Box::new(Recording {
            kind,
            name: name.into(),
            started_at: SystemTime::now() - self.started.elapsed(),
            started: self.started.instant(),
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

    /// The time this long after its start; the clock is asked only where no start was kept.
    pub(crate) fn time_after(&self, took: Duration) -> SystemTime {
        let recording = self.recording.as_ref();
        recording.map_or_else(SystemTime::now, |recording| recording.time_after(took))
    }

    /// Ends it now.
    pub fn end(mut self) {
        self.finish(None);
    }

    /// Ends it at a given time.
    pub fn end_at(mut self, end: impl IntoSystemTime) {
        self.finish(Some(end.into_system_time()));
    }

    /// Ends it this long after its start, for an owner that keeps the tracer.
    pub(crate) fn finish_after(&mut self, took: Duration, tracer: &Tracer) {
        let end = self.recording.as_ref().map(|recording| recording.time_after(took));
        self.finish_by(tracer, end);
    }

    fn finish(&mut self, end: Option<SystemTime>) {
        match self.tracer.take() {
            Some(tracer) => self.finish_by(&tracer, end),
            None => self.ended = true,
        }
    }

    fn finish_by(&mut self, tracer: &Tracer, end: Option<SystemTime>) {
        if std::mem::replace(&mut self.ended, true) || self.recording.is_none() {
            return;
        }
        let (Some(recording), Some(context)) = (self.recording.take(), self.trace()) else {
            return;
        };
        let end = end.unwrap_or_else(|| recording.time_after(self.started.elapsed()));
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

/// A span's name that lives as long as the process, with its hash, which a server needs for every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RootName {
    pub(crate) text: &'static str,
    pub(crate) hash: u64,
}

impl RootName {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, hash: quick_hash(text.as_bytes()) }
    }
}

/// An odd factor, that of the golden ratio, which spreads what it multiplies over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number for a short text: equal texts have equal numbers, and most different ones different,
/// in their low bits too. Eight bytes at a time: names are looked at for every call.
#[inline]
pub(crate) fn quick_hash(text: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    let (words, rest) = text.as_chunks::<8>();
    let mixed =
        words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let last = match text.last_chunk::<8>() {
        // Some of it is mixed in twice, which takes less than to look how much.
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let mixed = mix(mixed, last);
    mixed ^ (mixed >> 32) ^ (mixed >> 58)
}

/// A number for a short text by its length and its last eight bytes alone, in one multiplication: for
/// names that share their beginnings and are compared in full when found.
#[inline]
pub(crate) fn quick_hash_of_end(text: &[u8]) -> u64 {
    let end = match text.last_chunk::<8>() {
        Some(end) => u64::from_le_bytes(*end),
        None => text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    // The high bits of a product depend on all of its factors'.
    (end ^ text.len() as u64).wrapping_mul(SPREAD) >> 32
}

/// Whether two short texts are the same, sixteen bytes at a time: with names that are looked at for every
/// call, to call the system's comparison takes as long as to compare.
#[inline]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.last_chunk::<16>(), b.last_chunk::<16>()) {
        (Some(last_a), Some(last_b)) => {
            let (pieces_a, pieces_b) = (a.as_chunks::<16>().0, b.as_chunks::<16>().0);
            last_a == last_b && pieces_a.iter().zip(pieces_b).all(|(a, b)| a == b)
        }
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// The beginning of `text`, of at most `bytes_max` bytes, cut between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_only_if_every_byte_is() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..text.len() {
            let text = &text[..length];
            let elsewhere = text.to_vec();
            assert!(is_same(text, &elsewhere), "{length}");
            assert!(!is_same(text, &[text, b"x"].concat()), "{length}");
            for at in 0..length {
                let mut other = text.to_vec();
                other[at] ^= 0x80;
                assert!(!is_same(text, &other), "{length}, {at}");
            }
        }
    }

    #[test]
    fn the_names_of_our_routes_and_methods_hardly_share_low_bits() {
        let names = [
            "POST /v1/jobs",
            "GET /v1/jobs",
            "GET /v1/nodes",
            "GET /v1/jobs/{id}",
            "DELETE /v1/jobs/{id}",
            "POST /v1/jobs/retry",
            "vmafx.controller.v1.VmafxController/SubmitJob",
            "vmafx.controller.v1.VmafxController/SubmitJobs",
            "vmafx.controller.v1.VmafxController/GetJob",
            "vmafx.controller.v1.VmafxController/ListJobs",
            "vmafx.controller.v1.VmafxController/CancelJob",
        ];
        let low = |name: &str| quick_hash(name.as_bytes()) % 64;
        for submits in [names[0], names[6], names[7]] {
            let alike = names.iter().filter(|other| low(other) == low(submits));
            assert_eq!(alike.collect::<Vec<_>>(), [&submits], "{submits} shares its token");
        }
    }
}
