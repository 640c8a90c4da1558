//! Sizes of pictures that suites of kernels walk.

/// Widths, from the least at which libvmaf's features are all defined.
pub const WIDTHS: std::ops::RangeInclusive<usize> = 33..=129;

/// Heights.
pub const HEIGHTS: std::ops::RangeInclusive<usize> = 33..=97;

/// How many sizes the lattice has.
pub const SIZES: usize = 97 * 65;

/// As many of its first sizes as have each width and each height, and every pair of odd and even.
pub const SIDES: usize = 194;

/// The sizes of clips that people score, which the lattice is too small for.
pub const REAL: [(usize, usize); 2] = [(576, 324), (1920, 1080)];

/// Every pair of [`WIDTHS`] and [`HEIGHTS`], once each.
///
/// Width and height go up together and begin again by themselves: 97 and 65 have no common divisor.
pub fn sizes() -> impl Iterator<Item = (usize, usize)> {
    let [width, height] = [WIDTHS, HEIGHTS].map(|range| *range.start());
    (0..SIZES).map(move |at| (width + at % 97, height + at % 65))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pair_of_sides_comes_once_and_every_side_early() {
        let all: BTreeSet<_> = sizes().collect();
        let every = WIDTHS.flat_map(|width| HEIGHTS.map(move |height| (width, height)));
        assert_eq!(all, every.collect());
        assert_eq!(all.len(), SIZES);
        let early = || sizes().take(SIDES);
        assert_eq!(early().map(|size| size.0).collect::<BTreeSet<_>>(), WIDTHS.collect());
        assert_eq!(early().map(|size| size.1).collect::<BTreeSet<_>>(), HEIGHTS.collect());
        let parities: BTreeSet<_> =
            early().map(|(width, height)| (width % 2, height % 2)).collect();
        assert_eq!(parities.len(), 4);
    }
}
