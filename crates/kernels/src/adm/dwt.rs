//! One row of the two-dimensional wavelet transform (Daubechies, 2 vanishing moments, 4 taps).
//!
//! A row of the four subbands comes from four input rows: first down the columns (low and high
//! pass), then along the two rows that gives. The vertical pass writes samples of even and of odd
//! position apart, so that the horizontal pass reads four plain runs.
//!
//! Rounding: every pass adds half a unit and shifts right, arithmetically; the shifts differ by
//! scale (see the [`Stage`]s). Range: the magnitudes of the taps add up to 54,822, so
//! - scale 0: the subbands stay within +-27,411 for any input, because the vertical result is
//!   clamped to 16 bits (which changes nothing for samples within their bit depth);
//! - scales 1 to 3: for samples within their bit depth all results stay below 2^31 (at most 2.11e9,
//!   in the subbands of scale 1). For others they wrap, and the scores mean nothing.

use super::geometry::{Axis, TAPS};

/// The low-pass taps; 16 fractional bits.
pub(super) const LOW: [i32; TAPS] = [15_826, 27_411, 7_345, -4_240];
/// The high-pass taps; they add up to zero.
pub(super) const HIGH: [i32; TAPS] = [-4_240, -7_345, 27_411, -15_826];
/// What the low-pass taps add up to.
#[cfg(target_arch = "x86_64")]
pub(super) const LOW_SUM: i32 = 46_342;

/// A sample of a picture or a coefficient of a coarser band, as the transform reads it.
pub(super) trait Sample: Copy {
    /// The plain value.
    fn value(self) -> i32;
}

macro_rules! samples {
    ($($ty:ty),+) => {$(
        impl Sample for $ty {
            #[inline(always)]
            #[allow(clippy::unnecessary_cast, reason = "one body for all widths")]
            fn value(self) -> i32 {
                self as i32
            }
        }
    )+};
}
samples!(u8, u16, i16, i32);

/// A coefficient of a low-pass band as it is kept for the next scale.
pub(super) trait Coefficient: Sample {
    /// The stored form of `value`, which fits by the range of the stage that makes it.
    fn store(value: i32) -> Self;
}

impl Coefficient for i16 {
    #[inline(always)]
    fn store(value: i32) -> Self {
        value as i16
    }
}

impl Coefficient for i32 {
    #[inline(always)]
    fn store(value: i32) -> Self {
        value
    }
}

/// The arithmetic of one scale: sums of products, rounding and shifts of both passes.
pub(super) trait Stage: Copy {
    /// Low-pass and high-pass result down a column.
    fn vertical(self, samples: [i32; TAPS]) -> (i32, i32);
    /// Low-pass and high-pass result along a row.
    fn horizontal(self, samples: [i32; TAPS]) -> (i32, i32);
}

#[inline(always)]
fn sum32(samples: [i32; TAPS], taps: [i32; TAPS]) -> i32 {
    let [a, b, c, d] = samples;
    let products = [
        a.wrapping_mul(taps[0]),
        b.wrapping_mul(taps[1]),
        c.wrapping_mul(taps[2]),
        d.wrapping_mul(taps[3]),
    ];
    products[0].wrapping_add(products[1]).wrapping_add(products[2].wrapping_add(products[3]))
}

#[inline(always)]
fn sum64(samples: [i32; TAPS], taps: [i32; TAPS]) -> i64 {
    let product = |tap: usize| i64::from(samples[tap]) * i64::from(taps[tap]);
    product(0) + product(1) + (product(2) + product(3))
}

/// Scale 0: samples of any bit depth, 16-bit results.
///
/// Samples are centred, so that 16 bits hold them and 32 their sums; the high-pass taps add up to
/// zero and do not notice. Results that samples beyond the bit depth take out of 16 bits are clamped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    /// Bits of a sample.
    pub(super) bit_depth: u32,
}

