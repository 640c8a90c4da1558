//! Trace context across process borders: W3C `traceparent`, `tracestate` and `baggage`.
//!
//! A malformed `traceparent` is as if absent. Baggage is carried as it came, never read here, and
//! never longer than [`BAGGAGE_BYTES_MAX`]. Propagation works with no exporter configured, so that
//! a caller's trace passes through.

use std::borrow::Cow;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use types::{SpanId, TraceContext, TraceFlags, TraceId};

/// The header that names trace, parent span and flags.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with vendor data that rides along.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The header with key-value pairs that ride along.
pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Baggage longer than this, the limit of the W3C recommendation, is dropped.
pub const BAGGAGE_BYTES_MAX: usize = 8_192;

/// Which headers are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagators {
    /// `traceparent` and `tracestate`.
    pub trace_context: bool,
    /// `baggage`.
    pub baggage: bool,
}

impl Default for Propagators {
    fn default() -> Self {
        Self { trace_context: true, baggage: true }
    }
}

/// Marks a span that is known to this process alone: no exporter is configured and no caller gave a
/// trace. Its ids serve the logs; callees are not told, so that one which does export decides for
/// itself. A bit that W3C has not given away; it never leaves this process.
const LOCAL_ONLY: u8 = 0x80;

/// The position of a span that is known to this process alone.
pub(crate) fn local_only(trace: &TraceContext) -> SpanContext {
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(trace.trace_id.to_bytes()),
        opentelemetry::SpanId::from_bytes(trace.span_id.to_bytes()),
        opentelemetry::TraceFlags::new(trace.flags.0 | LOCAL_ONLY),
        false,
        TraceState::NONE,
    )
}

/// Whether the span is known to this process alone.
pub(crate) fn is_local_only(context: &SpanContext) -> bool {
    context.trace_flags().to_u8() & LOCAL_ONLY != 0
}

/// The flags of a position, as far as others may know them.
pub(crate) fn known_flags(context: &SpanContext) -> TraceFlags {
    TraceFlags(context.trace_flags().to_u8() & TraceFlags::KNOWN.0)
}

#[derive(Debug, Clone)]
struct BaggageHeader(HeaderValue);

impl Propagators {
    /// The context that a caller's headers describe; an empty one where there are none.
    #[must_use]
    pub fn extract(self, headers: &HeaderMap) -> Context {
        self.incoming(headers).cx()
    }

    /// What a caller's headers say, before a context is made of it.
    pub(crate) fn incoming(self, headers: &HeaderMap) -> Incoming {
        let (traceparent, baggage) = find(headers);
        let baggage = baggage.filter(|baggage| baggage.len() <= BAGGAGE_BYTES_MAX);
        let baggage = baggage.filter(|_| self.baggage).cloned();
        let parent = traceparent.and_then(|header| self.read_parent(header, headers));
        Incoming { parent, baggage: baggage.map(BaggageHeader) }
    }

    fn read_parent(self, traceparent: &HeaderValue, headers: &HeaderMap) -> Option<SpanContext> {
        if !self.trace_context {
            return None;
        }
        let header = traceparent.as_bytes().trim_ascii();
        let (trace_id, span_id, flags) = TraceContext::parse_traceparent(header)?;
        Some(SpanContext::new(
            opentelemetry::TraceId::from_bytes(trace_id.to_bytes()),
            opentelemetry::SpanId::from_bytes(span_id.to_bytes()),
            opentelemetry::TraceFlags::new(flags.0),
            true,
            trace_state(&read_tracestate(headers)),
        ))
    }

    /// The position in a trace that a caller's headers name.
    #[must_use]
    pub fn extract_trace(self, headers: &HeaderMap) -> Option<TraceContext> {
        trace_context(&self.read_parent(headers.get(&TRACEPARENT_NAME)?, headers)?)
    }

    /// The context that the environment of a process describes, in `TRACEPARENT`, `TRACESTATE` and
    /// `BAGGAGE`: how a build pipeline hands its trace to the programs that it runs.
    #[must_use]
    pub fn extract_env(self, lookup: impl Fn(&str) -> Option<String>) -> Context {
        let mut headers = HeaderMap::new();
        for name in [TRACEPARENT, TRACESTATE, BAGGAGE] {
            let value = lookup(&name.as_str().to_ascii_uppercase());
            // What is no header value is as if absent.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value.trim()).ok()) {
                headers.insert(name, value);
            }
        }
        self.extract(&headers)
    }

    /// Writes `cx` into the headers of a call, replacing what they held.
    pub fn inject(self, cx: &Context, headers: &mut HeaderMap) {
        if self.trace_context {
            inject_trace(cx.span().span_context(), headers);
        }
        if let (true, Some(BaggageHeader(baggage))) = (self.baggage, cx.get()) {
            headers.insert(BAGGAGE, baggage.clone());
        }
    }
}

