//! SpEED by its formula: whole planes scaled, every kept sample blurred by itself, matrices element by
//! element. What is fixed, and kept to here, is the order of each sum; see the page of the engine.

use std::f64::consts::PI;

use kernels::speed::{PrescaleMethod, SpeedOptions};

/// Side of a block.
const SIDE: usize = 5;
/// Samples of a block.
const N: usize = SIDE * SIDE;
/// One sample of so many is kept, in both directions.
const RATIO: usize = 16;
const SINGULAR_BELOW: f64 = 1e-6;

/// Values row after row.
#[derive(Clone)]
pub struct Grid {
    pub values: Vec<f32>,
    pub width: usize,
    pub height: usize,
}

impl Grid {
    pub fn new([width, height]: [usize; 2], mut value: impl FnMut(usize, usize) -> f32) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { values: places.map(|(x, y)| value(x, y)).collect(), width, height }
    }

    fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.width + x]
    }

    /// The value there, reflected at the borders without repeating them.
    fn reflected(&self, x: isize, y: isize) -> f32 {
        self.at(reflect(x, self.width), reflect(y, self.height))
    }
}

fn reflect(mut place: isize, side: usize) -> usize {
    let last = side as isize - 1;
    while place < 0 || place > last {
        place = if place < 0 { -place } else { 2 * last - place };
    }
    place as usize
}

/// Where a scaled place reads, and what of it.
fn cubic(t: f32) -> f32 {
    let (a, t) = (-0.75_f32, t.abs());
    match t {
        t if t < 1.0 => ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0,
        t if t < 2.0 => (((t - 5.0) * t + 8.0) * t - 4.0) * a,
        _ => 0.0,
    }
}

fn lanczos(t: f32) -> f32 {
    match f64::from(t) {
        0.0 => 1.0,
        t if t.abs() >= 4.0 => 0.0,
        t => (4.0 * (PI * t).sin() * (PI * t / 4.0).sin() / (PI * PI * t * t)) as f32,
    }
}

fn scaled(plane: &Grid, options: &SpeedOptions) -> Grid {
    let factor = options.prescale;
    if (factor - 1.0).abs() < 0.001 {
        return plane.clone();
    }
    let from = [plane.width, plane.height];
    let to = from.map(|side| (side as f64 * factor + 0.5) as usize);
    if from == to {
        return plane.clone();
    }
    let ratio = [0, 1].map(|axis: usize| from[axis] as f32 / to[axis] as f32);
    let read = |axis: usize, p: usize| ((p as f64 + 0.5) * f64::from(ratio[axis]) - 0.5) as f32;
    Grid::new(to, |x, y| {
        let [u, v] = [read(0, x), read(1, y)];
        let [left, top] = [u.floor() as isize, v.floor() as isize];
        let around = |reach: std::ops::RangeInclusive<isize>, weight: fn(f32) -> f32| {
            let (mut sum, mut weights) = (0.0_f32, 0.0_f32);
            for dy in reach.clone() {
                for dx in reach.clone() {
                    let of_row = weight(dy as f32 - (v - top as f32));
                    let weight = weight(dx as f32 - (u - left as f32)) * of_row;
                    sum += plane.reflected(left + dx, top + dy) * weight;
                    weights += weight;
                }
            }
            (sum, weights)
        };
        match options.prescale_method {
            PrescaleMethod::Nearest => {
                let place =
                    |axis: usize, p: usize| ((p as f32 * ratio[axis]) as usize).min(from[axis] - 1);
                plane.at(place(0, x), place(1, y))
            }
            PrescaleMethod::Bilinear => {
                let dx = u - reflect(left, plane.width) as f32;
                let dy = v - reflect(top, plane.height) as f32;
                let [right, bottom] = [u.ceil() as isize, v.ceil() as isize];
                (1.0 - dy) * (1.0 - dx) * plane.reflected(left, top)
                    + (1.0 - dy) * dx * plane.reflected(right, top)
                    + dy * (1.0 - dx) * plane.reflected(left, bottom)
                    + dy * dx * plane.reflected(right, bottom)
            }
            PrescaleMethod::Bicubic => around(-1..=2, cubic).0,
            PrescaleMethod::Lanczos4 => {
                let (sum, weights) = around(-4..=4, lanczos);
                sum / weights
            }
        }
    })
}

