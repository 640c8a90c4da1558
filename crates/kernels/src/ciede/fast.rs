//! The colour differences of a run of pixels, in lanes.
//!
//! The steps are those of [`super::exact`]. What is rounded to `f32` without a mark (sums, products,
//! quotients of `f32`, lengths and the difference itself) has the bits that it has there. The rest, from
//! [`super::functions`], errs by less than 2^-44 of the result. Where that is rounded to `f32` and lies
//! closer to the middle between two neighbours, the pixel is marked as doubtful.

use std::f64::consts::PI;

use super::exact::{
    CHROMA_KNEE_SINGLE, Joined, Lab, hue_step, lab, mean_hue, positive_hue, rgb, steps_from_blue,
};
use super::functions::{
    angle, cube_root, decay, hue_weight, lightness_scale, linear, sine, stretch,
};
use super::lanes::Lanes;
use super::power7::power7;

/// Pixels computed together at most.
pub(super) const CHUNK: usize = 128;

/// Luma, Cb and Cr of a run of pixels of both pictures.
type Pixels<'a> = [[&'a [u16]; 3]; 2];
/// A number for each pixel.
type Singles = [f32; CHUNK];
type Doubles = [f64; CHUNK];

/// What is known of a run of pixels.
#[derive(Debug)]
pub(super) struct Run {
    labs: [LabRun; 2],
    /// Chroma before and after the first axis is stretched, their means, and the stretched axis.
    chromas: [Singles; 2],
    mean_chroma: Singles,
    lengths: [Singles; 2],
    mean_length: Singles,
    stretched: [Singles; 2],
    hues: [Singles; 2],
    mean_hue: Singles,
    powers: Singles,
    /// What of the hues enters a difference.
    hue_steps: Singles,
    weights: Singles,
    turns: Singles,
    /// What comes in between.
    partial: Singles,
    squares: Doubles,
    differences: Singles,
    doubts: [u32; CHUNK],
}

#[derive(Debug)]
struct LabRun {
    /// Red, green and blue; then made linear.
    steps: [Doubles; 3],
    /// The roots of X, Y and Z.
    roots: [Singles; 3],
    l: Singles,
    a: Singles,
    b: Singles,
}

const ZEROS: Singles = [0.0; CHUNK];
const WIDE_ZEROS: Doubles = [0.0; CHUNK];
const NO_LAB: LabRun =
    LabRun { steps: [WIDE_ZEROS; 3], roots: [ZEROS; 3], l: ZEROS, a: ZEROS, b: ZEROS };

impl Default for Run {
    fn default() -> Self {
        Self {
            labs: [NO_LAB; 2],
            chromas: [ZEROS; 2],
            mean_chroma: ZEROS,
            lengths: [ZEROS; 2],
            mean_length: ZEROS,
            stretched: [ZEROS; 2],
            hues: [ZEROS; 2],
            mean_hue: ZEROS,
            powers: ZEROS,
            hue_steps: ZEROS,
            weights: ZEROS,
            turns: ZEROS,
            partial: ZEROS,
            squares: WIDE_ZEROS,
            differences: ZEROS,
            doubts: [0; CHUNK],
        }
    }
}

/// Places of a run at which groups begin.
#[inline(always)]
pub(super) fn groups<V: Lanes>(_: V) -> impl Iterator<Item = usize> {
    (0..CHUNK).step_by(V::LANES)
}

impl Run {
    /// Computes the differences of the pixels, [`CHUNK`] at most.
    ///
    /// All of a run is always computed; beyond its pixels with what an earlier run left there, which
    /// nobody reads. What takes many operations is a loop of its own over groups.
    #[inline(always)]
    pub(super) fn differences<V: Lanes>(&mut self, v: V, pixels: &Pixels<'_>, bit_depth: u32) {
        self.doubts = [0; CHUNK];
        for (planes, labs) in pixels.iter().zip(&mut self.labs) {
            labs.fill(v, planes, bit_depth, &mut self.doubts);
        }
        self.measure_chroma(v);
        for picture in 0..2 {
            self.measure_hue(v, picture);
        }
        self.raise(v);
        self.compare_hues(v);
        self.turn(v);
        self.join(v);
    }

    /// The differences of the first `count` pixels.
    pub(super) fn all(&self, count: usize) -> &[f32] {
        &self.differences[..count]
    }

    /// Whether any of the first `count` pixels is doubtful.
    #[inline(always)]
    pub(super) fn any_doubt(&self, count: usize) -> bool {
        self.doubts[..count].iter().fold(0, |all, doubt| all | doubt) != 0
    }

