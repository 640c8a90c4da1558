//! Pictures made by arithmetic alone, the same on every machine.
#![allow(dead_code, reason = "each test crate takes what it needs")]

use kernels::{PlaneRef, Samples};

/// The splitmix64 generator.
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What a pair of pictures looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Moving waves with grain; the distorted picture is coarser and has its own grain.
    Texture,
    /// Every sample at random, in both pictures.
    Noise,
    /// One value each.
    Flat,
    /// All samples at the largest value, and at zero.
    Saturated,
    /// Black and white by turns; the distorted picture is shifted by one.
    Checkerboard,
    /// Black but for one sample at its largest.
    SingleSample,
    /// Blocks of black and white that differ at random between the pictures.
    Blocks,
}

impl Content {
    pub const ALL: [Self; 7] = [
        Self::Texture,
        Self::Noise,
        Self::Flat,
        Self::Saturated,
        Self::Checkerboard,
        Self::SingleSample,
        Self::Blocks,
    ];
}

/// One plane of samples with its geometry.
#[derive(Clone, Debug)]
pub struct Plane {
    pub samples: Vec<u16>,
    pub bytes: Vec<u8>,
    pub width: usize,
    pub height: usize,
    pub stride: usize,
    pub bit_depth: u32,
}

impl Plane {
    /// A plane of these samples, row after row.
    pub fn of(samples: Vec<u16>, width: usize, height: usize, bit_depth: u32) -> Self {
        let bytes = samples.iter().map(|sample| *sample as u8).collect();
        Self { samples, bytes, width, height, stride: width, bit_depth }
    }

    fn from_fn(
        size: (usize, usize),
        bit_depth: u32,
        mut sample: impl FnMut(usize, usize) -> u64,
    ) -> Self {
        let (width, height) = size;
        let mut samples = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                samples.push(sample(x, y).min((1 << bit_depth) - 1) as u16);
            }
        }
        Self::of(samples, width, height, bit_depth)
    }

    /// The same picture with rows `gap` samples further apart; what lies between is not picture.
    pub fn with_gap(&self, gap: usize) -> Self {
        let stride = self.stride + gap;
        let mut samples = vec![0xA5A5; stride * self.height];
        for (row, source) in samples.chunks_mut(stride).zip(self.samples.chunks(self.stride)) {
            row[..self.width].copy_from_slice(&source[..self.width]);
        }
        let bytes = samples.iter().map(|sample| *sample as u8).collect();
        Self { samples, bytes, stride, ..*self }
    }

    pub fn view(&self) -> PlaneRef<'_> {
        let samples = match self.bit_depth {
            8 => Samples::U8(&self.bytes),
            _ => Samples::U16(&self.samples),
        };
        PlaneRef::new(samples, self.width, self.height, self.stride, self.bit_depth)
            .expect("the geometry is its own")
    }
}

fn triangle(position: usize, period: usize) -> u64 {
    let phase = position % period;
    (phase.min(period - phase) * 2048 / period) as u64
}

fn texture(size: (usize, usize), bit_depth: u32, frame: usize, seed: u64) -> (Plane, Plane) {
    let mut random = SplitMix64(seed ^ ((frame as u64) << 32));
    let scaled = |value: u64| (value << bit_depth) >> 12;
    let waves = |x: usize, y: usize| {
        triangle(x + 3 * frame, 37)
            + triangle(2 * y + 5 * x + frame, 101)
            + triangle(x * y / 7 + 2 * frame, 23) / 2
            + triangle(y, 211)
    };
    let reference = Plane::from_fn(size, bit_depth, |x, y| scaled(waves(x, y) + random.below(160)));
    let distorted = Plane::from_fn(size, bit_depth, |x, y| {
        let (coarse_x, coarse_y) = (x / 3 * 3, y / 2 * 2);
        scaled((3 * waves(x, y) + 5 * waves(coarse_x, coarse_y)) / 8 + random.below(96))
    });
    (reference, distorted)
}

/// A reference picture and its distorted twin.
pub fn pair(
    content: Content,
    size: (usize, usize),
    bit_depth: u32,
    frame: usize,
    seed: u64,
) -> (Plane, Plane) {
    let mut random = SplitMix64(seed.wrapping_add(frame as u64));
    let (width, height) = size;
    let max = (1_u64 << bit_depth) - 1;
    let make =
        |sample: &mut dyn FnMut(usize, usize) -> u64| Plane::from_fn(size, bit_depth, sample);
    match content {
        Content::Texture => texture(size, bit_depth, frame, seed),
        Content::Noise => {
            (make(&mut |_, _| random.next() & max), make(&mut |_, _| random.next() & max))
        }
        Content::Flat => {
            let (a, b) = (random.next() & max, random.next() & max);
            (make(&mut |_, _| a), make(&mut |_, _| b))
        }
        Content::Saturated => {
            let (a, b) = if frame.is_multiple_of(2) { (max, 0) } else { (0, max) };
            (make(&mut |_, _| a), make(&mut |_, _| b))
        }
        Content::Checkerboard => (
            make(&mut |x, y| ((x + y + frame) as u64 & 1) * max),
            make(&mut |x, y| ((x + y + frame + 1) as u64 & 1) * max),
        ),
        Content::SingleSample => {
            let at = (random.below(width as u64) as usize, random.below(height as u64) as usize);
            let other = (random.below(width as u64) as usize, random.below(height as u64) as usize);
            (
                make(&mut |x, y| if (x, y) == at { max } else { 0 }),
                make(&mut |x, y| if (x, y) == other { max } else { 0 }),
            )
        }
        Content::Blocks => {
            let mut blocks = |side: usize| {
                let columns = width / side + 1;
                let cells: Vec<bool> =
                    (0..columns * (height / side + 1)).map(|_| random.next() & 1 == 1).collect();
                Plane::from_fn(size, bit_depth, |x, y| {
                    if cells[y / side * columns + x / side] { max } else { 0 }
                })
            };
            (blocks(9), blocks(5))
        }
    }
}

/// Ramps in both directions with bands of some levels and a little grain.
pub fn bands((width, height): (usize, usize), bit_depth: u32, seed: u64) -> Plane {
    let mut random = SplitMix64(seed);
    let unit = 1_u64 << (bit_depth - 8);
    let (slope, base) = (3 + random.below(20), 20 + random.below(60));
    let grain = 2 + random.below(30);
    let mut samples = Vec::with_capacity(width * height);
    for y in 0..height as u64 {
        for x in 0..width as u64 {
            let more = u64::from(random.below(grain) == 0);
            samples.push((((x + y / 2) / slope + base) * unit + more).min(256 * unit - 1) as u16);
        }
    }
    Plane::of(samples, width, height, bit_depth)
}
