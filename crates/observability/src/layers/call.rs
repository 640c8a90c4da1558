//! What all layers share: the span of a call, and the future and the body through which a call is
//! followed.
//!
//! While a call's future or body runs, its context is the current one. While its handler runs, its server
//! span lies on a stack of the thread, where [`ServerSpan`] finds it; otherwise it belongs to the future
//! or the body. So a span that nobody records needs no lock, and, since a thread uses the places of
//! spans again, no allocation but its context's.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, Value};
use pin_project_lite::pin_project;
use types::{SpanId, TraceContext};

use crate::span::{ActiveSpan, Position, SpanLink};
use crate::tracer::Tracer;

/// What a call leaves behind, and for a server that its handler may reach it.
#[derive(Debug)]
struct Followed {
    span: ActiveSpan,
    /// The name it gets should somebody ask for its trace.
    name: &'static str,
    /// Whether the handler reaches the span.
    serves: bool,
}

/// Where what is followed lies, so that futures and bodies, which are moved often, stay small.
type Place = Box<Option<Followed>>;

/// Places that a thread keeps for further calls.
const PLACES_SPARE_MAX: usize = 64;

/// What a thread knows of calls.
struct Thread {
    /// Of the code that runs on this thread: the server spans, the innermost last.
    serving: Vec<Place>,
    spare: Vec<Place>,
}

thread_local! {
    static THREAD: RefCell<Thread> = const {
        RefCell::new(Thread { serving: Vec::new(), spare: Vec::new() })
    };
}

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

impl ServerSpan {
    const HANDLE: Self = Self { _made_by_layers: () };

    /// The span of the request that the code here serves, if it serves one.
    #[must_use]
    pub fn current() -> Option<Self> {
        Self::HANDLE.with(|_| Self::HANDLE)
    }

    fn with<T>(&self, read: impl FnOnce(&mut Followed) -> T) -> Option<T> {
        THREAD.with_borrow_mut(|thread| thread.serving.last_mut()?.as_mut().as_mut().map(read))
    }

    /// The position to give to whoever continues the trace.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.with(|serving| serving.span.trace()).flatten()
    }

    /// The request as it is kept; `None` where its span is none of this process's own: nothing is
    /// exported here, and the caller's position is handed on.
    #[must_use]
    pub fn call(&self) -> Option<ServedCall> {
        self.with(|serving| {
            let span = &serving.span;
            let trace = span.trace().filter(|_| span.position() != Position::Callers)?;
            let (caller, is_recorded) = (span.parent_span_id(), span.is_recording());
            Some(ServedCall { trace, caller, is_recorded, elapsed: span.elapsed() })
        })
        .flatten()
    }

    /// The context in which this span is the current one.
    #[must_use]
    pub fn cx(&self) -> Context {
        let cx = self.with(|serving| serving.span.cx().clone());
        cx.unwrap_or_else(Context::current)
    }

    /// Sets an attribute, if recording.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.with(|serving| serving.span.set(key, value));
    }

    /// Adds a link, if recording.
    pub fn link(&self, link: SpanLink) {
        self.with(|serving| serving.span.link(link));
    }

    /// Records the span though sampling had dropped it: the request itself asks for its trace. The
    /// context handed out from now on is sampled.
    pub fn promote(&self) {
        self.with(|serving| serving.span.promote(SpanKind::Server, serving.name));
    }
}

/// The span of a call, or the context of a call without one; `None` while it lies on the thread's stack.
#[derive(Debug)]
pub(super) struct CallSpan(Option<Place>);

impl CallSpan {
    /// Of a server: its handler reaches it.
    #[inline]
    pub(super) fn server(span: ActiveSpan, name: &'static str) -> Self {
        Self::new(Followed { span, name, serves: true })
    }

    /// Of a client.
    pub(super) fn client(span: ActiveSpan) -> Self {
        Self::new(Followed { span, name: "", serves: false })
    }

