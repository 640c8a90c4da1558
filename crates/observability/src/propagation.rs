//! Trace context across process borders: W3C `traceparent`, `tracestate` and `baggage`.
//!
//! A malformed `traceparent` is as if absent. Baggage is carried as it came, never read here, and
//! never longer than [`BAGGAGE_BYTES_MAX`]. Propagation works with no exporter configured, so that
//! a caller's trace passes through.

use std::borrow::Cow;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::TraceState;
use types::{TraceContext, TraceFlags};

pub use crate::context::Origin;
use crate::context::{Context, Known, SpanPlace};

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

impl Propagators {
    /// The context that a caller's headers describe; an empty one where there are none.
    #[must_use]
    pub fn extract(self, headers: &HeaderMap) -> Context {
        let found = Found::among(headers);
        let baggage = found.baggage.filter(|_| self.baggage);
        let baggage = baggage.filter(|baggage| baggage.len() <= BAGGAGE_BYTES_MAX).cloned();
        let cx = Context::with_baggage(baggage);
        match found.traceparent.and_then(|header| self.read_parent(header)) {
            Some(parent) if found.has_tracestate => {
                cx.within(parent).with_tracestate(read_tracestate(headers))
            }
            Some(parent) => cx.within(parent),
            None => cx,
        }
    }

    /// The position that a caller's headers name, if nothing else rides along with it: all that is known
    /// of most callers. `None` where [`extract`](Self::extract) finds more.
    #[inline(always)]
    pub(crate) fn extract_plain(self, headers: &HeaderMap) -> Option<Option<SpanPlace>> {
        let found = Found::among(headers);
        if found.has_tracestate || found.baggage.is_some() {
            return None;
        }
        Some(found.traceparent.and_then(|header| self.read_parent(header)))
    }

    #[inline(always)]
    fn read_parent(self, traceparent: &HeaderValue) -> Option<SpanPlace> {
        if !self.trace_context {
            return None;
        }
        let header = traceparent.as_bytes().trim_ascii();
        let (trace_id, span_id, flags) = TraceContext::parse_traceparent(header)?;
        Some(SpanPlace { trace_id, span_id, flags, known: Known::Remotely })
    }

    /// The position in a trace that a caller's headers name.
    #[must_use]
    pub fn extract_trace(self, headers: &HeaderMap) -> Option<TraceContext> {
        let parent = self.read_parent(headers.get(&TRACEPARENT_NAME)?)?;
        let SpanPlace { trace_id, span_id, flags, .. } = parent;
        Some(TraceContext { trace_id, span_id, flags, tracestate: read_tracestate(headers) })
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
        if let (true, Some(span)) = (self.trace_context, cx.span()) {
            inject_trace(span, cx.tracestate_header(), headers);
        }
        if let (true, Some(baggage)) = (self.baggage, cx.baggage()) {
            headers.insert(BAGGAGE, baggage.clone());
        }
    }
}

/// The names once more, not to be made anew for every look.
static TRACEPARENT_NAME: HeaderName = TRACEPARENT;
static TRACESTATE_NAME: HeaderName = TRACESTATE;
static BAGGAGE_NAME: HeaderName = BAGGAGE;

/// Of so few headers each is looked at once, which is less work than to look two up.
pub(crate) const HEADERS_FEW: usize = 8;

/// What of a caller's headers concerns its context.
struct Found<'a> {
    traceparent: Option<&'a HeaderValue>,
    baggage: Option<&'a HeaderValue>,
    has_tracestate: bool,
}

impl<'a> Found<'a> {
    /// The first of each.
    #[inline(always)]
    fn among(headers: &'a HeaderMap) -> Self {
        if headers.len() > HEADERS_FEW {
            return Self {
                traceparent: headers.get(&TRACEPARENT_NAME),
                baggage: headers.get(&BAGGAGE_NAME),
                has_tracestate: headers.contains_key(&TRACESTATE_NAME),
            };
        }
        let mut found = Self { traceparent: None, baggage: None, has_tracestate: false };
        for (name, value) in headers {
            // By their lengths most are told apart.
            match name.as_str() {
                "traceparent" => found.traceparent = found.traceparent.or(Some(value)),
                "baggage" => found.baggage = found.baggage.or(Some(value)),
                "tracestate" => found.has_tracestate = true,
                _ => {}
            }
        }
        found
    }
}

