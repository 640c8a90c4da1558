//! The mean of the largest contrasts of a scale.
//!
//! libvmaf moves the `k` largest to the front by quick-select and adds them up in `f64` in the
//! order they end up in. That order hardly ever matters: a contrast is 0 or an `f32` of at least
//! 1/2, hence a whole multiple of 2^-24, so that sums below 2^29 are exact in any order. A sum that
//! rounds anywhere ends at 2^29 or above (nothing is negative), so the result itself tells whether
//! all was exact. Only then, which takes a very large picture full of bands, is its quick-select
//! done as it does it.
//!
//! The `k`-th largest is found by counting the leading bits of all contrasts and then selecting
//! among those that share the bits in question; where `k` is at least the number of contrasts
//! above 0, as in most pictures, nothing has to be found.

/// Sums below this are exact.
const EXACT_BELOW: f64 = 536_870_912.0;

/// Bits of a contrast that are not counted by.
const KEY_SHIFT: u32 = 14;

/// The bits of 1/2, the least contrast above 0.
const KEY_LEAST: u32 = 0x3f00_0000;

/// Contrasts stay below 2^14: at most 9 times a quarter of 4225.
const KEYS: usize = ((0x4680_0000 - KEY_LEAST) >> KEY_SHIFT) as usize;

/// Independent sums.
const LANES: usize = 16;

/// All contrasts of one scale.
#[derive(Clone, Copy)]
pub(super) struct Contrasts<'a> {
    /// Rows of `stride` values; what is beyond `width` is 0.
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// How many contrasts are above 0, and their sum; exact if below [`EXACT_BELOW`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    counts: [u32; LANES],
    sums: [f64; LANES],
}

impl Totals {
    /// Takes a row in, whose length is a multiple of the lanes.
    #[inline(always)]
    pub(super) fn add(&mut self, values: &[f32]) {
        self.add_above(values, 0.0);
    }

    #[inline(always)]
    fn add_above(&mut self, values: &[f32], limit: f32) {
        let Self { mut counts, mut sums } = *self;
        for values in values.as_chunks::<LANES>().0 {
            for lane in 0..LANES {
                let above = values[lane] > limit;
                counts[lane] += u32::from(above);
                sums[lane] += f64::from(if above { values[lane] } else { 0.0 });
            }
        }
        *self = Self { counts, sums };
    }

    fn count(&self) -> usize {
        self.counts.iter().map(|count| *count as usize).sum()
    }

    fn sum(&self) -> f64 {
        self.sums.iter().sum()
    }
}

/// Buffers of pooling; they grow to the largest picture seen.
#[derive(Debug, Default)]
pub(super) struct PoolBuffers {
    counts: Vec<u32>,
    /// Those that share the leading bits of the `k`-th largest.
    tied: Vec<u32>,
    /// All of them, for the quick-select.
    ordered: Vec<f32>,
}

/// The mean of the `k` largest of all contrasts, whose `totals` are known; `k` is 1 to their number.
/// `found` holds those above 0, and others that fill up whole groups of [`LANES`]. `None` where the
/// sum is not exact in every order: then it is to be had from [`mean_in_order`].
#[inline(always)]
pub(super) fn mean_of_largest(
    found: &[f32],
    totals: &Totals,
    k: usize,
    buffers: &mut PoolBuffers,
) -> Option<f64> {
    let sum = if totals.count() <= k { totals.sum() } else { sum_of_largest(found, k, buffers) };
    (sum < EXACT_BELOW).then(|| sum / k as f64)
}

/// The mean of the `k` largest, added up in the order that libvmaf's quick-select leaves.
pub(super) fn mean_in_order(contrasts: Contrasts<'_>, k: usize, buffers: &mut PoolBuffers) -> f64 {
    let Contrasts { values, stride, width, height } = contrasts;
    let ordered = &mut buffers.ordered;
    ordered.clear();
    for row in values[..stride * height].chunks_exact(stride) {
        ordered.extend_from_slice(&row[..width]);
    }
    quick_select(ordered, k);
    ordered[..k].iter().fold(0.0, |sum, value| sum + f64::from(*value)) / k as f64
}

