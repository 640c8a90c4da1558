//! The lanes against the definition, pixel by pixel.

use super::dd;
use super::exact::{Colours, LINEAR_MAX, ROOT_MIN, curved};
use super::fast::groups;
use super::functions::{angle, cube_root, decay, linear, sine};
use super::*;
use crate::isa::every_isa;
use crate::plane::Samples;

fn random() -> impl FnMut() -> u64 {
    let mut state = 7_u64;
    move || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        state >> 33
    }
}

/// Pairs of pixels of one bit depth: anything, neighbours, greys, and black and white.
fn colours(count: usize, bit_depth: u32) -> Vec<Colours> {
    let mut next = random();
    let max = (1_u64 << bit_depth) - 1;
    let grey = (1 << (bit_depth - 1)) as u16;
    (0..count)
        .map(|at| {
            let mut pixel = || [0, 1, 2].map(|_| (next() % (max + 1)) as u16);
            let (mut first, mut second) = (pixel(), pixel());
            match at % 4 {
                0 => {}
                1 => second = [0, 1, 2].map(|n| (first[n] ^ (second[n] & 1)).min(max as u16)),
                2 => {
                    first[1..].fill(grey);
                    let off = second[1] % 2;
                    second[1..].fill(grey + off);
                }
                _ => first = first.map(|sample| if sample > grey { max as u16 } else { 0 }),
            }
            [first, second]
        })
        .collect()
}

/// Every instruction set's difference of each pair against the definition's.
fn check(count: usize, bit_depth: u32) -> usize {
    let colours = colours(count, bit_depth);
    let mut memory = Memory::default();
    let expected: Vec<f32> =
        colours.iter().map(|pair| memory.difference(*pair, bit_depth)).collect();
    let mut compared = 0;
    for isa in every_isa() {
        let (mut run, mut memory) = (Run::default(), Memory::default());
        for (pair, expected) in colours.iter().zip(&expected) {
            // One of a kind, so that the sum of a row is its only difference.
            let row = pair.each_ref().map(|pixel| pixel.each_ref().map(std::slice::from_ref));
            let sum = add_row(isa, &row, bit_depth, &mut run, &mut memory, 0.0);
            assert_eq!(sum, f64::from(*expected), "{pair:?} at {bit_depth} bits on {isa}");
            compared += 1;
        }
        for (pairs, expected) in colours.chunks(150).zip(expected.chunks(150)) {
            let planes: [[Vec<u16>; 3]; 2] = std::array::from_fn(|picture| {
                std::array::from_fn(|plane| pairs.iter().map(|pair| pair[picture][plane]).collect())
            });
            let row = planes.each_ref().map(|planes| planes.each_ref().map(Vec::as_slice));
            let sum = add_row(isa, &row, bit_depth, &mut run, &mut memory, 0.5);
            let expected = expected.iter().fold(0.5, |sum, value| sum + f64::from(*value));
            assert_eq!(sum, expected, "a row at {bit_depth} bits on {isa}");
            compared += pairs.len();
        }
    }
    compared
}

#[test]
fn every_instruction_set_gives_the_bits_of_the_definition() {
    let compared: usize = [8, 10, 12, 16].map(|bit_depth| check(3000, bit_depth)).iter().sum();
    assert_eq!(compared, 4 * 6000 * every_isa().len());
}

struct Planes([Vec<u8>; 3]);

impl Planes {
    fn views(&self, sizes: [(usize, usize); 3]) -> [PlaneRef<'_>; 3] {
        std::array::from_fn(|plane| {
            let (width, height) = sizes[plane];
            PlaneRef::new(Samples::U8(&self.0[plane]), width, height, width, 8).expect("fits")
        })
    }
}

fn planes(
    layout: ChromaLayout,
    width: usize,
    height: usize,
    seed: u64,
) -> (Planes, [(usize, usize); 3]) {
    let chroma = layout.chroma_size(width, height);
    let sizes = [(width, height), chroma, chroma];
    let mut next = random();
    for _ in 0..seed {
        next();
    }
    (Planes(sizes.map(|(w, h)| (0..w * h).map(|_| next() as u8).collect())), sizes)
}

