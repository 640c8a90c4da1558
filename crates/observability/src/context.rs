//! The context in which code runs: its place in a trace, and what rides along with it.
//!
//! Our own in place of OpenTelemetry's, which is allocated for every span: every call has a context,
//! and of most calls nobody ever asks for it. This one is a small value that is copied; only what
//! few callers send, a `tracestate` or baggage, lies on the heap, once for all copies.
//!
//! What is current on a thread stands in [`current`](crate::current).

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use types::{SpanId, TraceContext, TraceFlags, TraceId};

/// Where a context was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In this process.
    Local,
    /// In another one, or in an earlier run of this one: it came by wire or out of the store.
    Remote,
}

/// Who may know of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// This process made it, and tells callees.
    Here,
    /// This process made it and keeps it to itself: no exporter is configured and no caller gave a
    /// trace. Its ids serve the logs; callees are not told, so that one which does export decides for
    /// itself.
    HereAlone,
    /// It came from elsewhere.
    Remotely,
}

/// A span as its context knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanPlace {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// Of the flags those that are known.
    pub(crate) flags: TraceFlags,
    pub(crate) known: Known,
}

impl SpanPlace {
    pub(crate) fn is_remote(&self) -> bool {
        self.known == Known::Remotely
    }
}

/// What few contexts carry.
#[derive(Default)]
struct Carried {
    /// As its header; empty where there is none.
    tracestate: String,
    /// The same as the value of a header, made when it is first sent.
    header: OnceLock<HeaderValue>,
    baggage: Option<HeaderValue>,
}

impl Carried {
    fn new(tracestate: String, baggage: Option<HeaderValue>) -> Self {
        Self { tracestate, header: OnceLock::new(), baggage }
    }
}

thread_local! {
    /// What the last trace that began on this thread says of its share, and which that was: the ratio
    /// changes seldom.
    static SHARE: RefCell<Option<(u64, Arc<Carried>)>> = const { RefCell::new(None) };
}

/// A place in a trace, or none, and what rides along. Cheap to clone; attach it to make it the
/// current one.
#[derive(Clone, Default)]
pub struct Context {
    span: Option<SpanPlace>,
    carried: Option<Arc<Carried>>,
}

impl Context {
    /// A context outside of every trace.
    #[must_use]
    pub const fn new() -> Self {
        Self { span: None, carried: None }
    }

    /// A context without a span that carries a caller's baggage.
    pub(crate) fn with_baggage(baggage: Option<HeaderValue>) -> Self {
        let carry = |baggage| Carried::new(String::new(), Some(baggage));
        Self { span: None, carried: baggage.map(|baggage| Arc::new(carry(baggage))) }
    }

    /// The span in which the code runs.
    #[inline]
    pub(crate) fn span(&self) -> Option<&SpanPlace> {
        self.span.as_ref()
    }

    /// The vendor data that rides along; empty where there is none.
    #[inline]
    pub(crate) fn tracestate(&self) -> &str {
        self.carried.as_ref().map_or("", |carried| &carried.tracestate)
    }

    /// Whether vendor data rides along.
    #[inline]
    pub(crate) fn has_tracestate(&self) -> bool {
        self.carried.as_ref().is_some_and(|carried| !carried.tracestate.is_empty())
    }

    /// The baggage as it came.
    pub(crate) fn baggage(&self) -> Option<&HeaderValue> {
        self.carried.as_ref()?.baggage.as_ref()
    }

    /// The same context within `span`; `tracestate` rides along unchanged.
    #[inline]
    #[must_use]
    pub(crate) fn within(mut self, span: SpanPlace) -> Self {
        self.span = Some(span);
        self
    }

    /// The same context with this `tracestate` in place of the one it has.
    #[must_use]
    pub(crate) fn with_tracestate(mut self, tracestate: String) -> Self {
        // Of most contexts both are empty, and to compare empty texts is not free: their addresses
        // point nowhere, which the widest comparisons of a processor stumble over.
        let is_same = tracestate.is_empty() && self.carried.is_none();
        if !is_same && tracestate != self.tracestate() {
            let baggage = self.baggage().cloned();
            let is_needed = baggage.is_some() || !tracestate.is_empty();
            self.carried = is_needed.then(|| Arc::new(Carried::new(tracestate, baggage)));
        }
        self
    }