/// What a caller's headers say.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) parent: Option<SpanContext>,
    baggage: Option<BaggageHeader>,
}

impl Incoming {
    /// A context that continues where the caller is.
    pub(crate) fn cx(&self) -> Context {
        match &self.parent {
            Some(parent) => self.base().with_remote_span_context(parent.clone()),
            None => self.base(),
        }
    }

    /// A context with everything but the span.
    pub(crate) fn base(&self) -> Context {
        match &self.baggage {
            Some(baggage) => Context::new().with_value(baggage.clone()),
            None => Context::new(),
        }
    }
}

/// The names once more, not to be made anew for every look.
static TRACEPARENT_NAME: HeaderName = TRACEPARENT;
static TRACESTATE_NAME: HeaderName = TRACESTATE;
static BAGGAGE_NAME: HeaderName = BAGGAGE;

/// Of so few headers each is looked at once, which is less work than to look two up.
const HEADERS_FEW: usize = 8;

/// The first `traceparent` and the first `baggage`.
fn find(headers: &HeaderMap) -> (Option<&HeaderValue>, Option<&HeaderValue>) {
    if headers.len() > HEADERS_FEW {
        return (headers.get(&TRACEPARENT_NAME), headers.get(&BAGGAGE_NAME));
    }
    let (mut traceparent, mut baggage) = (None, None);
    for (name, value) in headers {
        if *name == TRACEPARENT_NAME {
            traceparent = traceparent.or(Some(value));
        } else if *name == BAGGAGE_NAME {
            baggage = baggage.or(Some(value));
        }
    }
    (traceparent, baggage)
}

/// The `tracestate` headers as one; empty where they are missing or too long to be carried.
fn read_tracestate(headers: &HeaderMap) -> Cow<'_, str> {
    let mut states =
        headers.get_all(&TRACESTATE_NAME).iter().filter_map(|value| value.to_str().ok());
    let Some(first) = states.next() else { return Cow::Borrowed("") };
    let whole = match states.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let all: Vec<_> = [first, second].into_iter().chain(states).collect();
            Cow::Owned(all.join(","))
        }
    };
    if whole.len() > TraceContext::TRACESTATE_BYTES_MAX { Cow::Borrowed("") } else { whole }
}

fn inject_trace(context: &SpanContext, headers: &mut HeaderMap) {
    if !context.is_valid() || is_local_only(context) {
        return;
    }
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let mut write = |at: usize, bytes: &[u8]| {
        for (index, byte) in bytes.iter().enumerate() {
            text[at + 2 * index] = DIGITS[usize::from(byte >> 4)];
            text[at + 2 * index + 1] = DIGITS[usize::from(byte & 15)];
        }
    };
    write(3, &context.trace_id().to_bytes());
    write(36, &context.span_id().to_bytes());
    write(53, &[known_flags(context).0]);
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(TRACEPARENT, value);
    }
    if *context.trace_state() == TraceState::NONE {
        headers.remove(TRACESTATE);
    } else if let Ok(value) = HeaderValue::from_str(&state_header(context.trace_state())) {
        headers.insert(TRACESTATE, value);
    }
}

/// Where a context was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In this process.
    Local,
    /// In another one, or in an earlier run of this one: it came by wire or out of the store.
    Remote,
}

/// The same position, for the OpenTelemetry API. A `tracestate` that it refuses is dropped.
#[must_use]
pub fn span_context(trace: &TraceContext, origin: Origin) -> SpanContext {
    let state = trace_state(&trace.tracestate);
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(trace.trace_id.to_bytes()),
        opentelemetry::SpanId::from_bytes(trace.span_id.to_bytes()),
        opentelemetry::TraceFlags::new(trace.flags.0 & TraceFlags::KNOWN.0),
        origin == Origin::Remote,
        state,
    )
}

/// A `tracestate` for the OpenTelemetry API; none where it refuses it.
pub(crate) fn trace_state(text: &str) -> TraceState {
    if text.is_empty() {
        return TraceState::NONE;
    }
    TraceState::from_str(text).unwrap_or(TraceState::NONE)
}