/// The chroma that libvmaf takes for a pixel.
fn place(layout: ChromaLayout, width: usize, x: usize, y: usize) -> Option<(usize, usize)> {
    match layout {
        ChromaLayout::Full => Some((x, y)),
        ChromaLayout::Quarter => Some((x / 2, y / 2)),
        ChromaLayout::HalfWidth => {
            let stride = (width / 2).div_ceil(32) * 32;
            let (x, y) = (x % stride, y / 2 + x / stride);
            (x < width / 2).then_some((x, y))
        }
    }
}

#[test]
fn chroma_of_every_layout_is_taken_from_its_place() {
    let mut compared = 0;
    for layout in [ChromaLayout::Full, ChromaLayout::HalfWidth, ChromaLayout::Quarter] {
        for (width, height) in [(34, 20), (64, 6), (97, 5), (130, 4), (2, 2)] {
            let (first, sizes) = planes(layout, width, height, 1);
            let (second, _) = planes(layout, width, height, 99);
            let mut memory = Memory::default();
            let mut expected = 0.0;
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let pair = [&first, &second].map(|picture| {
                    std::array::from_fn(|plane| {
                        let at = if plane == 0 { Some((x, y)) } else { place(layout, width, x, y) };
                        at.map_or(0, |(x, y)| u16::from(picture.0[plane][y * sizes[plane].0 + x]))
                    })
                });
                expected += f64::from(memory.difference(pair, 8));
            }
            for isa in every_isa() {
                let views = [first.views(sizes), second.views(sizes)];
                let mut scratch = CiedeScratch::new();
                let sum = ciede_sum(isa, layout, &views[0], &views[1], &mut scratch);
                assert_eq!(sum, Ok(expected), "{layout:?} {width}x{height} {isa}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 15 * every_isa().len());
}

#[test]
fn equal_pictures_are_infinitely_good_and_shapes_are_checked() {
    let (picture, sizes) = planes(ChromaLayout::Quarter, 70, 9, 3);
    let views = picture.views(sizes);
    for isa in every_isa() {
        let mut scratch = CiedeScratch::new();
        let sum = ciede_sum(isa, ChromaLayout::Quarter, &views, &views, &mut scratch);
        assert_eq!(sum, Ok(0.0));
        let refused = ciede_sum(isa, ChromaLayout::Full, &views, &views, &mut scratch);
        assert_eq!(refused, Err(ShapeMismatch));
    }
    assert_eq!(ciede2000(0.0, 630), f64::INFINITY);
}

#[test]
fn samples_above_the_bit_depth_do_no_harm() {
    let mut next = random();
    let planes = [0, 1, 2, 3].map(|_| (0..200).map(|_| next() as u16).collect::<Vec<_>>());
    let view = |at: usize| PlaneRef::new(Samples::U16(&planes[at]), 20, 10, 20, 10).expect("fits");
    let (first, second) = ([view(0), view(1), view(2)], [view(3), view(0), view(1)]);
    let sums = every_isa().into_iter().map(|isa| {
        ciede_sum(isa, ChromaLayout::Full, &first, &second, &mut CiedeScratch::new())
            .expect("one shape")
            .to_bits()
    });
    let sums: Vec<_> = sums.collect();
    assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{sums:?}");
}

/// What the lanes compute of the numbers `x`.
#[derive(Clone, Copy, Debug)]
enum Function {
    Linear,
    CubeRoot,
    Sine,
    Decay,
    /// Of the point (`x - 2`, `1 - x`).
    Angle,
    Inverse,
    Root,
    InverseRoot,
    RootForSingle,
}

per_isa! {
    fn of_lanes(function: Function, x: &[f64; CHUNK], result: &mut [f64; CHUNK]) = of_lanes_body, with vector;
}

#[inline(always)]
fn of_lanes_body<V: Lanes>(v: V, function: Function, x: &[f64; CHUNK], result: &mut [f64; CHUNK]) {
    for at in groups(v) {
        let x = v.load(x, at);
        let one = v.splat(1.0);
        let group = match function {
            Function::Linear => linear(v, x),
            Function::CubeRoot => cube_root(v, x),
            Function::Sine => sine(v, x),
            Function::Decay => decay(v, x),
            Function::Angle => angle(v, v.sub(one, x), v.sub(x, v.splat(2.0))),
            Function::Inverse => v.quotient(one, x),
            Function::Root => v.root(x),
            Function::InverseRoot => v.inverse_root(x),
            Function::RootForSingle => v.root_for_single(x),
        };
        v.store(group, result, at);
    }
}

impl Function {
    fn exactly(self, x: f64) -> f64 {
        match self {
            Self::Linear => dd::pow(curved(x), 2.4),
            Self::CubeRoot => dd::pow(x, 1.0 / 3.0),
            Self::Sine => dd::sin(x),
            Self::Decay => dd::exp(-x),
            Self::Angle => dd::atan2(1.0 - x, x - 2.0),
            Self::Inverse => 1.0 / x,
            Self::Root | Self::RootForSingle => x.sqrt(),
            Self::InverseRoot => 1.0 / x.sqrt(),
        }
    }
}

#[test]
fn functions_of_lanes_err_by_less_than_they_may() {
    use Function::*;
    let ranges = [
        (Linear, LINEAR_MAX + 1e-9, 2.4),
        (CubeRoot, ROOT_MIN + 1e-9, 2.0),
        (Sine, -1.571, 1.571),
        (Decay, 1e-9, 79.9),
        (Angle, -40.0, 40.0),
        (Inverse, 1e-3, 500.0),
        (Root, 0.0, 1e5),
        (InverseRoot, 1e-9, 1e30),
    ];
    let mut next = random();
    for (function, least, most) in ranges {
        for _ in 0..100 {
            let x = [(); CHUNK].map(|()| least + (most - least) * (next() as f64 / 2_f64.powi(31)));
            let expected = x.map(|x| function.exactly(x));
            for isa in every_isa() {
                let mut given = [0.0; CHUNK];
                of_lanes(isa, function, &x, &mut given);
                for ((x, given), expected) in x.iter().zip(given).zip(expected) {
                    let off = (given - expected).abs();
                    let allowed = expected.abs() * 2_f64.powi(-45);
                    assert!(off <= allowed, "{function:?} of {x:?} on {isa}: {given:?}");
                }
            }
        }
    }
}

/// Squares of the middles between two `f32`, and what is next to them.
#[test]
fn roots_are_rounded_to_f32_as_those_of_the_machine() {
    let mut next = random();
    let mut middles = 0;
    for _ in 0..20_000 {
        let mut x = [0.0; CHUNK];
        for (at, x) in x.iter_mut().enumerate() {
            // 24 bits and one more; one in four next to where the binade or the root's begins.
            let odd = match next() % 8 {
                0 => (1 << 24) + 1 + 2 * (next() % 4),
                1 => (1 << 25) - 1 - 2 * (next() % 4),
                2 => 23_726_559 + 2 * (next() % 8),
                _ => (1 << 24) + 1 + 2 * (next() % (1 << 23)),
            };
            let square = (odd * odd) as f64;
            *x = f64::from_bits((square.to_bits() + at as u64 % 7) - 3);
            middles += usize::from(*x == square);
        }
        for isa in every_isa() {
            let mut given = [0.0; CHUNK];
            of_lanes(isa, Function::RootForSingle, &x, &mut given);
            for (x, given) in x.iter().zip(given) {
                assert_eq!(given as f32, x.sqrt() as f32, "{x:?} on {isa}");
            }
        }
    }
    assert!(middles > 300_000, "{middles}");
}
