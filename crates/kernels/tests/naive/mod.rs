//! VIF and motion the slow and obvious way: whole planes, 64-bit sums, a table of logarithms.

use crate::synthetic::Plane;

const FILTERS: [&[u64]; 4] = [
    &[
        489, 935, 1640, 2640, 3896, 5274, 6547, 7455, 7784, 7455, 6547, 5274, 3896, 2640, 1640,
        935, 489,
    ],
    &[1244, 3663, 7925, 12_590, 14_692, 12_590, 7925, 3663, 1244],
    &[3571, 16_004, 26_386, 16_004, 3571],
    &[10_904, 43_728, 10_904],
];

/// Numerator, denominator and score of each scale.
pub type Scales = [(f64, f64, f64); 4];

fn mirrored(index: i64, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let mut index = index;
    while index < 0 || index >= len as i64 {
        index = if index < 0 { -index } else { 2 * (len as i64 - 1) - index };
    }
    index as usize
}

struct Grid {
    values: Vec<u64>,
    width: usize,
    height: usize,
}

impl Grid {
    fn of(plane: &Plane) -> Self {
        let rows = plane.samples.chunks(plane.stride).take(plane.height);
        let values =
            rows.flat_map(|row| row[..plane.width].iter().map(|s| u64::from(*s))).collect();
        Self { values, width: plane.width, height: plane.height }
    }

    fn at(&self, x: i64, y: i64) -> u64 {
        self.values[mirrored(y, self.height) * self.width + mirrored(x, self.width)]
    }

    fn map(&self, value: impl Fn(i64, i64) -> u64) -> Self {
        let values = (0..self.height as i64)
            .flat_map(|y| (0..self.width as i64).map(move |x| (x, y)))
            .map(|(x, y)| value(x, y))
            .collect();
        Self { values, ..*self }
    }

    fn filtered_down(&self, taps: &[u64], shift: u32) -> Self {
        let round = if shift == 0 { 0 } else { 1 << (shift - 1) };
        self.map(|x, y| (weighed(taps, |offset| self.at(x, y + offset)) + round) >> shift)
    }

    fn filtered_across(&self, taps: &[u64]) -> Self {
        self.map(|x, y| weighed(taps, |offset| self.at(x + offset, y)))
    }
}

fn weighed(taps: &[u64], value: impl Fn(i64) -> u64) -> u64 {
    let reach = taps.len() as i64 / 2;
    taps.iter().zip(-reach..).map(|(tap, offset)| tap * value(offset)).sum()
}

fn log2_steps(value: u64) -> i64 {
    let shift = 48 - i64::from(value.leading_zeros());
    let leading = if shift >= 0 { value >> shift } else { value << -shift };
    i64::from(((leading as f64).log2() as f32 * 2048.0).round() as i32) + 2048 * shift
}

fn measure(
    pictures: &[Grid; 2],
    taps: &[u64],
    shifts: (u32, u32),
    gain_limit: f64,
) -> (f64, f64, f64) {
    let [a, b] = pictures;
    let mean = |grid: &Grid| grid.filtered_down(taps, shifts.0).filtered_across(taps);
    let product = |a: &Grid, b: &Grid| {
        a.map(|x, y| a.at(x, y) * b.at(x, y)).filtered_down(taps, shifts.1).filtered_across(taps)
    };
    let means = [mean(a), mean(b)];
    let [xx, yy, xy] = [product(a, a), product(b, b), product(a, b)];
    let (mut num_log, mut den_log, mut num_non_log, mut den_non_log) = (0_i64, 0_i64, 0_i64, 0_i64);
    for i in 0..a.values.len() {
        let squared = |p: usize, q: usize| {
            ((u128::from(means[p].values[i]) * u128::from(means[q].values[i]) + (1 << 31)) >> 32)
                as i64
        };
        let moment = |grid: &Grid| ((grid.values[i] + 32_768) >> 16) as i64;
        let reference_var = moment(&xx) - squared(0, 0);
        let distorted_var = (moment(&yy) - squared(1, 1)).max(0);
        let covariance = moment(&xy) - squared(0, 1);
        let noise = 2 << 16;
        if reference_var < noise {
            num_non_log += distorted_var;
            den_non_log += 1;
            continue;
        }
        den_log += log2_steps((noise + reference_var) as u64) - 2048 * 17;
        if covariance > 0 && distorted_var > 0 {
            let gain = covariance as f64 / (reference_var as f64 + 65536.0 * 1.0e-10);
            let unexplained = ((distorted_var as f64 - gain * covariance as f64) as i64).max(0);
            let gain = gain.min(gain_limit);
            let floor = unexplained + noise;
            let whole = (gain * gain * reference_var as f64) as i64 + floor;
            num_log += log2_steps(whole as u64) - log2_steps(floor as u64);
        }
    }
    let non_log = den_non_log as f64;
    let num =
        (num_log as f64 / 2048.0 + (non_log - (num_non_log as f64 / 16384.0) / 65025.0)) as f32;
    let den = (den_log as f64 / 2048.0 + non_log) as f32;
    (f64::from(num), f64::from(den), f64::from(num / den))
}

pub fn vif(reference: &Plane, distorted: &Plane, gain_limit: f64) -> Scales {
    let depth = reference.bit_depth;
    let mut pictures = [Grid::of(reference), Grid::of(distorted)];
    let mut shifts = (depth, 2 * (depth - 8));
    let mut scores = [(0.0, 0.0, 1.0); 4];
    for scale in 0..4 {
        scores[scale] = measure(&pictures, FILTERS[scale], shifts, gain_limit);
        let Some(taps) = FILTERS.get(scale + 1) else { break };
        pictures = pictures.map(|grid| {
            let small = grid.filtered_down(taps, shifts.0).filtered_across(taps);
            let (width, height) = (grid.width / 2, grid.height / 2);
            let at = |i: usize| small.at(2 * (i % width) as i64, 2 * (i / width) as i64);
            let values = (0..width * height).map(|i| (at(i) + 32_768) >> 16).collect();
            Grid { values, width, height }
        });
        if pictures[0].values.is_empty() {
            break;
        }
        shifts = (16, 16);
    }
    scores
}

pub fn motion_sad(previous: &Plane, current: &Plane) -> u64 {
    let depth = current.bit_depth;
    let (previous, current) = (Grid::of(previous), Grid::of(current));
    let (width, height) = (current.width, current.height);
    let taps: [i64; 5] = [3571, 16_004, 26_386, 16_004, 3571];
    let weighed = |value: &dyn Fn(i64) -> i64| -> i64 {
        taps.iter().zip(-2..).map(|(tap, offset)| tap * value(offset)).sum()
    };
    let mut sum = 0;
    for y in 0..height as i64 {
        let line: Vec<i64> = (0..width as i64)
            .map(|x| {
                let difference = |row| previous.at(x, row) as i64 - current.at(x, row) as i64;
                (weighed(&|offset| difference(y + offset)) + (1 << (depth - 1))) >> depth
            })
            .collect();
        for x in 0..width as i64 {
            let blurred = weighed(&|offset| line[mirrored(x + offset, width)]);
            sum += ((blurred + 32_768) >> 16).unsigned_abs();
        }
    }
    sum
}
