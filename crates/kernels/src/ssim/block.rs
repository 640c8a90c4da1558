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

/// Makes `buffer` hold at least `len` blocks.
pub(super) fn grow<T: Copy + Default>(buffer: &mut Vec<Block<T>>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, Block::default());
    }
}