/// The sum of the `k` largest where more than `k` are above 0; exact if below [`EXACT_BELOW`].
#[inline(always)]
fn sum_of_largest(values: &[f32], k: usize, buffers: &mut PoolBuffers) -> f64 {
    let PoolBuffers { counts, tied, .. } = buffers;
    counts.clear();
    counts.resize(KEYS, 0);
    for value in values {
        if *value > 0.0 {
            counts[key(*value)] += 1;
        }
    }
    let (mut key_of_kth, mut larger) = (KEYS - 1, 0);
    while larger + counts[key_of_kth] as usize <= k {
        larger += counts[key_of_kth] as usize;
        key_of_kth -= 1;
    }
    let least = KEY_LEAST + ((key_of_kth as u32) << KEY_SHIFT);
    let limit = f32::from_bits(least + (1 << KEY_SHIFT) - 1);
    let mut above = Totals::default();
    above.add_above(values, limit);
    let sum = above.sum();
    let missing = k - larger;
    if missing == 0 {
        return sum;
    }
    tied.clear();
    tied.extend(
        values
            .iter()
            .map(|value| value.to_bits())
            .filter(|bits| (bits >> KEY_SHIFT) == least >> KEY_SHIFT),
    );
    tied.select_nth_unstable_by(missing - 1, |a, b| b.cmp(a));
    tied[..missing].iter().fold(sum, |sum, bits| sum + f64::from(f32::from_bits(*bits)))
}

/// Which leading bits a contrast above 0 has.
#[inline(always)]
fn key(value: f32) -> usize {
    ((value.to_bits().wrapping_sub(KEY_LEAST) >> KEY_SHIFT) as usize).min(KEYS - 1)
}

/// Hoare's selection of the `k` largest, step by step as libvmaf does it.
fn quick_select(values: &mut [f32], k: usize) {
    if values.len() == k {
        return;
    }
    let (mut left, mut right) = (0_isize, values.len() as isize - 1);
    while left < right {
        let pivot = values[k];
        let (mut low, mut high) = (left, right);
        while low <= high {
            while values[low as usize] > pivot {
                low += 1;
            }
            while values[high as usize] < pivot {
                high -= 1;
            }
            if low <= high {
                values.swap(low as usize, high as usize);
                low += 1;
                high -= 1;
            }
        }
        if high < k as isize {
            left = low;
        }
        if (k as isize) < low {
            right = high;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(values: &[f32], k: usize) -> f64 {
        let stride = values.len().next_multiple_of(LANES);
        let mut padded = values.to_vec();
        padded.resize(stride, 0.0);
        let contrasts = Contrasts { values: &padded, stride, width: values.len(), height: 1 };
        let mut totals = Totals::default();
        totals.add(&padded);
        let buffers = &mut PoolBuffers::default();
        let mean = mean_of_largest(&padded, &totals, k, buffers);
        let mean = mean.unwrap_or_else(|| mean_in_order(contrasts, k, buffers));
        // Contrasts of 0 need not be there.
        let mut found: Vec<f32> = values.iter().copied().filter(|value| *value > 0.0).collect();
        found.resize(found.len().next_multiple_of(LANES), 0.0);
        if let Some(of_found) = mean_of_largest(&found, &totals, k, buffers) {
            assert_eq!(of_found, mean);
        }
        mean
    }

    /// Contrasts that might be: `p q / (p + q)` of some counts, or 0.
    fn some(count: usize, counts_max: u32, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        (0..count)
            .map(|_| {
                let (p, q) = (next(counts_max) + 1, next(counts_max));
                (p * q) as f32 / (p + q) as f32
            })
            .collect()
    }

    fn by_quick_select(values: &[f32], k: usize) -> f64 {
        let mut ordered = values.to_vec();
        quick_select(&mut ordered, k);
        ordered[..k].iter().fold(0.0, |sum, value| sum + f64::from(*value)) / k as f64
    }

    #[test]
    fn the_mean_is_that_of_a_quick_select() {
        let mut checked = 0;
        for seed in 0..40 {
            for (count, most) in [(1, 9), (2, 9), (33, 3), (100, 40), (1000, 144), (777, 2000)] {
                let values = some(count, most, seed);
                for k in [1, count / 7 + 1, count * 6 / 10, count - 1, count] {
                    if (1..=count).contains(&k) {
                        assert_eq!(pool(&values, k), by_quick_select(&values, k), "{count} {k}");
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked > 1000);
    }

    #[test]
    fn equal_contrasts_are_counted_as_often_as_asked() {
        assert_eq!(pool(&[2.5; 100], 60), 2.5);
        assert_eq!(pool(&[0.0; 100], 60), 0.0);
        assert_eq!(pool(&[0.0, 3.0, 0.0, 3.0, 4.0], 2), 3.5);
        assert_eq!(pool(&[0.0, 3.0, 0.0, 3.0, 4.0], 4), 2.5);
    }

    #[test]
    fn sums_too_large_to_be_exact_are_added_in_the_order_of_the_quick_select() {
        // 600000 contrasts around 1000: above 2^29.
        let values: Vec<f32> =
            some(600_000, 4000, 7).iter().map(|value| value * 1.5 + 0.5).collect();
        let k = 599_000;
        let mean = pool(&values, k);
        assert!(mean * k as f64 > EXACT_BELOW);
        assert_eq!(mean, by_quick_select(&values, k));
    }
}
