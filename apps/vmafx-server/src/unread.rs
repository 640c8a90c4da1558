//! Per-frame values on their way to callers: a bounded number of bytes.
//!
//! An answer with millions of values lies in memory until its caller has read it, however slow that
//! is, and holds no slot meanwhile. So there is a budget for all of them together. An answer that does not
//! fit leaves without its per-frame values, and says so: its scores are done and small.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of answers that may lie unread unless told otherwise: four of the largest.
pub const UNREAD_BYTES_MAX_DEFAULT: NonZeroUsize = NonZeroUsize::new(256 << 20).unwrap();

/// The most that may be asked for.
pub const UNREAD_BYTES_LIMIT: usize = 1 << 40;

/// An answer this small is not counted: what a connection holds anyway is more.
pub(crate) const SMALL_BYTES_MAX: usize = 64 << 10;

/// What is counted in: a permit.
const UNIT_BYTES: usize = 1 << 10;

/// The budget.
#[derive(Debug)]
pub(crate) struct Unread {
    units: Arc<Semaphore>,
    bytes_max: usize,
}

/// A share of the budget, given back when the last clone is gone.
#[derive(Debug, Clone)]
pub(crate) struct Kept(
    #[expect(dead_code, reason = "it counts until it is dropped")] Arc<OwnedSemaphorePermit>,
);

impl Unread {
    pub(crate) fn new(bytes_max: NonZeroUsize) -> Self {
        let bytes_max = bytes_max.get();
        let units = (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), bytes_max }
    }

    pub(crate) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Takes the share of an answer of so many bytes; `None` where so much is not left now.
    pub(crate) fn keep(&self, bytes: usize) -> Option<Kept> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some(Kept(Arc::new(permit)))
    }
}

/// A body whose bytes count until the connection has written them, wherever they wait meanwhile.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    body: B,
    kept: Kept,
}

impl<B> Counted<B> {
    pub(crate) const fn new(body: B, kept: Kept) -> Self {
        Self { body, kept }
    }
}

/// Bytes that take their share with them.
struct Share {
    bytes: Bytes,
    _kept: Kept,
}

impl AsRef<[u8]> for Share {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let share = |bytes| Bytes::from_owner(Share { bytes, _kept: self.kept.clone() });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(share))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_given_back_with_the_last_of_its_bytes() {
        let unread = Unread::new(NonZeroUsize::new(100 << 10).expect("some"));
        let kept = unread.keep(60 << 10).expect("room");
        assert!(unread.keep(60 << 10).is_none(), "no room for a second");
        assert!(unread.keep(40 << 10).is_some());
        let mut body = Counted::new(axum::body::Body::from("abc"), kept);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) else {
            panic!("it is there")
        };
        drop(body);
        let mut bytes = frame.into_data().expect("bytes");
        let rest = bytes.split_off(1);
        drop(bytes);
        assert!(unread.keep(60 << 10).is_none(), "some of it is not written yet");
        assert_eq!(rest, "bc");
        drop(rest);
        assert!(unread.keep(100 << 10).is_some(), "all is free again");
        assert!(unread.keep(usize::MAX).is_none());
    }
}
