//! What all layers share: the future and the body through which a call is followed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, Value};
use pin_project_lite::pin_project;
use types::TraceContext;

use crate::span::{ActiveSpan, SpanLink};

/// The span of the request being served, among the request's extensions. Cheap to clone; after the
/// response has ended it changes nothing any more.
#[derive(Debug, Clone)]
pub struct ServerSpan {
    span: Arc<Mutex<ActiveSpan>>,
    name: Arc<str>,
}

impl ServerSpan {
    pub(super) fn new(span: ActiveSpan, name: Arc<str>) -> Self {
        Self { span: Arc::new(Mutex::new(span)), name }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ActiveSpan> {
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position to give to whoever continues the trace.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.lock().trace()
    }

    /// The context in which this span is the current one.
    #[must_use]
    pub fn cx(&self) -> Context {
        self.lock().cx().clone()
    }

    /// Sets an attribute, if recording.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.lock().set(key, value);
    }

    /// Adds a link, if recording.
    pub fn link(&self, link: SpanLink) {
        self.lock().link(link);
    }

    /// Records the span though sampling had dropped it: the request itself asks for its trace. The
    /// context handed out from now on is sampled.
    pub fn promote(&self) {
        self.lock().promote(SpanKind::Server, self.name.to_string());
    }
}

/// A call that is being followed. It ends when dropped.
pub(super) trait Call: Send + 'static {
    /// The context in which the call runs.
    fn cx(&self) -> Context;

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
        let attached = this.call.as_ref().map(|call| call.cx().attach());
        let result = ready!(this.inner.poll(task));
        drop(attached);
        let mut call = this.call.take();
        match result {
            Ok(response) => {
                if let Some(call) = &mut call {
                    call.responded(response.status(), response.headers());
                }
                if response.body().is_end_stream() {
                    end(&mut call);
                }
                Poll::Ready(Ok(response.map(|inner| CallBody { inner, call })))
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
    if let Some(mut call) = call.take() {
        call.completed();
    }
}

pin_project! {
    /// The body of a response that is followed to its end.
    pub struct CallBody<B, C> {
        #[pin]
        inner: B,
        call: Option<C>,
    }
}

impl<B, C> fmt::Debug for CallBody<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallBody").field("followed", &self.call.is_some()).finish_non_exhaustive()
    }
}

impl<B: Default, C> Default for CallBody<B, C> {
    fn default() -> Self {
        Self { inner: B::default(), call: None }
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
        let attached = this.call.as_ref().map(|call| call.cx().attach());
        let frame = ready!(this.inner.as_mut().poll_frame(task));
        drop(attached);
        match &frame {
            None => end(this.call),
            Some(Ok(frame)) => {
                if let (Some(call), Some(trailers)) = (this.call.as_mut(), frame.trailers_ref()) {
                    call.trailers(trailers);
                    end(this.call);
                } else if this.inner.is_end_stream() {
                    end(this.call);
                }
            }
            Some(Err(_)) => {
                if let Some(mut call) = this.call.take() {
                    call.failed();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
