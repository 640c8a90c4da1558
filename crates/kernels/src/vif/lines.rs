//! The lines of two rows of a strip, and what a strip leaves of them to the next one.

use super::strip::{LINE, OWN};
use super::taps::REACH_MAX;

/// Lines of a row: the mean, then high and low halves of at most two products.
pub(super) const LINES: usize = 5;

/// Vertical results of two rows.
pub(super) type Lines = [[[u32; LINE]; LINES]; 2];

/// The last pairs of a line, as many as the longest filter of the next strip reaches back to: of
/// one length for all filters, so that it is copied by an instruction and not by a call.
pub(super) type Left = [u32; REACH_MAX];

/// Puts what the last strip left behind before the first `count` lines of both rows. Long before
/// it is read: what is stored in small pieces cannot be loaded as a vector right away.
#[inline(always)]
pub(super) fn take_left(place: usize, count: usize, lines: &mut Lines, left: &[Left]) {
    let left = &left[place * 2 * LINES..][..2 * LINES];
    for (lines, left) in lines.iter_mut().zip(left.chunks_exact(LINES)) {
        for (line, left) in lines.iter_mut().zip(left).take(count) {
            put_left(line, left);
        }
    }
}

/// Leaves the end of the lines to the next strip.
#[inline(always)]
pub(super) fn leave(place: usize, count: usize, lines: &Lines, left: &mut [Left]) {
    let left = &mut left[place * 2 * LINES..][..2 * LINES];
    for (lines, left) in lines.iter().zip(left.chunks_exact_mut(LINES)) {
        for (line, left) in lines.iter().zip(left).take(count) {
            *left = end_of(line);
        }
    }
}

/// Puts what the last strip left before what this one will put into a line.
#[inline(always)]
pub(super) fn put_left(line: &mut [u32; LINE], left: &Left) {
    line[OWN - REACH_MAX..OWN].copy_from_slice(left);
}

/// What a line leaves to the next strip.
#[inline(always)]
pub(super) fn end_of(line: &[u32; LINE]) -> Left {
    let mut left = [0; REACH_MAX];
    left.copy_from_slice(&line[LINE - REACH_MAX..]);
    left
}