impl Stage for Picture {
    #[inline(always)]
    fn vertical(self, samples: [i32; TAPS]) -> (i32, i32) {
        let half = 1_i32 << (self.bit_depth - 1);
        let centred = samples.map(|sample| i32::from(sample.wrapping_sub(half) as i16));
        let round = |sum: i32| {
            let shifted = sum.wrapping_add(half) >> self.bit_depth;
            shifted.clamp(i16::MIN.into(), i16::MAX.into())
        };
        (round(sum32(centred, LOW)), round(sum32(centred, HIGH)))
    }

    #[inline(always)]
    fn horizontal(self, samples: [i32; TAPS]) -> (i32, i32) {
        let round = |sum: i32| i32::from((sum.wrapping_add(1 << 15) >> 16) as i16);
        (round(sum32(samples, LOW)), round(sum32(samples, HIGH)))
    }
}

/// Scale 1: 16-bit coefficients in, no shift down the columns, 15 along the rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second;

impl Stage for Second {
    #[inline(always)]
    fn vertical(self, samples: [i32; TAPS]) -> (i32, i32) {
        (sum32(samples, LOW), sum32(samples, HIGH))
    }

    #[inline(always)]
    fn horizontal(self, samples: [i32; TAPS]) -> (i32, i32) {
        rounded::<15>(samples)
    }
}

/// Scales 2 and 3: 16 bits down the columns, `ALONG` along the rows (16 and 15).
#[derive(Clone, Copy, Debug)]
pub(super) struct Deep<const ALONG: u32>;

impl<const ALONG: u32> Stage for Deep<ALONG> {
    #[inline(always)]
    fn vertical(self, samples: [i32; TAPS]) -> (i32, i32) {
        rounded::<16>(samples)
    }

    #[inline(always)]
    fn horizontal(self, samples: [i32; TAPS]) -> (i32, i32) {
        rounded::<ALONG>(samples)
    }
}

#[inline(always)]
fn rounded<const SHIFT: u32>(samples: [i32; TAPS]) -> (i32, i32) {
    let round = |sum: i64| ((sum + (1 << (SHIFT - 1))) >> SHIFT) as i32;
    (round(sum64(samples, LOW)), round(sum64(samples, HIGH)))
}

/// A plane that the transform reads: only the part from `row0`, `column0` on is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a, S> {
    /// Samples, row after row.
    pub(super) samples: &'a [S],
    /// Samples from row to row.
    pub(super) stride: usize,
    /// Row of the picture or band that the first sample belongs to.
    pub(super) row0: usize,
    /// Column of the picture or band that the first sample belongs to.
    pub(super) column0: usize,
}

impl<'a, S: Sample> Source<'a, S> {
    #[inline(always)]
    fn row(&self, row: usize, columns: &std::ops::Range<usize>) -> &'a [S] {
        let start = (row - self.row0) * self.stride + columns.start - self.column0;
        &self.samples[start..start + columns.len()]
    }
}

/// A row of even and one of odd positions, between the two passes.
///
/// Entry `k` holds position `2 (first + k - 1)`, or the odd position after it, where `first` is the
/// first output position made: one entry more than the outputs on either side.
#[derive(Clone, Debug, Default)]
struct Split {
    even: Vec<i32>,
    odd: Vec<i32>,
}

impl Split {
    fn fit(&mut self, outputs: usize) {
        self.even.resize(outputs + 2, 0);
        self.odd.resize(outputs + 2, 0);
    }

    fn at(&self, position: usize, first: usize) -> i32 {
        let entry = position / 2 + 1 - first;
        if position.is_multiple_of(2) { self.even[entry] } else { self.odd[entry] }
    }

    /// Sets what the taps of the outermost outputs read beyond the input.
    fn extend(&mut self, axis: &Axis) {
        let first = axis.made.start;
        if first == 0 {
            self.odd[0] = self.at(axis.tap(0, 0), first);
        }
        let last = axis.made.end - 1;
        let entry = last + 1 - first;
        if 2 * last + 1 >= axis.input {
            self.odd[entry] = self.at(axis.tap(last, 2), first);
        }
        if 2 * last + 2 >= axis.input {
            self.even[entry + 1] = self.at(axis.tap(last, 3), first);
        }
    }

