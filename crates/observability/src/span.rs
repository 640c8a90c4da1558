//! Spans: finished ones as plain records, running ones as guards.
//!
//! A [`SpanRecord`] says everything about a span that has ended, with ids and times chosen by the
//! caller, so that a span may be written by a process, or a run, other than the one in which it
//! began. An [`ActiveSpan`] is a span of this process that ends with its guard.

mod active;

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use types::{SpanId, Timestamp, TraceContext};

use crate::clock::Moment;
use crate::context::{Context, Origin};
use crate::schema;
use crate::speaker::Speaker;
use crate::text::quick_hash;
use crate::tracer::{Start, Tracer};

pub use active::ActiveSpan;
pub(crate) use active::{Particulars, Room, StartedSpan};

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
            trace_id: None,
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
