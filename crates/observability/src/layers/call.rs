//! What all layers share: the span of a call, and the future and the body through which a call is
//! followed.
//!
//! While a call's future or body runs, its span lies on the thread's stack of what is current, where
//! children and logs find its context and [`ServerSpan`] finds the span itself; otherwise it belongs to
//! the future or the body. So a span that nobody records needs no lock and, since a thread uses the
//! places of spans again, no allocation.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::Value;
use opentelemetry::trace::SpanKind;
use pin_project_lite::pin_project;
use types::{SpanId, TraceContext};

use crate::clock::Moment;
use crate::context::Context;
use crate::current::{Followed, Held, Lent, with_served};
use crate::metrics::Histogram;
use crate::span::{ActiveSpan, Position, SpanLink};
use crate::tracer::Tracer;

/// The span of the request being served, by [`current`](Self::current). It is at hand in the handler
/// and in what the handler awaits, until the response begins; later, and in a task of its own, it
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpan {
    _made_by_layers: (),
}

/// What of a request is kept with what came of it, so that its span can be told again.
#[derive(Debug, Clone)]
pub struct ServedCall {
    /// The position of its span.
    pub trace: TraceContext,
    /// The caller's span, where the caller told one.
    pub caller: Option<SpanId>,
    /// Whether it is recorded, as far as is known now.
    pub is_recorded: bool,
    /// How long it has run.
    pub elapsed: Duration,
}

impl ServedCall {
    /// Of the span of a request that is being served.
    pub(crate) fn of(span: &ActiveSpan) -> Option<Self> {
        let trace = span.trace().filter(|_| span.position() != Position::Callers)?;
        let (caller, is_recorded) = (span.parent_span_id(), span.is_recording());
        Some(Self { trace, caller, is_recorded, elapsed: span.elapsed() })
    }
}

impl ServerSpan {
    const HANDLE: Self = Self { _made_by_layers: () };

    /// The span of the request that the code here serves, if it serves one.
    #[must_use]
    pub fn current() -> Option<Self> {
        with_served(|_| Self::HANDLE)
    }

    /// The position to give to whoever continues the trace.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        with_served(|serving| serving.span.trace()).flatten()
    }

    /// The request as it is kept; `None` where its span is none of this process's own: nothing is
    /// exported here, and the caller's position is handed on.
    #[must_use]
    pub fn call(&self) -> Option<ServedCall> {
        with_served(|serving| ServedCall::of(&serving.span)).flatten()
    }

    /// The context in which this span is the current one.
    #[must_use]
    pub fn cx(&self) -> Context {
        let cx = with_served(|serving| serving.span.cx().clone());
        cx.unwrap_or_else(Context::current)
    }

    /// Sets an attribute, if recording.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        with_served(|serving| serving.span.set(key, value));
    }

    /// Adds a link, if recording.
    pub fn link(&self, link: SpanLink) {
        with_served(|serving| serving.span.link(link));
    }

    /// Records the span though sampling had dropped it: the request itself asks for its trace. The
    /// context handed out from now on is sampled.
    pub fn promote(&self) {
        with_served(|serving| serving.span.promote(SpanKind::Server, serving.name));
    }
}

/// The span of a call, or the context of a call without one.
#[derive(Debug)]
pub(super) struct CallSpan(Held);

impl CallSpan {
    /// Of no call yet.
    pub(super) fn none() -> Self {
        Self(Held::free())
    }

    /// A client's.
    pub(super) fn of_client(span: ActiveSpan) -> Self {
        let mut this = Self::none();
        *this.place() = Some(Followed::client(span));
        this
    }

    /// Where the span of the next call begins.
    #[inline]
    pub(super) fn place(&mut self) -> &mut Option<Followed> {
        self.0.place()
    }

    /// The span, where it is recorded.
    #[inline]
    pub(super) fn recorded(&mut self) -> Option<&mut ActiveSpan> {
        self.0.get().map(|followed| &mut followed.span).filter(|span| span.is_recording())
    }

    /// While the answer lives, code of the call runs in its context; that of a handler has the server
    /// span at hand.
    #[inline]
    fn lend(&mut self) -> Lent<'_> {
        self.0.lend()
    }

    /// The handler has answered: what runs from now on does not reach the span.
    #[inline]
    fn answered(&mut self) {
        if let Some(followed) = self.0.get() {
            followed.serves = false;
        }
    }

    /// Ends it once, by `tracer`: tells `duration` how long it took and in which context, then what `describe`
    /// says.
    pub(super) fn finish(
        &mut self,
        tracer: &Tracer,
        duration: impl FnOnce(&Took<'_>),
        describe: impl FnOnce(&mut ActiveSpan),
    ) {
        // It is never dropped while it is lent.
        let Some(Followed { span, .. }) = self.0.get() else { return };
        let end = span.now();
        duration(&Took { time: span.elapsed(), span, end });
        if span.is_recording() {
            describe(span);
        }
        span.finish_by(tracer, end);
        self.0.clear();
    }
}

