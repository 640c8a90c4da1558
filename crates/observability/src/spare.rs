//! Memory that a thread keeps to use it again.

use std::cell::RefCell;

/// Pieces of a kind that a thread keeps.
const SPARE_MAX: usize = 64;

/// What a thread keeps of a kind.
pub(crate) struct Spare<T>(RefCell<Vec<Box<T>>>);

impl<T> Spare<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// A piece that was kept, if there is one.
    #[inline]
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.0.try_borrow_mut().ok()?.pop()
    }

    /// Keeps a piece, unless there are enough.
    #[inline]
    pub(crate) fn keep(&self, piece: Box<T>) {
        if let Ok(mut spare) = self.0.try_borrow_mut()
            && spare.len() < SPARE_MAX
        {
            spare.push(piece);
        }
    }
}