    /// The places of those that are.
    pub(super) fn doubtful(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let doubts = self.doubts;
        (0..count).filter(move |at| doubts[*at] != 0)
    }

    pub(super) fn set_difference(&mut self, at: usize, difference: f32) {
        self.differences[at] = difference;
    }

    #[inline(always)]
    fn measure_chroma<V: Lanes>(&mut self, v: V) {
        for (labs, chromas) in self.labs.iter().zip(&mut self.chromas) {
            for at in groups(v) {
                lengths(v, &labs.a, &labs.b, chromas, at);
            }
        }
        means(&self.chromas, &mut self.mean_chroma);
        for at in groups(v) {
            let stretch = stretch(v, v.load_single(&self.mean_chroma, at));
            for (labs, stretched) in self.labs.iter().zip(&mut self.stretched) {
                let axis = v.load_single(&labs.a, at);
                let wide = v.mul_add(v.mul(axis, v.splat(0.5)), stretch, axis);
                v.store_single(wide, stretched, at);
                v.mark_doubtful(wide, &mut self.doubts, at);
            }
        }
        for picture in 0..2 {
            let (labs, stretched) = (&self.labs[picture], &self.stretched[picture]);
            for at in groups(v) {
                lengths(v, stretched, &labs.b, &mut self.lengths[picture], at);
            }
        }
        means(&self.lengths, &mut self.mean_length);
    }

    #[inline(always)]
    fn measure_hue<V: Lanes>(&mut self, v: V, picture: usize) {
        let (a, b) = (&self.stretched[picture], &self.labs[picture].b);
        let hues = &mut self.hues[picture];
        for at in groups(v) {
            let angle = angle(v, v.load_single(b, at), v.load_single(a, at));
            v.store_single(angle, hues, at);
            v.mark_doubtful(angle, &mut self.doubts, at);
        }
        for hue in hues.iter_mut() {
            *hue = positive_hue(*hue);
        }
    }

    /// Raises the mean chroma to its seventh power.
    #[inline(always)]
    fn raise<V: Lanes>(&mut self, v: V) {
        for at in groups(v) {
            let power = power7(v, v.load_single(&self.mean_length, at));
            v.store_single(power, &mut self.powers, at);
            v.mark_doubtful(power, &mut self.doubts, at);
        }
    }

    /// What the hues say.
    #[inline(always)]
    fn compare_hues<V: Lanes>(&mut self, v: V) {
        let [chromas0, chromas1] = self.chromas.each_ref();
        let [lengths0, lengths1] = self.lengths.each_ref();
        let [hues0, hues1] = self.hues.each_ref();
        let (areas, steps) = (&mut self.partial, &mut self.hue_steps);
        let means = &mut self.mean_hue;
        for at in 0..CHUNK {
            let hues = [hues0[at], hues1[at]];
            steps[at] = hue_step([chromas0[at], chromas1[at]], hues);
            areas[at] = lengths0[at] * lengths1[at];
            means[at] = mean_hue(hues);
        }
        for at in groups(v) {
            let area = v.root(v.load_single(&self.partial, at));
            let half = v.mul(v.load_single(&self.hue_steps, at), v.splat(0.5));
            let hue = v.mul(v.add(area, area), sine(v, half));
            v.store_single(hue, &mut self.hue_steps, at);
            v.mark_doubtful(hue, &mut self.doubts, at);
        }
        for at in groups(v) {
            let weight = hue_weight(v, v.load_single(&self.mean_hue, at));
            v.store_single(weight, &mut self.weights, at);
            v.mark_doubtful(weight, &mut self.doubts, at);
        }
    }

    /// By what the ellipse is turned.
    #[inline(always)]
    fn turn<V: Lanes>(&mut self, v: V) {
        let (squares, hues) = (&mut self.partial, &self.mean_hue);
        for at in 0..CHUNK {
            let steps = steps_from_blue(hues[at]);
            squares[at] = steps * steps;
        }
        for at in groups(v) {
            let degrees = v.mul(v.splat(60.0), decay(v, v.load_single(&self.partial, at)));
            v.store_single(degrees, &mut self.turns, at);
            v.mark_doubtful(degrees, &mut self.doubts, at);
        }
        let (powers, shares) = (&self.powers, &mut self.partial);
        let turns = &mut self.turns;
        for at in 0..CHUNK {
            turns[at] = (f64::from(turns[at]) * (PI / 180.0)) as f32;
            shares[at] = powers[at] / (powers[at] + CHROMA_KNEE_SINGLE);
        }
        for at in groups(v) {
            let share = v.root(v.load_single(&self.partial, at));
            let turn = sine(v, v.load_single(&self.turns, at));
            let rotation = v.mul(v.mul(share, v.splat(-2.0)), turn);
            v.store_single(rotation, &mut self.turns, at);
            v.mark_doubtful(rotation, &mut self.doubts, at);
        }
    }

