//! Aligned runs of values, so that no vector of any instruction set lies across two cache lines.

/// Values of a block: a whole number of vectors of every instruction set.
pub(super) const BLOCK: usize = 64;

/// A run of [`BLOCK`] values at the start of a cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Block<T>(pub(super) [T; BLOCK]);

impl<T: Copy + Default> Default for Block<T> {
    fn default() -> Self {
        Self([T::default(); BLOCK])
    }
}

/// An array at the start of a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Aligned<A>(pub(super) A);

/// Blocks that hold `len` values.
pub(super) const fn blocks(len: usize) -> usize {
    len.div_ceil(BLOCK)
}

/// How many values of a run lie before the first cache line that begins in it, at most
/// [`BEFORE_LINE_MAX`].
pub(super) fn before_line(run: &[f32]) -> usize {
    run.as_ptr().align_offset(64).min(BEFORE_LINE_MAX)
}

/// See [`before_line`].
pub(super) const BEFORE_LINE_MAX: usize = 15;

/// Makes `buffer` hold at least `len` blocks.
pub(super) fn grow<T: Copy + Default>(buffer: &mut Vec<Block<T>>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, Block::default());
    }
}