    /// A call that leaves a duration only, in the context of its caller, from `now` on.
    pub(super) fn none(cx: Context, now: Instant) -> Self {
        Self::client(ActiveSpan::without_record(cx, now))
    }

    #[inline]
    fn new(followed: Followed) -> Self {
        let spare = THREAD.try_with(|thread| thread.try_borrow_mut().ok()?.spare.pop());
        let mut place = spare.ok().flatten().unwrap_or_default();
        *place = Some(followed);
        Self(Some(place))
    }

    fn followed(&mut self) -> Option<&mut Followed> {
        self.0.as_mut()?.as_mut().as_mut()
    }

    /// The context in which the call runs.
    pub(super) fn cx(&mut self) -> Context {
        match self.followed() {
            Some(followed) => followed.span.cx().clone(),
            None => Context::current(),
        }
    }

    /// Ends it once, by `tracer`: tells `duration` how long it took and in which context, then what `describe`
    /// says.
    pub(super) fn finish(
        &mut self,
        tracer: &Tracer,
        duration: impl FnOnce(f64, &Context),
        describe: impl FnOnce(&mut ActiveSpan),
    ) {
        // It is never dropped while it is lent.
        let Some(Followed { span, .. }) = self.followed() else { return };
        let took: Duration = span.elapsed();
        duration(took.as_secs_f64(), span.cx());
        if span.is_recording() {
            describe(span);
        }
        span.finish_after(took, tracer);
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        *place = None;
        // Where the thread itself ends, there is nobody to keep it for.
        let _ = THREAD.try_with(|thread| {
            if let Ok(mut thread) = thread.try_borrow_mut()
                && thread.spare.len() < PLACES_SPARE_MAX
            {
                thread.spare.push(place);
            }
        });
    }
}

/// Puts a server span on the thread's stack, and back when dropped.
struct Lent<'a>(Option<&'a mut CallSpan>);

impl<'a> Lent<'a> {
    fn new(call: &'a mut CallSpan) -> Self {
        if !call.followed().is_some_and(|followed| followed.serves) {
            return Self(None);
        }
        THREAD.with_borrow_mut(|thread| thread.serving.extend(call.0.take()));
        Self(Some(call))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(CallSpan(place)) = &mut self.0 {
            *place = THREAD.with_borrow_mut(|thread| thread.serving.pop());
        }
    }
}

/// Runs code of the call in its context.
fn within<T>(call: &mut impl Call, run: impl FnOnce() -> T) -> T {
    let _attached = call.span().cx().attach();
    run()
}

/// Runs code of the handler: as [`within`], with the server span at hand.
fn serving<T>(call: &mut impl Call, run: impl FnOnce() -> T) -> T {
    let _attached = call.span().cx().attach();
    let _lent = Lent::new(call.span());
    run()
}

/// A call that is being followed. It ends when dropped.
pub(super) trait Call: Send + 'static {
    /// Its span.
    fn span(&mut self) -> &mut CallSpan;

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
        let result = ready!(match this.call {
            Some(call) => serving(call, || this.inner.poll(task)),
            None => this.inner.poll(task),
        });
        let mut call = this.call.take();
        match result {
            Ok(response) => {
                if let Some(call) = &mut call {
                    call.responded(response.status(), response.headers());
                }
                if response.body().is_end_stream() {
                    end(&mut call);
                }
                // A body that only hands out what the handler made runs no code of the call.
                let runs_code = call.as_ref().is_some_and(Call::streams)
                    && response.body().size_hint().exact().is_none();
                Poll::Ready(Ok(response.map(|inner| CallBody { inner, call, runs_code })))
            }
            Err(error) => {
                if let Some(mut call) = call {
                    call.failed();
                }
                Poll::Ready(Err(error))
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
        let polled = match this.call {
            Some(call) if *this.runs_code => within(call, || this.inner.as_mut().poll_frame(task)),
            _ => this.inner.as_mut().poll_frame(task),
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
