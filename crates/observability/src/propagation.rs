//! Trace context across process borders: W3C `traceparent`, `tracestate` and `baggage`.
//!
//! A malformed `traceparent` is as if absent. Baggage is carried as it came, never read here, and
//! never longer than [`BAGGAGE_BYTES_MAX`]. Propagation works with no exporter configured, so that
//! a caller's trace passes through.

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

/// Marks a context whose span is known to this process alone: no exporter is configured and no
/// caller gave a trace. Its ids serve the logs; callees are not told, so that one which does
/// export decides for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalOnly;

#[derive(Debug, Clone)]
struct BaggageHeader(HeaderValue);

impl Propagators {
    /// The context that a caller's headers describe; an empty one where there are none.
    #[must_use]
    pub fn extract(self, headers: &HeaderMap) -> Context {
        let mut cx = Context::new();
        if self.baggage
            && let Some(baggage) = headers.get(BAGGAGE)
            && baggage.len() <= BAGGAGE_BYTES_MAX
        {
            cx = cx.with_value(BaggageHeader(baggage.clone()));
        }
        match self.extract_trace(headers) {
            Some(trace) => cx.with_remote_span_context(span_context(&trace, Origin::Remote)),
            None => cx,
        }
    }

    /// The position in a trace that a caller's headers name.
    #[must_use]
    pub fn extract_trace(self, headers: &HeaderMap) -> Option<TraceContext> {
        if !self.trace_context {
            return None;
        }
        let traceparent = headers.get(TRACEPARENT)?.to_str().ok()?;
        let mut states = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok());
        let first = states.next().unwrap_or("");
        match states.next() {
            None => TraceContext::parse(traceparent, first),
            Some(second) => {
                let all: Vec<_> = [first, second].into_iter().chain(states).collect();
                TraceContext::parse(traceparent, &all.join(","))
            }
        }
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
        if self.trace_context && cx.get::<LocalOnly>().is_none() {
            inject_trace(cx.span().span_context(), headers);
        }
        if let (true, Some(BaggageHeader(baggage))) = (self.baggage, cx.get()) {
            headers.insert(BAGGAGE, baggage.clone());
        }
    }
}

fn inject_trace(context: &SpanContext, headers: &mut HeaderMap) {
    if !context.is_valid() {
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
    write(53, &[context.trace_flags().to_u8()]);
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(TRACEPARENT, value);
    }
    let state = context.trace_state().header();
    headers.remove(TRACESTATE);
    if !state.is_empty()
        && let Ok(value) = HeaderValue::from_str(&state)
    {
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
    let state = if trace.tracestate.is_empty() {
        TraceState::NONE
    } else {
        TraceState::from_str(&trace.tracestate).unwrap_or(TraceState::NONE)
    };
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(trace.trace_id.to_bytes()),
        opentelemetry::SpanId::from_bytes(trace.span_id.to_bytes()),
        opentelemetry::TraceFlags::new(trace.flags.0),
        origin == Origin::Remote,
        state,
    )
}

/// The same position, as plain data; `None` when it is no valid position.
#[must_use]
pub fn trace_context(context: &SpanContext) -> Option<TraceContext> {
    Some(TraceContext {
        trace_id: TraceId::new(context.trace_id().to_bytes())?,
        span_id: SpanId::new(context.span_id().to_bytes())?,
        flags: TraceFlags(context.trace_flags().to_u8()),
        tracestate: context.trace_state().header(),
    })
}

/// A context in which `trace` is the current span: for logs, for children, for calls.
#[must_use]
pub fn context_of(trace: &TraceContext, origin: Origin) -> Context {
    Context::new().with_remote_span_context(span_context(trace, origin))
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
    fn malformed_headers_are_as_if_absent() {
        let incoming = headers(&[(&TRACEPARENT, "00-zz"), (&BAGGAGE, &"x".repeat(8_193))]);
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
