//! From luma levels to light, and from light to the levels where banding can be seen.
//!
//! All of it is at ten bits in the limited range: black is level 64, white 940, levels outside
//! count as the nearer of the two. A step of `d` levels up from `v` can be seen when it adds more
//! than the fraction `tvi_threshold` of the luminance at `v`. Luminance is convex enough that this
//! holds for all `v` up to some level, which [`visible_up_to`] finds by halving.

use std::fmt;
use std::str::FromStr;

use crate::elementary::pow;

/// Level of black.
const FOOT: i32 = 64;
/// Level of white.
const HEAD: i32 = 940;
/// The largest level there is, returned where a step can be seen at every level.
const LEVEL_MAX: u16 = 1023;

/// How a display turns levels into light: the electro-optical transfer function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eotf {
    /// ITU-R BT.1886 between 0.01 and 300 candela a square metre.
    #[default]
    Bt1886,
    /// SMPTE ST 2084, the perceptual quantizer, up to 10000 candela a square metre.
    Pq,
}

impl Eotf {
    /// The name used in options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bt1886 => "bt1886",
            Self::Pq => "pq",
        }
    }

    /// Luminance of a signal from 0 to 1.
    fn luminance(self, signal: f64) -> f64 {
        match self {
            Self::Bt1886 => bt1886(signal),
            Self::Pq => pq(signal),
        }
    }
}

impl fmt::Display for Eotf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Eotf {
    type Err = UnknownEotf;

    fn from_str(name: &str) -> Result<Self, UnknownEotf> {
        [Self::Bt1886, Self::Pq]
            .into_iter()
            .find(|eotf| eotf.name() == name)
            .ok_or_else(|| UnknownEotf(name.to_owned()))
    }
}

/// The name is neither `bt1886` nor `pq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEotf(pub String);

impl fmt::Display for UnknownEotf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown transfer function {:?}: expected bt1886 or pq", self.0)
    }
}

impl std::error::Error for UnknownEotf {}

fn bt1886(signal: f64) -> f64 {
    const GAMMA: f64 = 2.4;
    let white = pow(300.0, 1.0 / GAMMA);
    let black = pow(0.01, 1.0 / GAMMA);
    let gain = pow(white - black, GAMMA);
    let lift = black / (white - black);
    gain * pow((signal + lift).max(0.0), GAMMA)
}

fn pq(signal: f64) -> f64 {
    const M1: f64 = 0.159_301_757_812_5;
    const M2: f64 = 78.84375;
    const C1: f64 = 0.8359375;
    const C2: f64 = 18.8515625;
    const C3: f64 = 18.6875;
    let root = pow(signal, 1.0 / M2);
    let numerator = (root - C1).max(0.0);
    10_000.0 * pow(numerator / (C2 - C3 * root), 1.0 / M1)
}

/// Luminance of every level of the limited range.
pub(super) struct Luminances(Vec<f64>);

impl Luminances {
    pub(super) fn new(eotf: Eotf) -> Self {
        let span = f64::from(HEAD - FOOT);
        Self((FOOT..=HEAD).map(|level| eotf.luminance(f64::from(level - FOOT) / span)).collect())
    }

    fn at(&self, level: i32) -> f64 {
        self.0[(level.clamp(FOOT, HEAD) - FOOT) as usize]
    }

    /// The highest level from which a step of `step` levels can still be seen.
    ///
    /// 0 when it cannot be seen from black, [`LEVEL_MAX`] when it can be seen from everywhere.
    pub(super) fn visible_up_to(&self, step: i32, tvi_threshold: f64) -> u16 {
        let visible = |level: i32| {
            let below = self.at(level);
            self.at(level + step) - below > tvi_threshold * below
        };
        let (mut low, mut high) = (FOOT, HEAD - step - 1);
        if !visible(low) {
            return 0;
        }
        if !visible(low + 1) {
            return low as u16;
        }
        if visible(high) {
            return if visible(high + 1) { LEVEL_MAX } else { high as u16 };
        }
        // From here a step from `low + 1` is visible and one from `high` is not.
        loop {
            let middle = low + (high - low) / 2;
            if !visible(middle) {
                high = middle;
            } else if visible(middle + 1) {
                low = middle;
            } else {
                return middle as u16;
            }
        }
    }

    /// The lowest level whose luminance reaches `threshold`, 0 when black already does.
    ///
    /// `None` when not even white does.
    pub(super) fn first_reaching(&self, threshold: f64) -> Option<u16> {
        let place = self.0.iter().position(|luminance| *luminance >= threshold)?;
        Some(if place == 0 { 0 } else { (FOOT as usize + place) as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captured from libvmaf's own functions over glibc 2.36.
    const BT1886_BITS: u64 = 0xc246_960c_75e5_8ea6;
    const PQ_BITS: u64 = 0xdaa7_2cd4_d93e_16ce;

    /// FNV-1a over the bits of all luminances, black to white.
    fn fingerprint(luminances: &[f64]) -> u64 {
        luminances
            .iter()
            .flat_map(|luminance| luminance.to_bits().to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }

    #[test]
    fn luminances_have_the_bits_of_libvmaf_with_glibc() {
        assert_eq!(fingerprint(&Luminances::new(Eotf::Bt1886).0), BT1886_BITS);
        assert_eq!(fingerprint(&Luminances::new(Eotf::Pq).0), PQ_BITS);
    }

    #[test]
    fn the_ends_are_the_displays_black_and_white() {
        let bt1886 = Luminances::new(Eotf::Bt1886);
        // One unit below 0.01, there too.
        let black = 0.009_999_999_999_999_998;
        assert_eq!((bt1886.at(0), bt1886.at(64)), (black, black));
        assert_eq!((bt1886.at(940), bt1886.at(1023)), (300.0, 300.0));
        let pq = Luminances::new(Eotf::Pq);
        assert_eq!((pq.at(64), pq.at(940)), (0.0, 10_000.0));
    }

    #[test]
    fn steps_are_visible_up_to_the_levels_that_libvmaf_finds() {
        let bt1886 = Luminances::new(Eotf::Bt1886);
        let levels = |threshold| [1, 2, 3, 4].map(|step| bt1886.visible_up_to(step, threshold));
        assert_eq!(levels(0.019), [178, 305, 432, 559]);
        assert_eq!(levels(0.0001), [1023; 4]);
        assert_eq!(levels(0.06), [92, 133, 173, 214]);
        assert_eq!(levels(1.0), [0; 4]);
        let pq = Luminances::new(Eotf::Pq);
        let levels = |threshold| [1, 2, 3, 4].map(|step| pq.visible_up_to(step, threshold));
        assert_eq!(levels(0.06), [101, 154, 224, 321]);
    }

    #[test]
    fn thresholds_of_luminance_become_levels() {
        let bt1886 = Luminances::new(Eotf::Bt1886);
        assert_eq!(bt1886.first_reaching(0.0), Some(0));
        assert_eq!(bt1886.first_reaching(0.01), Some(65));
        assert_eq!(bt1886.first_reaching(0.06), Some(78));
        assert_eq!(bt1886.first_reaching(300.0), Some(940));
        assert_eq!(bt1886.first_reaching(300.1), None);
        let pq = Luminances::new(Eotf::Pq);
        assert_eq!(pq.first_reaching(0.0), Some(0));
        assert_eq!(pq.first_reaching(300.0), Some(609));
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for eotf in [Eotf::Bt1886, Eotf::Pq] {
            assert_eq!(eotf.to_string().parse(), Ok(eotf));
        }
        assert_eq!("PQ".parse::<Eotf>(), Err(UnknownEotf("PQ".to_owned())));
    }
}
