//! Ranges of values under the window, and whether its sums may be taken in integers.
//!
//! [`window`](super::window) says what is asked of them.

use super::lanes::Lanes;
use super::window::{FACTORS, LINE, LINES};

/// Of a float, the bits of its exponent, those of an exponent of 0, and of one more.
pub(super) const EXPONENT: u32 = 0xff << 23;
pub(super) const EXPONENT_0: u32 = 127 << 23;
pub(super) const EXPONENT_STEP: u32 = 1 << 23;

/// Added to a float's bits, it makes it larger by at least 2^-18 of it: more than the taps' sum
/// exceeds 1, with the rounding of all products.
pub(super) const MARGIN: u32 = 64;

/// The least exponent that values are given, so that units and taps stay far from underflow.
pub(super) const EXPONENT_MIN: u32 = EXPONENT_0 - 40 * EXPONENT_STEP;

/// How far the exponent of the least value may lie below that of the largest.
pub(super) const SPAN: u32 = 3 * EXPONENT_STEP;

/// The bits of the least and of the largest of some values, as signed numbers.
///
/// Those of floats that are not negative are ordered as the floats are, and others fit nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Range {
    least: i32,
    most: i32,
}

impl Range {
    #[inline(always)]
    fn of<V: Lanes>(v: V, values: &[f32; LINE]) -> Self {
        let first = v.bits(v.load(values));
        let (mut least, mut most) = (first, first);
        for at in (V::LANES..LINE).step_by(V::LANES) {
            let bits = v.bits(v.load(&values[at..]));
            least = v.min(least, bits);
            most = v.max(most, bits);
        }
        Self { least: v.least(least) as i32, most: v.most(most) as i32 }
    }

    /// The range of the values of both.
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    /// Where means of values of this range lie. None is below the least value, since the taps add
    /// up to more than 1 by more than is lost by rounding.
    #[inline(always)]
    fn blurred(self) -> Self {
        Self {
            most: self.most.saturating_add(if self.most > 0 { MARGIN as i32 } else { 0 }),
            ..self
        }
    }

    /// Where products of values of this range and of another's lie.
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        let product =
            |a: i32, b: i32| (f32::from_bits(a as u32) * f32::from_bits(b as u32)).to_bits() as i32;
        if self.least < 0 || other.least < 0 {
            return Self { least: i32::MIN, most: i32::MAX };
        }
        Self { least: product(self.least, other.least), most: product(self.most, other.most) }
    }

    /// The exponent for sums in integers, if these values allow them.
    #[inline(always)]
    pub(super) fn exponent(self) -> Option<u32> {
        let exponent = ((self.most as u32).wrapping_add(MARGIN) & EXPONENT).max(EXPONENT_MIN);
        let fits = self.least >= 0
            && (self.most == 0 || self.least as u32 + SPAN >= exponent)
            && exponent < EXPONENT_0 + 60 * EXPONENT_STEP;
        fits.then_some(exponent)
    }
}

/// The ranges of the values of each of [`LINES`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Ranges(pub(super) [Range; LINES]);

impl Ranges {
    /// Of what both pictures' values give.
    #[inline(always)]
    pub(super) fn of<V: Lanes>(v: V, rows: [&[f32; LINE]; 2]) -> Self {
        let pictures = [Range::of(v, rows[0]), Range::of(v, rows[1])];
        let mut ranges = Self::default();
        for line in 0..LINES {
            ranges.0[line] = match FACTORS[line] {
                (first, None) => pictures[first],
                (first, Some(second)) => pictures[first].times(pictures[second]),
            };
        }
        ranges
    }

    /// The ranges of all, of which there is at least one.
    #[inline(always)]
    pub(super) fn of_all(all: &[Self]) -> Self {
        let mut ranges = all[0];
        for other in &all[1..] {
            for line in 0..LINES {
                ranges.0[line] = ranges.0[line].and(other.0[line]);
            }
        }
        ranges
    }

    /// The exponents for sums in integers down lines that were blurred across, where these ranges
    /// of the values before allow them.
    #[inline(always)]
    pub(super) fn exponents_down(&self) -> [Option<u32>; LINES] {
        let mut exponents = [None; LINES];
        for line in 0..LINES {
            exponents[line] = self.0[line].blurred().exponent();
        }
        exponents
    }
}

/// `2^(31 - e)` and `2^(e - 31)` by the exponent's bits.
pub(super) const fn units(exponent: u32) -> [f32; 2] {
    const TOP: u32 = 31 * EXPONENT_STEP;
    [f32::from_bits(2 * EXPONENT_0 + TOP - exponent), f32::from_bits(exponent - TOP)]
}