/// Taps of a normalised Gaussian.
fn gaussian(least: f32, deviation_of_length: fn(usize) -> f32) -> Vec<f32> {
    let length = (least.ceil() as usize | 1).max(3);
    let deviation = f64::from(deviation_of_length(length));
    let scale = (1.0 / (deviation * (2.0 * PI).sqrt())) as f32;
    let height = |place: usize| {
        let x = place as f64 - (length / 2) as f64;
        (-(0.5 * x / deviation * x / deviation)).exp() as f32 / scale
    };
    let heights: Vec<f32> = (0..length).map(height).collect();
    let sum = heights.iter().fold(0.0, |sum, height| sum + height);
    heights.iter().map(|height| height / sum).collect()
}

/// Down, then across; each sum from the first tap on.
fn blurred(grid: &Grid, taps: &[f32], x: usize, y: usize) -> f32 {
    let reach = (taps.len() / 2) as isize;
    let mut sum = 0.0;
    for (across, weight) in taps.iter().enumerate() {
        let mut column = 0.0;
        for (down, tap) in taps.iter().enumerate() {
            let [dx, dy] = [across, down].map(|place| place as isize - reach);
            column += tap * grid.reflected(x as isize + dx, y as isize + dy);
        }
        sum += weight * column;
    }
    sum
}

/// One of 256 samples, less the mean around it.
fn detail(plane: &Grid, options: &SpeedOptions) -> Grid {
    let scaled = scaled(plane, options);
    let scale = options.kernel_scale as f32;
    let wide = gaussian(9.0 * scale, |length| (2.0 * length as f64 / 5.0) as f32);
    let narrow = gaussian(2.0 * scale, |length| length as f32 / 5.0);
    let size = [scaled.width / RATIO, scaled.height / RATIO];
    let kept = Grid::new(size, |x, y| blurred(&scaled, &wide, RATIO * x, RATIO * y));
    Grid::new(size, |x, y| kept.at(x, y) - blurred(&kept, &narrow, x, y))
}

type Matrix = [[f32; N]; N];

/// The samples of the window that begins there, in reading order.
fn window(grid: &Grid, x: usize, y: usize) -> [f32; N] {
    std::array::from_fn(|at| grid.at(x + at % SIDE, y + at / SIDE))
}

fn covariance(detail: &Grid, blocks: [usize; 2]) -> Matrix {
    let [width, height] = blocks.map(|count| count * SIDE - SIDE + 1);
    let windows: Vec<[f32; N]> = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .map(|(x, y)| window(detail, x, y))
        .collect();
    let count = windows.len();
    let means: [f32; N] = std::array::from_fn(|at| {
        windows.iter().fold(0.0_f32, |sum, window| sum + window[at]) / count as f32
    });
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let mut sum = 0.0_f64;
            for window in &windows {
                let [a, b] = [i, j].map(|at| f64::from(window[at]) - f64::from(means[at]));
                sum += a * b;
            }
            (sum / count as f64) as f32
        })
    })
}

/// Reflects `v[first..]` onto its first element: the factor of the reflection and what is left.
fn householder(v: &mut [f32; N], first: usize) -> (f32, f32) {
    let rest = v[first + 1..].iter().fold(0.0_f32, |sum, x| sum + x * x).sqrt();
    if rest == 0.0 {
        return (0.0, v[first]);
    }
    let alpha = v[first];
    let length = (alpha * alpha + rest * rest).sqrt();
    let beta = if alpha >= 0.0 { -length } else { length };
    if alpha - beta != 0.0 {
        v[first..].iter_mut().for_each(|x| *x /= alpha - beta);
        return ((beta - alpha) / beta, beta);
    }
    ((beta - alpha) / beta, v[first])
}

fn tridiagonal(mut a: Matrix) -> ([f32; N], [f32; N - 1]) {
    let mut below = [0.0; N - 1];
    for step in 0..N - 2 {
        let first = step + 1;
        let mut v: [f32; N] = std::array::from_fn(|i| if i < first { 0.0 } else { a[i][step] });
        let (tau, left) = householder(&mut v, first);
        below[step] = left;
        if tau == 0.0 {
            continue;
        }
        v[first] = 1.0;
        let mut x = [0.0_f32; N];
        for i in first..N {
            for j in first..N {
                x[i] += tau * a[i][j] * v[j];
            }
        }
        let dot = (first..N).fold(0.0_f32, |sum, i| sum + x[i] * v[i]);
        let alpha = -0.5 * tau * dot;
        for i in first..N {
            x[i] += alpha * v[i];
        }
        for i in first..N {
            for j in first..N {
                a[i][j] -= x[i] * v[j] + v[i] * x[j];
            }
        }
    }
    below[N - 2] = a[N - 1][N - 2];
    (std::array::from_fn(|i| a[i][i]), below)
}

