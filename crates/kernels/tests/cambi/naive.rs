//! CAMBI the slow and obvious way: whole planes, every window counted anew, everything sorted.

use kernels::cambi::SCALES;

/// What there is to know beside the levels.
pub struct Settings<'a> {
    /// Average 2x2 levels first.
    pub averaged: bool,
    /// Halve the picture before the first scale.
    pub halved: bool,
    /// Side of the window at every scale; odd.
    pub window: usize,
    /// For steps of 1, 2, ...: the brightest level where they are seen.
    pub brightest: &'a [i32],
    /// The dimmest level at which anything is seen.
    pub dimmest: i32,
    pub topk: f64,
}

const WEIGHTS: [i64; 32] = [
    1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
];

/// A plane that can be asked for any place.
#[derive(Clone)]
struct Grid {
    values: Vec<i32>,
    width: usize,
    height: usize,
}

impl Grid {
    fn new(width: usize, height: usize, value: impl Fn(usize, usize) -> i32) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { values: places.map(|(x, y)| value(x, y)).collect(), width, height }
    }

    fn get(&self, x: isize, y: isize) -> Option<i32> {
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        (x < self.width && y < self.height).then(|| self.values[y * self.width + x])
    }

    fn at(&self, x: usize, y: usize) -> i32 {
        self.values[y * self.width + x]
    }

    fn repeated(&self, x: usize, y: usize) -> i32 {
        self.at(x.min(self.width - 1), y.min(self.height - 1))
    }

    fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        Self::new(width, height, |x, y| self.at(2 * x, 2 * y))
    }
}

/// The level of ten bits of a sample.
pub fn level(sample: u16, bit_depth: u32) -> i32 {
    let sample = i32::from(sample);
    match bit_depth {
        8 => sample << 2,
        9 => sample << 1,
        10 => sample,
        _ => (sample + (1 << (bit_depth - 11))) >> (bit_depth - 10),
    }
}

/// The score of a picture of levels.
pub fn cambi(levels: &[i32], width: usize, height: usize, settings: &Settings<'_>) -> f64 {
    let mut picture = Grid::new(width, height, |x, y| levels[y * width + x]);
    if settings.averaged {
        let raw = picture.clone();
        picture = Grid::new(width, height, |x, y| {
            let around = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)];
            around.iter().map(|(x, y)| raw.repeated(*x, *y)).sum::<i32>() >> 2
        });
    }
    let mut mask = mask(&picture);
    let mut score = 0.0;
    for scale in 0..SCALES {
        if scale > 0 || settings.halved {
            (picture, mask) = (picture.halved(), mask.halved());
        }
        picture = smooth(&picture);
        score +=
            mean(&contrasts(&picture, &mask, settings), settings.topk) * f64::from(16 >> scale);
    }
    score / (settings.window * settings.window) as f64
}

fn mask(picture: &Grid) -> Grid {
    let flat = Grid::new(picture.width, picture.height, |x, y| {
        let level = picture.at(x, y);
        i32::from(level == picture.repeated(x + 1, y) && level == picture.repeated(x, y + 1))
    });
    let blocks = (picture.width / 64) * (picture.height / 64);
    let octaves = (0..).find(|octaves| blocks <= 1 << octaves).expect("some power is larger");
    let least = (49 + 3 * (octaves - 11) - 1) >> 1;
    Grid::new(picture.width, picture.height, |x, y| {
        let sum: i32 = around(x, y, 3).filter_map(|(x, y)| flat.get(x, y)).sum();
        i32::from(sum > least)
    })
}

fn around(x: usize, y: usize, reach: isize) -> impl Iterator<Item = (isize, isize)> {
    let (x, y) = (x as isize, y as isize);
    (-reach..=reach).flat_map(move |dy| (-reach..=reach).map(move |dx| (x + dx, y + dy)))
}

fn mode(levels: [i32; 3]) -> i32 {
    let twice = |level: &&i32| levels.iter().filter(|other| other == level).count() > 1;
    *levels.iter().find(twice).unwrap_or(levels.iter().min().expect("three"))
}

fn smooth(picture: &Grid) -> Grid {
    let (width, height) = (picture.width, picture.height);
    let across = Grid::new(width, height, |x, y| {
        if x == 0 || x == width - 1 {
            return picture.at(x, y);
        }
        mode([picture.at(x - 1, y), picture.at(x, y), picture.at(x + 1, y)])
    });
    Grid::new(width, height, |x, y| {
        if y == 0 || y == height - 1 {
            return picture.at(x, y);
        }
        mode([across.at(x, y - 1), across.at(x, y), across.at(x, y + 1)])
    })
}

fn contrasts(picture: &Grid, mask: &Grid, settings: &Settings<'_>) -> Vec<f32> {
    let steps = settings.brightest.len();
    let reach = (settings.window / 2) as isize;
    let places = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (x, y)));
    let contrast = |(x, y)| {
        if mask.at(x, y) == 0 {
            return 0.0;
        }
        let own = picture.at(x, y);
        let mut counts = vec![0_i64; 2 * steps + 1];
        for (x, y) in around(x, y, reach) {
            let (Some(level), Some(1)) = (picture.get(x, y), mask.get(x, y)) else { continue };
            if let Some(count) = counts.get_mut((level - own + steps as i32) as usize) {
                *count += 1;
            }
        }
        let p = counts[steps];
        let counts_at = |step: &usize| {
            own <= settings.brightest[step - 1] && own + (steps + step) as i32 > settings.dimmest
        };
        (1..=steps).filter(counts_at).fold(0.0_f32, |most, step| {
            let q = counts[steps + step].max(counts[steps - step]);
            most.max((WEIGHTS[step - 1] * p * q) as f32 * reciprocal(p + q))
        })
    };
    places.map(contrast).collect()
}

/// Nine significant digits, then the nearest `f32`.
fn reciprocal(sum: i64) -> f32 {
    format!("{:.8e}", 1.0 / sum as f64).parse().expect("a number")
}

fn mean(contrasts: &[f32], topk: f64) -> f64 {
    let mut sorted = contrasts.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let count = ((topk * sorted.len() as f64) as usize).clamp(1, sorted.len());
    sorted[..count].iter().map(|contrast| f64::from(*contrast)).sum::<f64>() / count as f64
}
