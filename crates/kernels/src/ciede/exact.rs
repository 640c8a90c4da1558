//! The colour difference of one pair of pixels, as it is defined.
//!
//! Every step is as libvmaf has it: what is computed in `f64` and what in `f32`, in which order, and
//! where it is rounded. Functions are right to the last place of `f64` ([`super::dd`]).

use std::f64::consts::PI;

use super::dd::{Dd, atan2, cos, exp, pow, sin};
use super::fused::AlwaysFused;
use super::power7::power7;

/// Luma, Cb and Cr of the reference's and the distorted pixel.
pub(super) type Colours = [[u16; 3]; 2];

/// Parametric factors of lightness and hue; that of chroma is 1.
pub(super) const LIGHTNESS_FACTOR: f32 = 0.65;
pub(super) const HUE_FACTOR: f32 = 4.0;
/// 25^7, as `f64` and as `f32` have it.
pub(super) const CHROMA_KNEE: f64 = 6_103_515_625.0;
pub(super) const CHROMA_KNEE_SINGLE: f32 = 6_103_515_625.0;
/// Above it, a component is linear after a power of 2.4.
pub(super) const LINEAR_MAX: f64 = 10.0 / 255.0;
/// Above it, lightness goes with the cube root.
pub(super) const ROOT_MIN: f64 = 216.0 / 24_389.0;

/// A pixel's lightness and its two colour axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lab {
    pub(super) l: f32,
    pub(super) a: f32,
    pub(super) b: f32,
}

/// From studio range to red, green and blue, not yet linear.
#[inline(always)]
pub(super) fn rgb([y, u, v]: [f64; 3], bit_depth: u32) -> [f64; 3] {
    let scale = f64::from(1_u32 << (bit_depth - 8));
    let y = (y - 16.0 * scale) * (1.0 / (219.0 * scale));
    let u = (u - 128.0 * scale) * (1.0 / (224.0 * scale));
    let v = (v - 128.0 * scale) * (1.0 / (224.0 * scale));
    [y + 1.28033 * v, y - 0.21482 * u - 0.38059 * v, y + 2.12798 * u]
}

/// What is raised to the power of 2.4 above [`LINEAR_MAX`].
#[inline(always)]
pub(super) fn curved(component: f64) -> f64 {
    (component + 0.055) * (1.0 / 1.055)
}

/// What stands for that power below.
#[inline(always)]
pub(super) fn straight(component: f64) -> f64 {
    component * (1.0 / 12.92)
}

/// X, Y and Z, relative to white.
#[inline(always)]
pub(super) fn xyz([r, g, b]: [f64; 3]) -> [f64; 3] {
    let x = r * 0.412_456_439_089_692_1 + g * 0.357_576_077_643_909 + b * 0.180_437_483_266_398_94;
    let y = r * 0.212_672_851_405_622_48 + g * 0.715_152_155_287_818 + b * 0.072_174_993_306_559_58;
    let z = r * 0.019_333_895_582_329_317 + g * 0.119_192_025_881_303 + b * 0.950_304_078_536_367_7;
    [x * (1.0 / 0.95047), y, z * (1.0 / 1.08883)]
}

/// What stands for the cube root below [`ROOT_MIN`].
#[inline(always)]
pub(super) fn below_root(component: f64) -> f64 {
    (24_389.0 / 27.0 * component + 16.0) * (1.0 / 116.0)
}

/// From the roots of X, Y and Z.
#[inline(always)]
pub(super) fn lab(roots: [f32; 3]) -> Lab {
    let [x, y, z] = roots.map(f64::from);
    Lab { l: (116.0 * y - 16.0) as f32, a: (500.0 * (x - y)) as f32, b: (200.0 * (y - z)) as f32 }
}

fn lab_of(pixel: [u16; 3], bit_depth: u32) -> Lab {
    let linear = rgb(pixel.map(f64::from), bit_depth).map(|component| {
        if component > LINEAR_MAX { pow(curved(component), 2.4) } else { straight(component) }
    });
    lab(xyz(linear).map(|component| {
        let root =
            if component > ROOT_MIN { pow(component, 1.0 / 3.0) } else { below_root(component) };
        root as f32
    }))
}

/// The length of a vector of two.
#[inline(always)]
pub(super) fn length(a: f32, b: f32) -> f32 {
    let (a, b) = (f64::from(a), f64::from(b));
    (a * a + b * b).sqrt() as f32
}

/// The hue as an angle from 0 to 2 pi, from that of -pi to pi.
#[inline(always)]
pub(super) fn positive_hue(angle: f32) -> f32 {
    if angle < 0.0 { (f64::from(angle) + 2.0 * PI) as f32 } else { angle }
}

fn hue(a: f32, b: f32) -> f32 {
    if a == 0.0 && b == 0.0 {
        return 0.0;
    }
    positive_hue(atan2(f64::from(b), f64::from(a)) as f32)
}

/// How far the second hue is from the first, by the shorter way; 0 where either has no chroma.
#[inline(always)]
pub(super) fn hue_step(chromas: [f32; 2], hues: [f32; 2]) -> f32 {
    let step = hues[1] - hues[0];
    let turned = if step <= 0.0 { 2.0 * PI } else { -2.0 * PI };
    let shorter =
        if f64::from(step.abs()) <= PI { step } else { (f64::from(step) + turned) as f32 };
    if chromas[0] == 0.0 || chromas[1] == 0.0 { 0.0 } else { shorter }
}