fn drop_negligible(diagonal: &[f32], below: &mut [f32]) {
    for i in 0..below.len() {
        let beside = diagonal[i].abs() + diagonal[i + 1].abs();
        if f64::from(below[i].abs()) < 1e-6 * f64::from(beside) {
            below[i] = 0.0;
        }
    }
}

/// The rotation that turns (`x`, `z`) onto the first axis.
fn givens(x: f32, z: f32) -> (f32, f32) {
    let inverse = |t: f32| (1.0 / f64::from(1.0 + t * t).sqrt()) as f32;
    if z == 0.0 {
        return (1.0, 0.0);
    }
    if z.abs() > x.abs() {
        let t = -x / z;
        (inverse(t) * t, inverse(t))
    } else {
        let t = -z / x;
        (inverse(t), inverse(t) * t)
    }
}

/// Wilkinson's shift.
fn wilkinson(diagonal: &[f32], below: &[f32]) -> f32 {
    let count = diagonal.len();
    let (a, b, c) = (diagonal[count - 2], diagonal[count - 1], below[count - 2]);
    let half = (a - b) / 2.0;
    let root = (half * half + c * c).sqrt();
    match half {
        half if half > 0.0 => b - c * (c / (half + root)),
        half if half < 0.0 => b + c * (c / (-half + root)),
        _ => b - c.abs(),
    }
}

fn qr_step(diagonal: &mut [f32], below: &mut [f32]) {
    let count = diagonal.len();
    let mut mu = wilkinson(diagonal, below);
    if 1e-6 * f64::from(mu.abs()) > f64::from(diagonal[0].abs() + below[0].abs()) {
        mu = 0.0;
    }
    let (mut x, mut z) = (diagonal[0] - mu, below[0]);
    // What sticks out of the three diagonals.
    let mut bulge = 0.0_f32;
    let mut above = 0.0_f32;
    let (mut a, mut b) = (diagonal[0], below[0]);
    for k in 0..count - 1 {
        let next = diagonal[k + 1];
        let after = if k + 2 < count { below[k + 1] } else { 0.0 };
        let (c, s) = givens(x, z);
        if k > 0 {
            below[k - 1] = c * above - s * bulge;
        }
        diagonal[k] = c * (c * a - s * b) + s * (s * next - c * b);
        above = c * (s * a + c * b) - s * (s * b + c * next);
        bulge = -s * after;
        a = s * (s * a + c * b) + c * (s * b + c * next);
        b = c * after;
        (x, z) = (above, bulge);
    }
    diagonal[count - 1] = a;
    below[count - 2] = above;
}

fn eigenvalues(covariance: &Matrix) -> [f32; N] {
    let (mut diagonal, mut below) = tridiagonal(*covariance);
    drop_negligible(&diagonal, &mut below);
    let (mut last, mut steps) = (N - 1, 0);
    while last > 0 && steps < 500 {
        if below[last - 1] == 0.0 {
            last -= 1;
            continue;
        }
        let first = (0..last).rev().find(|at| *at == 0 || below[at - 1] == 0.0).unwrap_or(0);
        qr_step(&mut diagonal[first..=last], &mut below[first..last]);
        drop_negligible(&diagonal[first..=last], &mut below[first..last]);
        steps += 1;
    }
    diagonal
}

/// The product of matrices, each sum from the first column on.
fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| (0..N).fold(0.0_f32, |sum, k| sum + a[i][k] * b[k][j]))
    })
}