    /// The four runs under the taps of outputs `0..outputs`.
    #[inline(always)]
    fn taps(&self, outputs: usize) -> [&[i32]; TAPS] {
        [
            &self.odd[..outputs],
            &self.even[1..=outputs],
            &self.odd[1..=outputs],
            &self.even[2..outputs + 2],
        ]
    }
}

/// One row of the three detail bands of a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct DetailRow {
    /// Horizontal, vertical, diagonal; entry `k` is coefficient `made.start + k`.
    pub(super) bands: [Vec<i32>; 3],
    low: Split,
    high: Split,
}

impl DetailRow {
    /// Makes room for the outputs of `axis`.
    pub(super) fn fit(&mut self, axis: &Axis) {
        let outputs = axis.made.len();
        for band in &mut self.bands {
            band.resize(outputs, 0);
        }
        self.low.fit(outputs);
        self.high.fit(outputs);
    }

    /// Transforms the input rows under output row `row`, leaving the low-pass band in `low_band`.
    #[inline(always)]
    pub(super) fn transform<S: Sample, C: Coefficient, T: Stage>(
        &mut self,
        stage: T,
        source: &Source<'_, S>,
        axes: [&Axis; 2],
        row: usize,
        low_band: &mut [C],
    ) {
        let [columns, rows] = axes;
        let inputs: [&[S]; TAPS] =
            std::array::from_fn(|tap| source.row(rows.tap(row, tap), &columns.read));
        let skipped = columns.pairs().start + 1 - columns.made.start;
        let whole = columns.read.len() / 2;
        vertical_pairs(
            stage,
            inputs,
            [
                &mut self.low.even[skipped..skipped + whole],
                &mut self.low.odd[skipped..skipped + whole],
                &mut self.high.even[skipped..skipped + whole],
                &mut self.high.odd[skipped..skipped + whole],
            ],
        );
        if let Some(last) = columns.read.len().checked_sub(1).filter(|last| last % 2 == 0) {
            let (low, high) = stage.vertical(inputs.map(|input| input[last].value()));
            self.low.even[skipped + whole] = low;
            self.high.even[skipped + whole] = high;
        }
        self.low.extend(columns);
        self.high.extend(columns);

        let outputs = columns.made.len();
        let [horizontal, vertical, diagonal] = &mut self.bands;
        along(stage, self.low.taps(outputs), low_band, vertical);
        along(stage, self.high.taps(outputs), horizontal, diagonal);
    }
}

#[inline(always)]
fn vertical_pairs<S: Sample, T: Stage>(stage: T, inputs: [&[S]; TAPS], outputs: [&mut [i32]; 4]) {
    let [low_even, low_odd, high_even, high_odd] = outputs;
    let pairs = low_even.len();
    let inputs = inputs.map(|input| &input[..2 * pairs]);
    let (low_odd, high_even) = (&mut low_odd[..pairs], &mut high_even[..pairs]);
    let high_odd = &mut high_odd[..pairs];
    for pair in 0..pairs {
        let even = inputs.map(|input| input[2 * pair].value());
        let odd = inputs.map(|input| input[2 * pair + 1].value());
        (low_even[pair], high_even[pair]) = stage.vertical(even);
        (low_odd[pair], high_odd[pair]) = stage.vertical(odd);
    }
}

#[inline(always)]
fn along<C: Coefficient, T: Stage>(
    stage: T,
    taps: [&[i32]; TAPS],
    low: &mut [C],
    high: &mut [i32],
) {
    let outputs = low.len();
    let taps = taps.map(|run| &run[..outputs]);
    let high = &mut high[..outputs];
    for at in 0..outputs {
        let (low_value, high_value) = stage.horizontal(taps.map(|run| run[at]));
        low[at] = C::store(low_value);
        high[at] = high_value;
    }
}