/// The hue between both.
#[inline(always)]
pub(super) fn mean_hue(hues: [f32; 2]) -> f32 {
    let sum = hues[0] + hues[1];
    let turn = if f64::from((hues[0] - hues[1]).abs()) > PI { 2.0 * PI } else { 0.0 };
    ((f64::from(sum) + turn) / 2.0) as f32
}

/// How far a hue is from 275 degrees, in steps of 25.
#[inline(always)]
pub(super) fn steps_from_blue(hue: f32) -> f32 {
    let degrees = (f64::from(hue) * (180.0 / PI)) as f32;
    ((f64::from(degrees) - 275.0) * (1.0 / 25.0)) as f32
}

/// How fast lightness is seen to change.
#[inline(always)]
pub(super) fn lightness_scale(mean: f32) -> f32 {
    let from_middle = f64::from(mean - 50.0);
    let square = from_middle * from_middle;
    (1.0 + (0.015 * square) / (20.0 + square).sqrt()) as f32
}

/// The parts of a difference before they are joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    pub(super) lightness: f32,
    /// How fast lightness is seen to change.
    pub(super) lightness_scale: f32,
    pub(super) chroma: f32,
    pub(super) hue: f32,
    pub(super) mean_chroma: f32,
    /// How fast hue is seen to change by the hue itself.
    pub(super) hue_weight: f32,
    /// By what the ellipse of equal differences is turned.
    pub(super) rotation: f32,
}

impl Joined {
    /// The difference's square.
    #[inline(always)]
    pub(super) fn square(self) -> f64 {
        let mean_chroma = f64::from(self.mean_chroma);
        let chroma_scale = (1.0 + 0.045 * mean_chroma) as f32;
        let hue_scale = (1.0 + 0.015 * mean_chroma * f64::from(self.hue_weight)) as f32;
        let lightness = self.lightness / (LIGHTNESS_FACTOR * self.lightness_scale);
        let chroma = self.chroma / chroma_scale;
        let hue = self.hue / (HUE_FACTOR * hue_scale);
        let square = |part: f32| f64::from(part) * f64::from(part);
        let turned = f64::from(self.rotation * chroma * hue);
        square(lightness) + square(chroma) + square(hue) + turned
    }
}

/// The difference of two pixels.
fn difference([reference, distorted]: Colours, bit_depth: u32) -> f32 {
    let [first, second] = [reference, distorted].map(|pixel| lab_of(pixel, bit_depth));
    let chromas = [first, second].map(|lab| length(lab.a, lab.b));
    let stretch = stretch((chromas[0] + chromas[1]) / 2.0);
    let stretched =
        [first.a, second.a].map(|a| (f64::from(a) + f64::from(a / 2.0) * stretch) as f32);
    let lengths = [length(stretched[0], first.b), length(stretched[1], second.b)];
    let hues = [hue(stretched[0], first.b), hue(stretched[1], second.b)];
    let step = hue_step(chromas, hues);
    let mean_chroma = (lengths[0] + lengths[1]) / 2.0;
    let mean_hue = mean_hue(hues);
    let area = f64::from(lengths[0] * lengths[1]).sqrt();
    let joined = Joined {
        lightness: second.l - first.l,
        chroma: lengths[1] - lengths[0],
        hue: (2.0 * area * sin(f64::from(step) / 2.0)) as f32,
        lightness_scale: lightness_scale((first.l + second.l) / 2.0),
        mean_chroma,
        hue_weight: hue_weight(f64::from(mean_hue)),
        rotation: rotation(mean_chroma, mean_hue),
    };
    joined.square().sqrt() as f32
}

/// By how much of its half the first axis is stretched: much near grey.
fn stretch(mean_chroma: f32) -> f64 {
    let chroma = f64::from(mean_chroma);
    let square = Dd::product(chroma, chroma);
    let power = square.multiply(square).multiply(square).multiply(chroma.into()).rounded();
    1.0 - (power / (power + CHROMA_KNEE)).sqrt()
}

fn hue_weight(hue: f64) -> f32 {
    let weight = 1.0 - 0.17 * cos(hue - PI / 6.0)
        + 0.24 * cos(2.0 * hue)
        + 0.32 * cos(3.0 * hue + PI / 30.0)
        - 0.20 * cos(4.0 * hue - 7.0 * PI / 20.0);
    weight as f32
}

fn rotation(mean_chroma: f32, mean_hue: f32) -> f32 {
    let steps = steps_from_blue(mean_hue);
    let degrees = (60.0 * exp(-f64::from(steps * steps))) as f32;
    let angle = (f64::from(degrees) * (PI / 180.0)) as f32;
    let power = power7(AlwaysFused, f64::from(mean_chroma)) as f32;
    let share = power / (power + CHROMA_KNEE_SINGLE);
    (-2.0 * f64::from(share).sqrt() * sin(f64::from(angle))) as f32
}

/// Remembers the last difference: areas of one colour ask for it again and again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory(Option<(Colours, u32, f32)>);

impl Memory {
    /// The difference of two pixels.
    #[inline(never)]
    pub(super) fn difference(&mut self, colours: Colours, bit_depth: u32) -> f32 {
        match self.0 {
            Some((last, depth, difference)) if last == colours && depth == bit_depth => difference,
            _ => {
                let difference = difference(colours, bit_depth);
                self.0 = Some((colours, bit_depth, difference));
                difference
            }
        }
    }
}
