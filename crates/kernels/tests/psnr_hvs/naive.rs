//! PSNR-HVS by its formula, one block and one coefficient after the other, and nothing shared with the
//! kernel: the transform is written out as the steps of Daala's, and numbers are those of the metric's
//! tables.

use super::synthetic::Plane;

type Table = [[f64; 8]; 8];

/// What the metric takes from a table of sensitivities to make its own masking table.
const MASK_SCALE: f64 = 0.3885746225901003;

/// Half, towards zero.
fn half(value: i64) -> i64 {
    value / 2
}

/// A product with a fraction of a power of two, rounded to nearest, halves upwards.
fn part(value: i64, factor: i64, shift: u32) -> i64 {
    (value * factor + (1 << (shift - 1))).div_euclid(1 << shift)
}

/// Eight samples in, eight coefficients out.
fn transform(x: [i64; 8]) -> [i64; 8] {
    let [mut t0, mut t4, mut t2, mut t6, mut t7, mut t3, mut t5, mut t1] = x;
    // Butterflies: differences, then what is left of the sum.
    t1 = t0 - t1;
    let t1_half = half(t1);
    t0 -= t1_half;
    t4 += t5;
    let t4_half = half(t4);
    t5 -= t4_half;
    t3 = t2 - t3;
    t2 -= half(t3);
    t6 += t7;
    let t6_half = half(t6);
    t7 = t6_half - t7;
    t0 += t6_half;
    t6 = t0 - t6;
    t2 = t4_half - t2;
    t4 = t2 - t4;
    // The even half: two points, and a rotation.
    t0 -= part(t4, 13_573, 15);
    t4 += part(t0, 11_585, 14);
    t0 -= part(t4, 13_573, 15);
    t6 -= part(t2, 21_895, 15);
    t2 += part(t6, 15_137, 14);
    t6 -= part(t2, 21_895, 15);
    // The odd half: a rotation, butterflies, two rotations.
    t3 += part(t5, 19_195, 15);
    t5 += part(t3, 11_585, 14);
    t3 -= part(t5, 7489, 13);
    t7 = half(t5) - t7;
    t5 -= t7;
    t3 = t1_half - t3;
    t1 -= t3;
    t7 += part(t1, 3227, 15);
    t1 -= part(t7, 6393, 15);
    t7 += part(t1, 3227, 15);
    t5 += part(t3, 2485, 13);
    t3 -= part(t5, 18_205, 15);
    t5 += part(t3, 2485, 13);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

type Block = [[i64; 8]; 8];

fn transposed(block: &Block) -> Block {
    std::array::from_fn(|y| std::array::from_fn(|x| block[x][y]))
}

/// Columns, then rows.
fn coefficients(block: &Block) -> Block {
    transposed(&transposed(block).map(transform)).map(transform)
}

/// The sum of squared distances from the mean, in the order given, as an unbiased variance has it times
/// the number of samples.
fn variance(samples: &[i64]) -> f32 {
    let count = samples.len() as f32;
    let mean = samples.iter().sum::<i64>() as f32 / count;
    let squares = samples.iter().map(|sample| (*sample as f32 - mean) * (*sample as f32 - mean));
    squares.fold(0.0_f32, |sum, square| sum + square) * (1.0 / (count - 1.0) * count)
}

fn window(block: &Block, top: usize, left: usize, side: usize) -> Vec<i64> {
    block[top..top + side].iter().flat_map(|row| row[left..left + side].to_vec()).collect()
}

/// How strongly what is in a block masks errors.
fn masking(block: &Block, mask: &[[f32; 8]; 8]) -> f32 {
    let whole = variance(&window(block, 0, 0, 8));
    let mut share = 0.0_f32;
    if whole > 0.0 {
        for (top, left) in [(0, 0), (4, 0), (0, 4), (4, 4)] {
            share += variance(&window(block, top, left, 4));
        }
        share /= whole;
    }
    let coefficients = coefficients(block);
    let mut energy = 0.0_f32;
    for (y, x) in (0..64).map(|at| (at / 8, at % 8)).skip(1) {
        energy += (coefficients[y][x] * coefficients[y][x]) as f32 * mask[y][x];
    }
    (f64::from(energy * share).sqrt() / 32.0) as f32
}

fn block_at(plane: &Plane, x: usize, y: usize) -> Block {
    let sample = |row: usize, column: usize| plane.samples[(y + row) * plane.stride + x + column];
    std::array::from_fn(|row| std::array::from_fn(|column| i64::from(sample(row, column))))
}

/// The weighted error of a plane.
pub fn error(table: &Table, reference: &Plane, distorted: &Plane) -> f64 {
    let weights = table.map(|row| row.map(|weight| weight as f32));
    let mask = weights.map(|row| {
        row.map(|weight| {
            let scaled = f64::from(weight) * MASK_SCALE;
            (scaled * scaled) as f32
        })
    });
    let (mut sum, mut count) = (0.0_f32, 0_u64);
    for top in (0..).step_by(7).take_while(|top| top + 8 <= reference.height) {
        for left in (0..).step_by(7).take_while(|left| left + 8 <= reference.width) {
            let blocks = [reference, distorted].map(|plane| block_at(plane, left, top));
            let [first, second] = blocks.each_ref().map(coefficients);
            let [one, other] = blocks.each_ref().map(|block| masking(block, &mask));
            let hides = one.max(other);
            for (y, x) in (0..64).map(|at| (at / 8, at % 8)) {
                let mut error = (first[y][x] - second[y][x]).abs() as f32;
                if (y, x) != (0, 0) {
                    error = (error - hides / mask[y][x]).max(0.0);
                }
                let weighted = error * weights[y][x];
                sum += weighted * weighted;
                count += 1;
            }
        }
    }
    let peak = ((1_u32 << reference.bit_depth) - 1) as f32;
    f64::from(sum / count as f32 / (peak * peak))
}

#[rustfmt::skip]
pub const LUMA: Table = [
    [1.6193873005, 2.2901594831, 2.08509755623, 1.48366094411, 1.00227514334, 0.678296995242, 0.466224900598, 0.3265091542],
    [2.2901594831, 1.94321815382, 2.04793073064, 1.68731108984, 1.2305666963, 0.868920337363, 0.61280991668, 0.436405793551],
    [2.08509755623, 2.04793073064, 1.34329019223, 1.09205635862, 0.875748795257, 0.670882927016, 0.501731932449, 0.372504254596],
    [1.48366094411, 1.68731108984, 1.09205635862, 0.772819797575, 0.605636379554, 0.48309405692, 0.380429446972, 0.295774038565],
    [1.00227514334, 1.2305666963, 0.875748795257, 0.605636379554, 0.448996256676, 0.352889268808, 0.283006984131, 0.226951348204],
    [0.678296995242, 0.868920337363, 0.670882927016, 0.48309405692, 0.352889268808, 0.27032073436, 0.215017739696, 0.17408067321],
    [0.466224900598, 0.61280991668, 0.501731932449, 0.380429446972, 0.283006984131, 0.215017739696, 0.168869545842, 0.136153931001],
    [0.3265091542, 0.436405793551, 0.372504254596, 0.295774038565, 0.226951348204, 0.17408067321, 0.136153931001, 0.109083846276],
];

#[rustfmt::skip]
pub const CB: Table = [
    [1.91113096927, 2.46074210438, 1.18284184739, 1.14982565193, 1.05017074788, 0.898018824055, 0.74725392039, 0.615105596242],
    [2.46074210438, 1.58529308355, 1.21363250036, 1.38190029285, 1.33100189972, 1.17428548929, 0.996404342439, 0.830890433625],
    [1.18284184739, 1.21363250036, 0.978712413627, 1.02624506078, 1.03145147362, 0.960060382087, 0.849823426169, 0.731221236837],
    [1.14982565193, 1.38190029285, 1.02624506078, 0.861317501629, 0.801821139099, 0.751437590932, 0.685398513368, 0.608694761374],
    [1.05017074788, 1.33100189972, 1.03145147362, 0.801821139099, 0.676555426187, 0.605503172737, 0.55002013668, 0.495804539034],
    [0.898018824055, 1.17428548929, 0.960060382087, 0.751437590932, 0.605503172737, 0.514674450957, 0.454353482512, 0.407050308965],
    [0.74725392039, 0.996404342439, 0.849823426169, 0.685398513368, 0.55002013668, 0.454353482512, 0.389234902883, 0.342353999733],
    [0.615105596242, 0.830890433625, 0.731221236837, 0.608694761374, 0.495804539034, 0.407050308965, 0.342353999733, 0.295530605237],
];

#[rustfmt::skip]
pub const CR: Table = [
    [2.03871978502, 2.62502345193, 1.26180942886, 1.11019789803, 1.01397751469, 0.867069376285, 0.721500455585, 0.593906509971],
    [2.62502345193, 1.69112867013, 1.17180569821, 1.3342742857, 1.28513006198, 1.13381474809, 0.962064122248, 0.802254508198],
    [1.26180942886, 1.17180569821, 0.944981930573, 0.990876405848, 0.995903384143, 0.926972725286, 0.820534991409, 0.706020324706],
    [1.11019789803, 1.3342742857, 0.990876405848, 0.831632933426, 0.77418706195, 0.725539939514, 0.661776842059, 0.587716619023],
    [1.01397751469, 1.28513006198, 0.995903384143, 0.77418706195, 0.653238524286, 0.584635025748, 0.531064164893, 0.478717061273],
    [0.867069376285, 1.13381474809, 0.926972725286, 0.725539939514, 0.584635025748, 0.496936637883, 0.438694579826, 0.393021669543],
    [0.721500455585, 0.962064122248, 0.820534991409, 0.661776842059, 0.531064164893, 0.438694579826, 0.375820256136, 0.330555063063],
    [0.593906509971, 0.802254508198, 0.706020324706, 0.587716619023, 0.478717061273, 0.393021669543, 0.330555063063, 0.285345396658],
];
