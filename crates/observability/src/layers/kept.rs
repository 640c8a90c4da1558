//! What a thread keeps of calls that ended, for further calls of their kind.
//!
//! What is noted of a call lies on the heap, so that its future and its body, which are moved often,
//! carry one pointer. To ask for memory for every call would cost more than that saves, so a thread uses
//! it again, with all that may stay: the handle of the layer, which is then not counted anew, and the
//! place of the span. So a layer may live as long as the threads that served it.

use std::cell::RefCell;
use std::thread::LocalKey;

/// Calls of a kind for which a thread keeps memory.
const SPARE_MAX: usize = 64;

/// The memory of calls of a kind that ended on a thread.
pub(super) struct Spare<T>(RefCell<Vec<Box<T>>>);

impl<T> Spare<T> {
    pub(super) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }
}

/// What is noted of a call.
pub(super) trait Notes: Sized + 'static {
    /// Where each thread keeps it.
    fn spare() -> &'static LocalKey<Spare<Self>>;

    /// What a call left, if there is one.
    #[inline]
    fn take() -> Option<Box<Self>> {
        Self::spare().try_with(|spare| spare.0.try_borrow_mut().ok()?.pop()).ok().flatten()
    }

    /// Keeps it, unless there is enough or the thread is about to end.
    #[inline]
    fn keep(self: Box<Self>) {
        let _ = Self::spare().try_with(|spare| {
            if let Ok(mut spare) = spare.0.try_borrow_mut()
                && spare.len() < SPARE_MAX
            {
                spare.push(self);
            }
        });
    }
}
