//! What a thread keeps of calls that ended, for further calls of their kind.
//!
//! What is noted of a call lies on the heap, so that its future and its body, which are moved often,
//! carry one pointer. To ask for memory for every call would cost more than that saves, so a thread uses
//! it again, with all that may stay: the handle of the layer, which is then not counted anew, and the
//! place of the span. So a layer may live as long as the threads that served it.

use std::sync::Arc;
use std::thread::LocalKey;

use crate::spare::Spare;

/// What is noted of a call.
pub(super) trait Notes: Sized + 'static {
    /// What the calls of a layer share.
    type Shared: 'static;

    /// Where each thread keeps it.
    fn spare() -> &'static LocalKey<Spare<Self>>;

    /// Notes of no call yet. Apart, because few are made.
    fn of_no_call(shared: &Arc<Self::Shared>) -> Box<Self>;

    /// The handle of the layer.
    fn shared(&mut self) -> &mut Arc<Self::Shared>;

    /// Notes for a call of this layer: what an earlier call left, where there is that.
    #[inline]
    fn for_call(shared: &Arc<Self::Shared>) -> Box<Self> {
        let kept = Self::spare().try_with(Spare::take).ok().flatten();
        let mut notes = kept.unwrap_or_else(|| Self::of_no_call(shared));
        if !Arc::ptr_eq(notes.shared(), shared) {
            *notes.shared() = Arc::clone(shared);
        }
        notes
    }

    /// Keeps it, unless there is enough or the thread is about to end.
    #[inline]
    fn keep(self: Box<Self>) {
        let _ = Self::spare().try_with(|spare| spare.keep(self));
    }
}