impl Followed {
    /// A client's call.
    #[inline]
    pub(super) fn client(span: ActiveSpan) -> Self {
        Self { span, name: "", serves: false }
    }

    /// A call that leaves a duration only, in the context of its caller, from `now` on.
    pub(super) fn without_span(cx: Context, now: Moment) -> Self {
        Self::client(ActiveSpan::without_record(cx, now))
    }
}

/// How long a call took.
pub(super) struct Took<'a> {
    time: Duration,
    span: &'a ActiveSpan,
    /// When the span ends; `None` where nobody records it.
    end: Option<SystemTime>,
}

impl Took<'_> {
    /// Records it as a duration of the call's span.
    #[inline]
    pub(super) fn record(&self, durations: &Histogram) {
        let at = || self.end.unwrap_or_else(SystemTime::now);
        durations.record_at(self.time.as_secs_f64(), self.span.cx(), at);
    }
}

/// A call that is being followed. It ends when dropped.
pub(super) trait Call: Send + 'static {
    /// Its span; it has one until it ends.
    fn span(&mut self) -> Option<&mut CallSpan>;

    /// Whether code of the call may run while its response is read.
    fn streams(&self) -> bool {
        true
    }

    /// The response has begun.
    fn responded(&mut self, status: StatusCode, headers: &HeaderMap);

    /// The response's trailers have come.
    fn trailers(&mut self, trailers: &HeaderMap);

    /// The response has come to its regular end.
    fn completed(&mut self);

    /// The response has broken off.
    fn failed(&mut self);
}

pin_project! {
    /// The future of a call that is followed.
    #[must_use = "futures do nothing unless polled"]
    pub struct CallFuture<F, C> {
        #[pin]
        inner: F,
        call: Option<C>,
    }
}

impl<F, C> CallFuture<F, C> {
    #[inline(always)]
    pub(super) fn new(inner: F, call: Option<C>) -> Self {
        Self { inner, call }
    }
}

impl<F, C> fmt::Debug for CallFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").field("followed", &self.call.is_some()).finish_non_exhaustive()
    }
}

#[allow(private_bounds, reason = "the kinds of calls are ours alone")]
impl<F, C, B, E> Future for CallFuture<F, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    C: Call,
    B: Body,
{
    type Output = Result<Response<CallBody<B, C>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = {
            let _lent = this.call.as_mut().and_then(Call::span).map(CallSpan::lend);
            this.inner.poll(task)
        };
        // Looked at where it lies, and moved once: a response is large to be moved.
        match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(response)) => {
                if let Some(call) = this.call {
                    if let Some(span) = call.span() {
                        span.answered();
                    }
                    call.responded(response.status(), response.headers());
                }
                if response.body().is_end_stream() {
                    end(this.call);
                }
            }
            Poll::Ready(Err(_)) => {
                if let Some(mut call) = this.call.take() {
                    call.failed();
                }
            }
        }
        let call = this.call.take();
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(response)) => {
                // A body that only hands out what the handler made runs no code of the call.
                let runs_code = call.as_ref().is_some_and(Call::streams)
                    && response.body().size_hint().exact().is_none();
                let (head, inner) = response.into_parts();
                let body = CallBody { inner, call, runs_code };
                Poll::Ready(Ok(Response::from_parts(head, body)))
            }
        }
    }
}

fn end<C: Call>(call: &mut Option<C>) {
    if let Some(call) = call {
        call.completed();
    }
    // Where it lies: a call is large to be moved.
    *call = None;
}

pin_project! {
    /// The body of a response that is followed to its end.
    pub struct CallBody<B, C> {
        #[pin]
        inner: B,
        call: Option<C>,
        runs_code: bool,
    }
}

impl<B, C> fmt::Debug for CallBody<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBody").field("followed", &self.call.is_some()).finish_non_exhaustive()
    }
}

impl<B: Default, C> Default for CallBody<B, C> {
    fn default() -> Self {
        Self { inner: B::default(), call: None, runs_code: false }
    }
}

#[allow(private_bounds, reason = "the kinds of calls are ours alone")]
impl<B, C> Body for CallBody<B, C>
where
    B: Body<Data = Bytes>,
    C: Call,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        // Looked at where it lies, not taken out: it is large to be moved.
        let polled = {
            let running = this.call.as_mut().filter(|_| *this.runs_code);
            let _lent = running.and_then(Call::span).map(CallSpan::lend);
            this.inner.as_mut().poll_frame(task)
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => end(this.call),
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(call), Some(trailers)) = (this.call.as_mut(), frame.trailers_ref()) {
                    call.trailers(trailers);
                    end(this.call);
                } else if this.inner.is_end_stream() {
                    end(this.call);
                }
            }
            Poll::Ready(Some(Err(_))) => {
                if let Some(mut call) = this.call.take() {
                    call.failed();
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