    /// The same context with a `tracestate` that says nothing but the share for which a trace stands that
    /// begins here. `text` writes it; what it has written for this `threshold` is used again.
    #[must_use]
    pub(crate) fn with_share(mut self, threshold: u64, text: impl Fn() -> String) -> Self {
        if self.carried.is_some() {
            return self.with_tracestate(text());
        }
        let kept = SHARE.try_with(|share| {
            let mut share = share.try_borrow_mut().ok()?;
            if let Some((_, kept)) = share.as_ref().filter(|(of, _)| *of == threshold) {
                return Some(Arc::clone(kept));
            }
            let made = Arc::new(Carried::new(text(), None));
            *share = Some((threshold, Arc::clone(&made)));
            Some(made)
        });
        self.carried = kept.ok().flatten();
        if self.carried.is_some() { self } else { self.with_tracestate(text()) }
    }

    /// The vendor data as the value of its header; `None` where there is none.
    pub(crate) fn tracestate_header(&self) -> Option<HeaderValue> {
        let carried = self.carried.as_ref().filter(|carried| !carried.tracestate.is_empty())?;
        if let Some(made) = carried.header.get() {
            return Some(made.clone());
        }
        let made = HeaderValue::from_str(&carried.tracestate).ok()?;
        Some(carried.header.get_or_init(|| made).clone())
    }

    /// The position to give to whoever continues the trace, as plain data.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        let SpanPlace { trace_id, span_id, flags, .. } = self.span?;
        Some(TraceContext { trace_id, span_id, flags, tracestate: self.tracestate().to_owned() })
    }
}

impl fmt::Debug for Context {
    /// Without the baggage, which is for others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Context");
        text.field("span", &self.span).field("tracestate", &self.tracestate());
        text.field("has_baggage", &self.baggage().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> SpanPlace {
        SpanPlace {
            trace_id: TraceId::new([7; 16]).expect("not zero"),
            span_id: SpanId::new([8; 8]).expect("not zero"),
            flags: TraceFlags::SAMPLED,
            known: Known::Here,
        }
    }

    #[test]
    fn a_context_is_small_and_carries_nothing_unless_it_must() {
        assert!(size_of::<Context>() <= 40, "{}", size_of::<Context>());
        let plain = Context::new().within(place()).with_tracestate(String::new());
        assert!(plain.carried.is_none());
        let stated = plain.with_tracestate("a=1".to_owned());
        assert_eq!(stated.tracestate(), "a=1");
        let again = stated.clone().with_tracestate("a=1".to_owned());
        assert!(Arc::ptr_eq(
            stated.carried.as_ref().expect("carried"),
            again.carried.as_ref().expect("carried")
        ));
        assert!(again.with_tracestate(String::new()).carried.is_none());
    }

    #[test]
    fn a_share_is_written_once_and_again_when_it_changes() {
        let written = std::cell::Cell::new(0);
        let share = |cx: Context, threshold: u64| {
            cx.with_share(threshold, || {
                written.set(written.get() + 1);
                format!("ot=th:{threshold:x}")
            })
        };
        let cx = || Context::new().within(place());
        let texts = [7, 7, 8, 8, 7].map(|threshold| share(cx(), threshold).tracestate().to_owned());
        assert_eq!(texts, ["ot=th:7", "ot=th:7", "ot=th:8", "ot=th:8", "ot=th:7"]);
        assert_eq!(written.get(), 3);
        let baggage = HeaderValue::from_static("tenant=7");
        let with_baggage = share(Context::with_baggage(Some(baggage.clone())), 7);
        assert_eq!(
            (with_baggage.tracestate(), with_baggage.baggage()),
            ("ot=th:7", Some(&baggage))
        );
        assert_eq!(share(cx(), 7).baggage(), None);
        assert_eq!(
            with_baggage.tracestate_header().as_ref(),
            HeaderValue::from_str("ot=th:7").ok().as_ref()
        );
        assert_eq!(Context::with_baggage(Some(baggage)).tracestate_header(), None);
    }

    #[test]
    fn a_change_of_tracestate_leaves_the_baggage() {
        let baggage = HeaderValue::from_static("tenant=7");
        let cx = Context::with_baggage(Some(baggage.clone())).within(place());
        let cx = cx.with_tracestate("a=1".to_owned()).with_tracestate(String::new());
        assert_eq!((cx.tracestate(), cx.baggage()), ("", Some(&baggage)));
        assert!(!format!("{cx:?}").contains("tenant"), "{cx:?}");
    }
}
