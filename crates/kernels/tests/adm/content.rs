//! Seeded pictures for the ADM tests: integer arithmetic only, so that every machine makes the same.

use kernels::{PlaneRef, Samples};

/// SplitMix64: small, seeded, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: i64) -> i64 {
        ((self.next() >> 11) % bound as u64) as i64
    }
}

/// What a pair of pictures shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Smooth texture with grain; the distorted picture is coarsely quantised.
    Quantised,
    /// Smooth texture; the distorted picture has more contrast.
    Enhanced,
    /// Texture and the same with added noise.
    Noisy,
    /// Independent noise in both.
    Noise,
    /// One value everywhere, the same in both.
    Flat,
    /// All samples least against all greatest.
    Saturated,
    /// A checkerboard of extremes against its negative.
    Checkerboard,
    /// One value, with the lowest bit flipped here and there in the distorted picture.
    SingleBit,
    /// A steep pattern that wraps around at full scale, the distorted one shifted in value.
    WrapAround,
    /// Extremes at random, a third of them flipped in the distorted picture.
    Flipped,
}

impl Content {
    pub const ALL: [Self; 10] = [
        Self::Quantised,
        Self::Enhanced,
        Self::Noisy,
        Self::Noise,
        Self::Flat,
        Self::Saturated,
        Self::Checkerboard,
        Self::SingleBit,
        Self::WrapAround,
        Self::Flipped,
    ];
}

/// A triangle wave of `period` positions, 0 to `top` and back.
fn triangle(position: i64, period: i64, top: i64) -> i64 {
    let phase = position % period;
    2 * top * phase.min(period - phase) / period
}

/// A pair of pictures with rows `stride` samples apart; what lies between rows is noise.
pub struct Pair {
    width: usize,
    height: usize,
    stride: usize,
    bit_depth: u32,
    bytes: [Vec<u8>; 2],
    words: [Vec<u16>; 2],
}

impl Pair {
    pub fn new(
        content: Content,
        [width, height]: [usize; 2],
        stride: usize,
        bit_depth: u32,
        seed: u64,
    ) -> Self {
        let mut random = Random::new(seed);
        let max = (1_i64 << bit_depth) - 1;
        let mut words: [Vec<u16>; 2] = std::array::from_fn(|_| {
            (0..stride * height).map(|_| random.below(max + 1) as u16).collect()
        });
        let [period_x, period_y] = [5 + random.below(60), 5 + random.below(60)];
        let level = random.below(max + 1);
        for y in 0..height {
            for x in 0..width {
                let at = [x as i64, y as i64];
                let samples = sample(content, at, [period_x, period_y], [level, max], &mut random);
                for (picture, sample) in words.iter_mut().zip(samples) {
                    picture[y * stride + x] = sample as u16;
                }
            }
        }
        let narrow = |picture: &Vec<u16>| picture.iter().map(|sample| *sample as u8).collect();
        let bytes =
            if bit_depth == 8 { [narrow(&words[0]), narrow(&words[1])] } else { [vec![], vec![]] };
        Self { width, height, stride, bit_depth, bytes, words }
    }

    fn plane(&self, picture: usize) -> PlaneRef<'_> {
        let samples = if self.bit_depth == 8 {
            Samples::U8(&self.bytes[picture])
        } else {
            Samples::U16(&self.words[picture])
        };
        PlaneRef::new(samples, self.width, self.height, self.stride, self.bit_depth)
            .expect("the picture has all its rows")
    }

    pub fn reference(&self) -> PlaneRef<'_> {
        self.plane(0)
    }

    pub fn distorted(&self) -> PlaneRef<'_> {
        self.plane(1)
    }
}

fn sample(
    content: Content,
    [x, y]: [i64; 2],
    [period_x, period_y]: [i64; 2],
    [level, max]: [i64; 2],
    random: &mut Random,
) -> [i64; 2] {
    let texture =
        triangle(x + y / 3, period_x, max / 2) + triangle(y + x / 5, period_y, max / 4) + max / 8;
    let pair = match content {
        Content::Quantised => {
            let grained = texture + random.below(max / 16 + 1);
            let step = max / 20 + 1;
            [grained, texture / step * step + step / 2]
        }
        Content::Enhanced => {
            let grained = texture + random.below(max / 32 + 1);
            [grained, max / 2 + (grained - max / 2) * 5 / 4]
        }
        Content::Noisy => [texture, texture + random.below(max / 8 + 1) - max / 16],
        Content::Noise => [random.below(max + 1), random.below(max + 1)],
        Content::Flat => [level, level],
        Content::Saturated => [0, max],
        Content::Checkerboard => {
            let square = (x / (period_x % 4 + 1) + y / (period_y % 4 + 1)) % 2 * max;
            [square, max - square]
        }
        Content::SingleBit => [level, level ^ i64::from(random.below(64) == 0)],
        Content::WrapAround => {
            let steep = x * x * period_x + y * y * period_y + x * y;
            [steep & max, (steep + level) & max]
        }
        Content::Flipped => {
            let extreme = random.below(2) * max;
            [extreme, if random.below(3) == 0 { max - extreme } else { extreme }]
        }
    };
    pair.map(|sample| sample.clamp(0, max))
}