/// A `tracestate` as its header.
pub(crate) fn state_header(state: &TraceState) -> String {
    let members = || state.into_iter();
    let length = members().map(|(key, value)| key.len() + value.len() + 2).sum();
    let mut text = String::with_capacity(length);
    for (key, value) in members() {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// The same position, as plain data; `None` when it is no valid position.
#[must_use]
pub fn trace_context(context: &SpanContext) -> Option<TraceContext> {
    Some(TraceContext {
        trace_id: TraceId::new(context.trace_id().to_bytes())?,
        span_id: SpanId::new(context.span_id().to_bytes())?,
        flags: known_flags(context),
        tracestate: state_header(context.trace_state()),
    })
}

/// A context in which `trace` is the current span: for logs, for children, for calls.
#[must_use]
pub fn context_of(trace: &TraceContext, origin: Origin) -> Context {
    Context::new().with_remote_span_context(span_context(trace, origin))
}

/// The trace position of a context, if it has one.
#[must_use]
pub fn trace_of(cx: &Context) -> Option<TraceContext> {
    trace_context(cx.span().span_context())
}

/// The trace position of the code that runs now, if it runs within a span.
#[must_use]
pub fn current_trace() -> Option<TraceContext> {
    Context::map_current(|cx| trace_context(cx.span().span_context()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("ascii"));
        }
        headers
    }

    #[test]
    fn what_came_in_goes_out() {
        let incoming = headers(&[
            (&TRACEPARENT, PARENT),
            (&TRACESTATE, "a=1"),
            (&TRACESTATE, "b=2"),
            (&BAGGAGE, "tenant=7"),
        ]);
        let cx = Propagators::default().extract(&incoming);
        let mut outgoing = headers(&[(&TRACEPARENT, "stale"), (&TRACESTATE, "stale=1")]);
        Propagators::default().inject(&cx, &mut outgoing);
        assert_eq!(outgoing[TRACEPARENT], PARENT);
        assert_eq!(outgoing[TRACESTATE], "a=1,b=2");
        assert_eq!(outgoing[BAGGAGE], "tenant=7");
    }

    #[test]
    fn the_random_flag_is_handed_on_and_unknown_flags_are_not() {
        for (sent, handed_on) in [("03", "03"), ("02", "02"), ("ff", "03"), ("fc", "00")] {
            let incoming = headers(&[(&TRACEPARENT, &format!("{}{sent}", &PARENT[..53]))]);
            let cx = Propagators::default().extract(&incoming);
            let mut outgoing = HeaderMap::new();
            Propagators::default().inject(&cx, &mut outgoing);
            let traceparent = outgoing[TRACEPARENT].to_str().expect("text");
            assert_eq!(traceparent, format!("{}{handed_on}", &PARENT[..53]), "{sent}");
        }
    }

    #[test]
    fn malformed_headers_are_as_if_absent() {
        let incoming = headers(&[
            (&TRACEPARENT, "00-zz"),
            (&TRACESTATE, "a=1"),
            (&BAGGAGE, &"x".repeat(8_193)),
        ]);
        let cx = Propagators::default().extract(&incoming);
        let mut outgoing = HeaderMap::new();
        Propagators::default().inject(&cx, &mut outgoing);
        assert!(outgoing.is_empty(), "{outgoing:?}");
    }

    #[test]
    fn switched_off_propagators_neither_read_nor_write() {
        let none = Propagators { trace_context: false, baggage: false };
        let incoming = headers(&[(&TRACEPARENT, PARENT), (&BAGGAGE, "a=1")]);
        let full = Propagators::default().extract(&incoming);
        let mut outgoing = HeaderMap::new();
        none.inject(&full, &mut outgoing);
        none.inject(&none.extract(&incoming), &mut outgoing);
        assert!(outgoing.is_empty());
        assert!(!none.extract(&incoming).span().span_context().is_valid());
    }

    #[test]
    fn plain_and_api_forms_convert_into_each_other() {
        let plain = TraceContext::parse(PARENT, "a=1,b=2").expect("valid");
        let api = span_context(&plain, Origin::Remote);
        assert!(api.is_remote() && api.is_sampled());
        assert_eq!(trace_context(&api), Some(plain));
        assert_eq!(trace_context(&SpanContext::NONE), None);
    }
}
