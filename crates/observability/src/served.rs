//! How the span of a call that a server serves begins.
//!
//! Most calls are not recorded, and of most nothing but a position comes with them, if that. What
//! becomes of those is told here from a few words that lie in registers, and written once, where the
//! call is followed: to build it elsewhere and move it costs more than all decisions about it, because a
//! processor stalls where it reads in wide pieces what it just wrote in narrow ones. All others go the
//! way of every other span, by [`Tracer::of_call`], and come to the same.

use http::HeaderMap;
use opentelemetry::trace::SpanKind;
use types::{SpanId, TraceFlags, TraceId};

use crate::clock::Moment;
use crate::context::{Context, Known, SpanPlace};
use crate::current::Followed;
use crate::ids::{new_ids, new_span_id};
use crate::span::ActiveSpan;
use crate::text::quick_hash;
use crate::tracer::Tracer;

impl Tracer {
    /// Begins the span of a call with these headers, which its handler will reach, in the place where
    /// it is followed.
    #[inline(always)]
    pub(crate) fn serve(
        &self,
        place: &mut Option<Followed>,
        name: RootName,
        headers: &HeaderMap,
        now: Moment,
    ) {
        let Some(caller) = self.propagators().extract_plain(headers) else {
            return self.serve_in(place, name, self.extract(headers), None, now);
        };
        match self.unrecorded(caller, name, now) {
            Ok((at, caller)) => {
                let cx = Context::new().within(at);
                let span = ActiveSpan::unrecorded(cx, caller.as_ref(), self.room(), now);
                *place = Some(Followed { span, name: name.text, serves: true });
            }
            Err(drawn) => {
                let cx = caller.map_or_else(Context::new, |caller| Context::new().within(caller));
                self.serve_in(place, name, cx, Some(drawn), now);
            }
        }
    }

    /// The position of a call that is plainly not recorded, and its caller's. Of any other the ids that
    /// were drawn: it must keep them, because it was by the trace's that it came to be another.
    #[inline(always)]
    fn unrecorded(
        &self,
        caller: Option<SpanPlace>,
        name: RootName,
        now: Moment,
    ) -> Result<(SpanPlace, Option<SpanPlace>), (TraceId, SpanId)> {
        let is_enabled = self.is_enabled();
        let at = match caller {
            // Where nothing is exported the caller's position is handed on.
            Some(caller) if !is_enabled => return Ok((caller, None)),
            Some(caller) => SpanPlace { span_id: new_span_id(), known: Known::Here, ..caller },
            None => {
                let (trace_id, span_id) = new_ids();
                let known = if is_enabled { Known::Here } else { Known::HereAlone };
                SpanPlace { trace_id, span_id, flags: TraceFlags::RANDOM, known }
            }
        };
        let now = || now.instant();
        let is_passed_over =
            !is_enabled || self.sampler().passes_over(at.trace_id, caller.as_ref(), name.hash, now);
        if is_passed_over { Ok((at, caller)) } else { Err((at.trace_id, at.span_id)) }
    }

    /// The same under the span of `cx`, whatever there is to decide, with the ids that were drawn.
    #[inline(never)]
    fn serve_in(
        &self,
        place: &mut Option<Followed>,
        name: RootName,
        cx: Context,
        drawn: Option<(TraceId, SpanId)>,
        now: Moment,
    ) {
        let span = self.of_call(SpanKind::Server, name, cx, drawn, now);
        *place = Some(Followed { span, name: name.text, serves: true });
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::config::OtelConfig;
    use crate::context::Origin;
    use crate::init::OtelGuard;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";

    /// A process that exports to a port at which nobody listens, or does not export.
    fn process(sampler: &str, exports: bool) -> OtelGuard {
        OtelGuard::start(&OtelConfig::from_env("served", |name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => exports.then(|| "http://127.0.0.1:9".to_owned()),
            "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
            "OTEL_TRACES_SAMPLER" => Some(sampler.to_owned()),
            _ => None,
        }))
    }

    /// What of a span does not depend on chance.
    fn settled(call: Option<Followed>, caller: Option<SpanPlace>) -> String {
        let Followed { span, name, serves } = call.expect("followed");
        let at = *span.cx().span().expect("a position");
        let is_callers =
            caller.map(|caller| (at.trace_id == caller.trace_id, at.span_id == caller.span_id));
        let text = (span.cx().tracestate().to_owned(), span.cx().baggage().cloned());
        let made = (at.flags, at.known, is_callers, text);
        let parent = (span.parent_span_id(), span.position(), span.is_recording());
        format!("{made:?} {parent:?} {name} {serves}")
    }

    #[test]
    fn the_quick_way_comes_to_the_same_as_that_of_every_other_span() {
        let name = RootName::new("a.v1.S/Run");
        let mut quick = 0;
        for (sampler, exports) in [
            ("parentbased_always_off", true),
            ("parentbased_always_on", true),
            ("always_off", true),
            ("always_on", true),
            ("parentbased_always_on", false),
        ] {
            let guard = process(sampler, exports);
            let tracer = guard.tracer();
            for (flags, tracestate, baggage) in [
                (None, None, None),
                (None, None, Some("tenant=7")),
                (Some("0"), None, None),
                (Some("1"), None, None),
                (Some("2"), None, None),
                (Some("3"), None, None),
                (Some("2"), Some("a=1"), None),
                (Some("3"), Some("ot=th:8"), Some("tenant=7")),
                (Some("x"), None, None),
            ] {
                let mut headers = HeaderMap::new();
                let traceparent = flags.map(|flags| format!("{CALLER}{flags}"));
                for (name, value) in [
                    ("te", Some("trailers")),
                    ("traceparent", traceparent.as_deref()),
                    ("tracestate", tracestate),
                    ("baggage", baggage),
                ] {
                    if let Some(value) = value {
                        headers.insert(name, HeaderValue::from_str(value).expect("ascii"));
                    }
                }
                let now = Moment::now();
                let (mut here, mut there) = (None, None);
                tracer.serve(&mut here, name, &headers, now);
                tracer.serve_in(&mut there, name, tracer.extract(&headers), None, now);
                let caller = tracer.extract(&headers).span().copied();
                let (here, there) = (settled(here, caller), settled(there, caller));
                assert_eq!(here, there, "{sampler}, {exports}, {headers:?}");
                let plain = tracer.propagators().extract_plain(&headers);
                let taken = plain.map(|caller| tracer.unrecorded(caller, name, now));
                quick += usize::from(taken.is_some_and(|it| it.is_ok()));
            }
        }
        assert!(quick > 10, "{quick} took it");
    }

    #[test]
    fn a_caller_is_in_another_process() {
        let guard = process("parentbased_always_off", true);
        let mut headers = HeaderMap::new();
        let caller = HeaderValue::from_str(&format!("{CALLER}2")).expect("ascii");
        headers.insert("traceparent", caller);
        let mut call = None;
        guard.tracer().serve(&mut call, RootName::new("a"), &headers, Moment::now());
        let span = call.expect("followed").span;
        assert_eq!(span.parent_origin(), Origin::Remote);
        assert_eq!(span.parent_span_id().expect("a caller").to_string(), "00f067aa0ba902b7");
    }
}
