//! How rows enter a ring: pairs of samples of two rows, and of products, each computed once.
//!
//! Vectors hold even and odd columns by turns; see `walk`.

use super::fir::FLIP;
use super::kit::Kit;
use super::source::{Source, View};
use super::stream::{RUNS, Stream};
use super::strip::{STRIP, Strip};
use super::taps::Taps;
use super::walk::{Rows, Task};
use crate::border::reflect;

/// Reads two rows of all pictures into their rings.
#[inline(always)]
pub(super) fn fill_slots<S: Source, T: Taps, K: Kit>(
    kit: K,
    task: &Task<'_>,
    strip: Strip,
    pair_index: usize,
    reference: &mut Stream,
    distorted: &mut [Stream],
    rows: &mut Rows,
) {
    let top = 2 * pair_index as isize - T::REACH as isize;
    let slot = pair_index % T::PAIRS;
    let view = S::view(task.reference, &reference.shrunk, task.scale);
    read_rows(task, strip, view, top, rows);
    let reference = &mut reference.buffers.ring[slot].0;
    fill_slot::<S, K>(kit, task, rows, strip.columns, None, reference);
    for (plane, stream) in task.distorted.iter().zip(distorted) {
        let view = S::view(plane, &stream.shrunk, task.scale);
        read_rows(task, strip, view, top, rows);
        let slot = &mut stream.buffers.ring[slot].0;
        fill_slot::<S, K>(kit, task, rows, strip.columns, Some(&reference[0]), slot);
    }
}

/// Reads rows `top` and the one below, which may be outside the picture, and asks for the next two.
#[inline(always)]
fn read_rows<S: Copy + Into<u16>>(
    task: &Task<'_>,
    strip: Strip,
    view: View<'_, S>,
    top: isize,
    rows: &mut Rows,
) {
    for (offset, words) in rows.iter_mut().enumerate() {
        let row = top + offset as isize;
        let start = (reflect(row, task.height()) - view.first_row) * view.stride;
        strip.read(&view.samples[start..][..task.width()], words);
        strip.prefetch(view, row + 2);
    }
}

/// Makes a slot of two rows: pairs of samples, then of their squares, then of their products with
/// `others`, the pairs of the reference.
#[inline(always)]
fn fill_slot<S: Source, K: Kit>(
    kit: K,
    task: &Task<'_>,
    [top, bottom]: &Rows,
    columns: usize,
    others: Option<&[u32; STRIP]>,
    slot: &mut [[u32; STRIP]; RUNS],
) {
    let [samples, products @ ..] = slot;
    for at in (0..columns.min(STRIP)).step_by(2 * K::LANES) {
        let (top, bottom) = (kit.load_pairs(&top[at..]), kit.load_pairs(&bottom[at..]));
        let halves = [kit.low_words(top, bottom), kit.high_words(top, bottom)];
        for (half, pairs) in halves.into_iter().enumerate() {
            let at = at + half * K::LANES;
            kit.store(flipped::<S, K>(kit, pairs), &mut samples[at..]);
            if !task.measured {
                continue;
            }
            put_products::<S, K>(kit, pairs, pairs, at, &mut products[..S::PARTS]);
            if let Some(others) = others {
                let others = flipped::<S, K>(kit, kit.load(&others[at..]));
                put_products::<S, K>(kit, pairs, others, at, &mut products[S::PARTS..]);
            }
        }
    }
}

/// Samples as the filters take them, or the other way round.
#[inline(always)]
fn flipped<S: Source, K: Kit>(kit: K, pairs: K::Words) -> K::Words {
    if S::WIDE { kit.xor(pairs, kit.splat(FLIP)) } else { pairs }
}

/// Stores the parts of products: only the low half, or the high and the low one.
#[inline(always)]
fn put_products<S: Source, K: Kit>(
    kit: K,
    a: K::Words,
    b: K::Words,
    at: usize,
    runs: &mut [[u32; STRIP]],
) {
    let low = kit.xor(kit.mul_low(a, b), kit.splat(FLIP));
    if S::PARTS == 2 {
        kit.store(kit.xor(kit.mul_high(a, b), kit.splat(FLIP)), &mut runs[0][at..]);
    }
    kit.store(low, &mut runs[S::PARTS - 1][at..]);
}