    #[inline(always)]
    fn join<V: Lanes>(&mut self, v: V) {
        let [first, second] = self.labs.each_ref().map(|labs| &labs.l);
        let middles = &mut self.partial;
        for at in 0..CHUNK {
            middles[at] = (first[at] + second[at]) / 2.0 - 50.0;
        }
        for at in groups(v) {
            let scale = lightness_scale(v, v.load_single(&self.partial, at));
            v.store_single(scale, &mut self.partial, at);
            v.mark_doubtful(scale, &mut self.doubts, at);
        }
        let scales = &self.partial;
        let [lengths0, lengths1] = self.lengths.each_ref();
        let mean_length = &self.mean_length;
        let (steps, weights) = (&self.hue_steps, &self.weights);
        let (turns, squares) = (&self.turns, &mut self.squares);
        for at in 0..CHUNK {
            let joined = Joined {
                lightness: second[at] - first[at],
                lightness_scale: scales[at],
                chroma: lengths1[at] - lengths0[at],
                hue: steps[at],
                mean_chroma: mean_length[at],
                hue_weight: weights[at],
                rotation: turns[at],
            };
            squares[at] = joined.square();
        }
        for at in groups(v) {
            let root = v.root_for_single(v.load(&self.squares, at));
            v.store_single(root, &mut self.differences, at);
        }
    }
}

impl LabRun {
    #[inline(always)]
    fn fill<V: Lanes>(
        &mut self,
        v: V,
        planes: &[&[u16]; 3],
        bit_depth: u32,
        doubts: &mut [u32; CHUNK],
    ) {
        let count = planes[0].len().min(CHUNK);
        let [ys, us, vs] = planes.map(|plane| &plane[..count]);
        let [first, second, third] = self.steps.each_mut().map(|step| &mut step[..count]);
        for at in 0..count {
            let pixel = [f64::from(ys[at]), f64::from(us[at]), f64::from(vs[at])];
            [first[at], second[at], third[at]] = rgb(pixel, bit_depth);
        }
        for step in &mut self.steps {
            for at in groups(v) {
                v.store(linear(v, v.load(step, at)), step, at);
            }
        }
        for (weights, roots) in XYZ.iter().zip(&mut self.roots) {
            for at in groups(v) {
                let [r, g, b] = &self.steps;
                let sum = v.mul(v.load(r, at), v.splat(weights[0]));
                let sum = v.mul_add(v.load(g, at), v.splat(weights[1]), sum);
                let sum = v.mul_add(v.load(b, at), v.splat(weights[2]), sum);
                let root = cube_root(v, sum);
                v.store_single(root, roots, at);
                v.mark_doubtful(root, doubts, at);
            }
        }
        let [x, y, z] = self.roots.each_ref();
        let (l, a, b) = (&mut self.l, &mut self.a, &mut self.b);
        for at in 0..CHUNK {
            let colour: Lab = lab([x[at], y[at], z[at]]);
            l[at] = colour.l;
            a[at] = colour.a;
            b[at] = colour.b;
        }
    }
}

/// Lengths of the vectors (`a`, `b`). Squares of `f32` are exact, so that fusing changes nothing.
#[inline(always)]
fn lengths<V: Lanes>(v: V, a: &Singles, b: &Singles, lengths: &mut Singles, at: usize) {
    let (a, b) = (v.load_single(a, at), v.load_single(b, at));
    let square = v.mul_add(a, a, v.mul(b, b));
    v.store_single(v.root_for_single(square), lengths, at);
}

#[inline(always)]
fn means(pairs: &[Singles; 2], means: &mut Singles) {
    let [first, second] = pairs;
    for at in 0..CHUNK {
        means[at] = (first[at] + second[at]) / 2.0;
    }
}

/// Of what X, Y and Z, relative to white, consist: see [`super::exact::xyz`].
const XYZ: [[f64; 3]; 3] = [
    [
        0.412_456_439_089_692_1 / 0.95047,
        0.357_576_077_643_909 / 0.95047,
        0.180_437_483_266_398_94 / 0.95047,
    ],
    [0.212_672_851_405_622_48, 0.715_152_155_287_818, 0.072_174_993_306_559_58],
    [
        0.019_333_895_582_329_317 / 1.08883,
        0.119_192_025_881_303 / 1.08883,
        0.950_304_078_536_367_7 / 1.08883,
    ],
];