/// The `tracestate` headers as one; empty where they are missing, malformed or too long to be carried.
fn read_tracestate(headers: &HeaderMap) -> String {
    let mut states =
        headers.get_all(&TRACESTATE_NAME).iter().filter_map(|value| value.to_str().ok());
    let Some(first) = states.next() else { return String::new() };
    let whole = match states.next() {
        None => Cow::Borrowed(first),
        Some(second) => {
            let all: Vec<_> = [first, second].into_iter().chain(states).collect();
            Cow::Owned(all.join(","))
        }
    };
    if whole.len() > TraceContext::TRACESTATE_BYTES_MAX {
        return String::new();
    }
    valid_tracestate(&whole)
}

fn inject_trace(span: &SpanPlace, tracestate: Option<HeaderValue>, headers: &mut HeaderMap) {
    if span.known == Known::HereAlone {
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
    write(3, &span.trace_id.to_bytes());
    write(36, &span.span_id.to_bytes());
    write(53, &[span.flags.0]);
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(TRACEPARENT, value);
    }
    match tracestate {
        Some(value) => drop(headers.insert(TRACESTATE, value)),
        None => drop(headers.remove(TRACESTATE)),
    }
}

/// A `tracestate` as it is handed on; empty where OpenTelemetry's API refuses it.
fn valid_tracestate(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    TraceState::from_str(text).map_or_else(|_| String::new(), |state| state.header())
}

/// A context in which `trace` is the current span: for logs, for children, for calls. A malformed
/// `tracestate` is dropped.
#[must_use]
pub fn context_of(trace: &TraceContext, origin: Origin) -> Context {
    let known = match origin {
        Origin::Local => Known::Here,
        Origin::Remote => Known::Remotely,
    };
    let flags = TraceFlags(trace.flags.0 & TraceFlags::KNOWN.0);
    let place = SpanPlace { trace_id: trace.trace_id, span_id: trace.span_id, flags, known };
    Context::new().within(place).with_tracestate(valid_tracestate(&trace.tracestate))
}

/// The trace position of a context, if it has one.
#[must_use]
pub fn trace_of(cx: &Context) -> Option<TraceContext> {
    cx.trace()
}

/// The trace position of the code that runs now, if it runs within a span.
#[must_use]
pub fn current_trace() -> Option<TraceContext> {
    Context::map_current(Context::trace)
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
        assert_eq!(trace_of(&none.extract(&incoming)), None);
    }

    #[test]
    fn a_position_survives_its_context() {
        let plain = TraceContext::parse(PARENT, "a=1,b=2").expect("valid");
        for (origin, is_remote) in [(Origin::Remote, true), (Origin::Local, false)] {
            let cx = context_of(&plain, origin);
            assert_eq!(cx.span().map(SpanPlace::is_remote), Some(is_remote));
            assert_eq!(trace_of(&cx).as_ref(), Some(&plain));
        }
        assert_eq!(trace_of(&Context::new()), None);
    }

    #[test]
    fn a_malformed_tracestate_is_dropped_and_a_loose_one_is_written_as_w3c_asks() {
        for (sent, kept) in [
            ("a=1 ,, b=2", "a=1,b=2"),
            ("no member", ""),
            ("UPPER=1", ""),
            (&format!("a={}", "x".repeat(600)), ""),
        ] {
            let incoming = headers(&[(&TRACEPARENT, PARENT), (&TRACESTATE, sent)]);
            let cx = Propagators::default().extract(&incoming);
            assert_eq!(trace_of(&cx).expect("a trace").tracestate, kept, "{sent}");
            let trace = Propagators::default().extract_trace(&incoming);
            assert_eq!(trace.expect("a trace").tracestate, kept, "{sent}");
        }
    }
}
