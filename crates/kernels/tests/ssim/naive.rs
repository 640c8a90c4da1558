//! SSIM the slow and obvious way: whole planes, one place after the other.

use crate::synthetic::Plane;

/// A plane of real numbers.
#[derive(Clone)]
pub struct Real {
    pub values: Vec<f32>,
    pub width: usize,
    pub height: usize,
}

impl Real {
    fn from_fn(width: usize, height: usize, mut value: impl FnMut(usize, usize) -> f32) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { values: places.map(|(x, y)| value(x, y)).collect(), width, height }
    }

    pub fn new(plane: &Plane) -> Self {
        let steps = (1_u32 << (plane.bit_depth - 8)) as f32;
        Self::from_fn(plane.width, plane.height, |x, y| {
            f32::from(plane.samples[y * plane.stride + x]) / steps
        })
    }

    fn at(&self, x: isize, y: isize) -> f32 {
        let inside = |index: isize, len: usize| {
            let len = len as isize;
            (if index < 0 {
                -1 - index
            } else if index >= len {
                2 * len - 1 - index
            } else {
                index
            }) as usize
        };
        self.values[inside(y, self.height) * self.width + inside(x, self.width)]
    }

    /// Every `factor`-th place filtered by `taps`, given by row and column of the window.
    fn reduced(&self, factor: usize, window: usize, tap: impl Fn(usize, usize) -> f32) -> Self {
        let side = |len: usize| len / factor + len % 2;
        Self::from_fn(side(self.width), side(self.height), |x, y| {
            let mut sum = 0.0_f64;
            for row in 0..window {
                for column in 0..window {
                    let at = |index: usize, tap: usize| {
                        (index * factor + tap) as isize - (window / 2) as isize
                    };
                    sum += f64::from(self.at(at(x, column), at(y, row)) * tap(row, column));
                }
            }
            sum as f32
        })
    }

    pub fn shrunk(&self, factor: usize) -> Self {
        let tap = 1.0 / (factor * factor) as f32;
        if factor == 1 { self.clone() } else { self.reduced(factor, factor, |_, _| tap) }
    }

    pub fn halved(&self) -> Self {
        const TAPS: [[f32; 5]; 5] = [
            [0.000714, -0.000450, -0.002090, 0.007132, 0.016114],
            [-0.000450, 0.000283, 0.001316, -0.004490, -0.010146],
            [-0.002090, 0.001316, 0.006115, -0.020867, -0.047149],
            [0.007132, -0.004490, -0.020867, 0.071207, 0.160885],
            [0.016114, -0.010146, -0.047149, 0.160885, 0.363505],
        ];
        self.reduced(2, 9, |row, column| TAPS[row.min(8 - row)][column.min(8 - column)])
    }

    fn blurred(&self) -> Self {
        const TAPS: [f32; 11] = [
            0.001028, 0.007599, 0.036001, 0.109361, 0.213006, 0.266012, 0.213006, 0.109361,
            0.036001, 0.007599, 0.001028,
        ];
        let sum = |value: &dyn Fn(usize) -> f32| {
            let products = TAPS.iter().enumerate().map(|(at, tap)| f64::from(value(at) * tap));
            products.fold(0.0, |sum, product| sum + product) as f32
        };
        let across = Self::from_fn(self.width - 10, self.height, |x, y| {
            sum(&|tap| self.values[y * self.width + x + tap])
        });
        Self::from_fn(across.width, self.height - 10, |x, y| {
            sum(&|tap| across.values[(y + tap) * across.width + x])
        })
    }

    fn times(&self, other: &Self) -> Self {
        let products = self.values.iter().zip(&other.values).map(|(a, b)| a * b);
        Self { values: products.collect(), ..*self }
    }
}

/// Means of the product, of luminance, of contrast and of structure.
pub fn means(reference: &Real, distorted: &Real) -> [f64; 4] {
    let [c1, c2] = [0.01_f32, 0.03].map(|k| (k * 255.0) * (k * 255.0));
    let c3 = c2 / 2.0;
    let [m1, m2] = [reference, distorted].map(Real::blurred);
    let [s1, s2, s12] = [(reference, reference), (distorted, distorted), (reference, distorted)]
        .map(|(a, b)| a.times(b).blurred());
    let mut sums = [0.0_f64; 4];
    for at in 0..m1.values.len() {
        let (m1, m2) = (m1.values[at], m2.values[at]);
        let v1 = (s1.values[at] - m1 * m1).max(0.0);
        let v2 = (s2.values[at] - m2 * m2).max(0.0);
        let mut covariance = s12.values[at] - m1 * m2;
        let deviations = f64::from(v1 * v2).sqrt() as f32;
        if covariance < 0.0 && deviations <= 0.0 {
            covariance = 0.0;
        }
        let luminance = (2.0 * f64::from(m1) * f64::from(m2) + f64::from(c1))
            / f64::from(m1 * m1 + m2 * m2 + c1);
        let contrast = (2.0 * f64::from(deviations) + f64::from(c2)) / f64::from(v1 + v2 + c2);
        let structure = f64::from((covariance + c3) / (deviations + c3));
        let parts = [luminance * contrast * structure, luminance, contrast, structure];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    sums.map(|sum| f64::from((sum / m1.values.len() as f64) as f32))
}
