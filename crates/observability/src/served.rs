//! How the span of a call that a server serves begins.
//!
//! Most calls are not recorded, and of most nothing but a position comes with them, if that. What
//! becomes of those is told here from a few words that lie in registers, and written once, where the
//! call is followed: to build it elsewhere and move it costs more than all decisions about it, because a
//! processor stalls where it reads in wide pieces what it just wrote in narrow ones. All others go the
//! way of every other span, by [`Tracer::of_call`], and come to the same.

use http::HeaderMap;
use opentelemetry::trace::SpanKind;

use crate::clock::Moment;
use crate::context::{Context, Known, SpanPlace};
use crate::current::Followed;
use crate::ids::{new_ids, new_span_id};
use crate::span::{ActiveSpan, RootName};
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
        match self.unrecorded(name, headers, now) {
            Some((at, caller)) => {
                let cx = Context::new().within(at);
                let span = ActiveSpan::unrecorded(cx, caller.as_ref(), self.room(), now);
                *place = Some(Followed { span, name: name.text, serves: true });
            }
            None => self.serve_any(place, name, headers, now),
        }
    }

    /// The position of a call that is plainly not recorded, and its caller's.
    #[inline(always)]
    fn unrecorded(
        &self,
        name: RootName,
        headers: &HeaderMap,
        now: Moment,
    ) -> Option<(SpanPlace, Option<SpanPlace>)> {
        let caller = self.propagators().extract_plain(headers)?;
        let is_enabled = self.is_enabled();
        let at = match caller {
            Some(caller) if is_enabled => {
                SpanPlace { span_id: new_span_id(), known: Known::Here, ..caller }
            }
            // Where nothing is exported the caller's position is handed on.
            Some(caller) => return Some((caller, None)),
            None => {
                let (trace_id, span_id) = new_ids();
                let known = if is_enabled { Known::Here } else { Known::HereAlone };
                SpanPlace { trace_id, span_id, flags: types::TraceFlags::RANDOM, known }
            }
        };
        let is_passed_over = !is_enabled
            || self.sampler().passes_over(at.trace_id, caller.as_ref(), name.hash, || now.instant());
        is_passed_over.then_some((at, caller))
    }

    /// The same whatever there is to decide, and whatever rides along.
    #[inline(never)]
    fn serve_any(
        &self,
        place: &mut Option<Followed>,
        name: RootName,
        headers: &HeaderMap,
        now: Moment,
    ) {
        let span = self.of_call(SpanKind::Server, name, self.extract(headers), now);
        *place = Some(Followed { span, name: name.text, serves: true });
    }
}
