//! The lanes against the definition, pixel by pixel.

use super::exact::Colours;
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