/// The inverse of the orthogonal factor, and the triangular one.
fn factors(covariance: &Matrix) -> Option<(Matrix, Matrix)> {
    let norm = |v: &[f32; N]| v.iter().fold(0.0_f32, |sum, x| sum + x * x).sqrt();
    let identity: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| f32::from(i == j)));
    let (mut reduced, mut q) = (*covariance, identity);
    for step in 0..N - 1 {
        let mut v: [f32; N] =
            std::array::from_fn(|i| if i < step { 0.0 } else { reduced[i][step] });
        let length = norm(&v);
        v[step] += if covariance[step][step] >= 0.0 { length } else { -length };
        let length = norm(&v);
        if length == 0.0 || length.is_nan() {
            // No direction to reflect along: nothing that follows is a number.
            return Some(([[f32::NAN; N]; N], [[f32::NAN; N]; N]));
        }
        v.iter_mut().for_each(|x| *x /= length);
        let reflection: Matrix = std::array::from_fn(|i| {
            std::array::from_fn(|j| {
                let square = -2.0 * v[i] * v[j];
                if i == j { square + 1.0 } else { square }
            })
        });
        reduced = product(&reflection, &reduced);
        q = product(&reflection, &q);
    }
    let r = product(&q, covariance);
    let singular = (0..N).any(|i| f64::from(r[i][i].abs()) < SINGULAR_BELOW);
    (!singular).then_some((q, r))
}

fn energy((q, r): &(Matrix, Matrix), y: &[f32; N]) -> f32 {
    let mut x: [f32; N] =
        std::array::from_fn(|i| (0..N).fold(0.0_f32, |sum, k| sum + q[i][k] * y[k]));
    for i in (0..N).rev() {
        for k in i + 1..N {
            x[i] -= x[k] * r[i][k];
        }
        x[i] /= r[i][i];
    }
    x.iter().zip(y).fold(0.0_f32, |sum, (x, y)| sum + x * y / N as f32)
}

/// Energy and entropy of each block of a plane, and whether its covariance is singular.
pub struct Statistics {
    blocks: Vec<[f32; 2]>,
    pub singular: bool,
}

/// `log2(2 pi e)`.
fn log2_tau_e() -> f64 {
    f64::from_bits(0x4010_6073_a671_183d)
}

pub fn statistics(plane: &Grid, options: &SpeedOptions) -> Statistics {
    let detail = detail(plane, options);
    let blocks = [detail.width / SIDE, detail.height / SIDE];
    let covariance = covariance(&detail, blocks);
    let eigenvalues = eigenvalues(&covariance);
    let is_regular = !eigenvalues.iter().any(|value| f64::from(*value) < SINGULAR_BELOW);
    let factors = if is_regular { factors(&covariance) } else { None };
    let sigma = options.sigma_nn as f32;
    let places = (0..blocks[1]).flat_map(|y| (0..blocks[0]).map(move |x| (x, y)));
    let of_block = |(x, y): (usize, usize)| {
        let samples = window(&detail, SIDE * x, SIDE * y);
        let energy = factors.as_ref().map_or(0.0, |factors| energy(factors, &samples));
        let mut entropy = 0.0_f32;
        for value in eigenvalues {
            let variance = if value < 0.0 { 0.0 } else { value } * energy + sigma;
            entropy = (f64::from(entropy) + (f64::from(variance).log2() + log2_tau_e())) as f32;
        }
        [energy, entropy]
    };
    Statistics { blocks: places.map(of_block).collect(), singular: factors.is_none() }
}

pub fn score(reference: &Statistics, distorted: &Statistics, options: &SpeedOptions) -> f32 {
    if reference.singular != distorted.singular {
        return 0.0;
    }
    let least = (1.0 + options.nn_floor as f32) * options.sigma_nn as f32;
    let base = (N as f64 * (f64::from(least).log2() + log2_tau_e())) as f32;
    let mut sum = 0.0_f32;
    for ([r, of_reference], [d, of_distorted]) in reference.blocks.iter().zip(&distorted.blocks) {
        let own = |energy: f32| f64::from(1.0 + energy);
        let mix = |share: f64| 1.0 + (share * f64::from(*r) + (1.0 - share) * f64::from(*d));
        let mean = 1.0 + f64::from(r + d) / 2.0;
        let [a, b] = match options.weight_var_mode {
            0 => [own(*r), own(*d)],
            1 => [own(*r); 2],
            2 => [own(*d); 2],
            3 => [mean; 2],
            4 => [own(*r), mean],
            5 => [own(*r), mix(0.75)],
            _ => [own(*r), mix(0.25)],
        };
        let weighted = |entropy: f32, by: f64| (f64::from(entropy) * by.log2()) as f32;
        if !(*of_reference < base && *of_distorted < base) {
            sum += (weighted(*of_reference, a) - weighted(*of_distorted, b)).abs();
        }
    }
    sum / reference.blocks.len() as f32
}
