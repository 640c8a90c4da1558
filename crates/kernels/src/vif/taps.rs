//! The low-pass filters of the four scales, as pairs of taps.
//!
//! Each filter is symmetric and sums to 65536. Samples are held in pairs of neighbours (rows or
//! columns 2k and 2k+1), so a filter exists twice: for the even place, whose window starts with a
//! pair, and for the odd place, whose window starts in the middle of the same pair. Both read
//! `REACH + 1` pairs, and the taps beyond the window are zero.

/// The most samples on each side of the middle one.
pub(super) const REACH_MAX: usize = 8;

/// The most pairs that a window covers.
pub(super) const PAIRS_MAX: usize = REACH_MAX + 1;

/// The filter of one scale.
pub(super) trait Taps {
    /// Samples on each side of the middle one; even, so that windows of even places start a pair.
    const REACH: usize;
    /// Pairs that the windows of an even place and of the odd place after it cover.
    const PAIRS: usize = Self::REACH + 1;
    /// Taps of the even place.
    const EVEN: [[i32; 2]; PAIRS_MAX];
    /// Taps of the odd place.
    const ODD: [[i32; 2]; PAIRS_MAX];
}

const fn paired<const N: usize>(taps: [i32; N], start: usize) -> [[i32; 2]; PAIRS_MAX] {
    let mut pairs = [[0; 2]; PAIRS_MAX];
    let mut tap = 0;
    while tap < N {
        pairs[(start + tap) / 2][(start + tap) % 2] = taps[tap];
        tap += 1;
    }
    pairs
}

macro_rules! taps {
    ($(#[$doc:meta] $name:ident: $reach:literal, [$($tap:literal),+];)+) => {$(
        #[$doc]
        pub(super) struct $name;

        impl Taps for $name {
            const REACH: usize = $reach;
            const EVEN: [[i32; 2]; PAIRS_MAX] = paired([$($tap),+], 0);
            const ODD: [[i32; 2]; PAIRS_MAX] = paired([$($tap),+], 1);
        }
    )+};
}

taps! {
    /// Full size.
    Scale0: 8, [
        489, 935, 1640, 2640, 3896, 5274, 6547, 7455, 7784,
        7455, 6547, 5274, 3896, 2640, 1640, 935, 489
    ];
    /// Half size, and the way there.
    Scale1: 4, [1244, 3663, 7925, 12590, 14692, 12590, 7925, 3663, 1244];
    /// Quarter size, and the way there.
    Scale2: 2, [3571, 16004, 26386, 16004, 3571];
    /// Eighth size, and the way there; three taps, with a zero on each side for an even reach.
    Scale3: 2, [0, 10904, 43728, 10904, 0];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Taps>() {
        for taps in [T::EVEN, T::ODD] {
            assert_eq!(taps.iter().flatten().sum::<i32>(), 65_536);
            assert!(taps[T::PAIRS..].iter().flatten().all(|tap| *tap == 0));
        }
        let flat = |taps: [[i32; 2]; PAIRS_MAX]| taps.into_iter().flatten().collect::<Vec<_>>();
        let (even, odd) = (flat(T::EVEN), flat(T::ODD));
        assert_eq!(even[..17], odd[1..]);
        let window = &even[..=2 * T::REACH];
        assert!(window.iter().eq(window.iter().rev()));
        assert_eq!(T::REACH % 2, 0);
    }

    #[test]
    fn filters_are_symmetric_and_sum_to_one() {
        check::<Scale0>();
        check::<Scale1>();
        check::<Scale2>();
        check::<Scale3>();
    }
}
