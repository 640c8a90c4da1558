//! Memory for what is large and lives for one call: extractors that run one after the other on a thread
//! take it in turn, so that the largest alone counts.
//!
//! An [`Arena`] grows to the most that was asked for. A call divides its [`Room`] into runs of
//! numbers, which hold whatever was there before: whoever takes one writes before it reads.

/// What runs begin at: a cache line, which holds a whole vector of any instruction set.
const LINE_BYTES: usize = 64;
const LINE_WORDS: usize = LINE_BYTES / size_of::<u64>();

/// Memory in words, so that zeroed memory is taken from the system as it is, and what nobody touches
/// of it stays there.
type Line = [u64; LINE_WORDS];

/// Memory that calls take in turn.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    words: Vec<u64>,
}

impl Arena {
    /// Without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// At least as much memory as these runs take.
    pub(crate) fn room(&mut self, need: Need) -> Room<'_> {
        // One line more, for the words before the first that begins as lines do.
        let words = (need.0 + 1) * LINE_WORDS;
        if self.words.len() < words {
            // Nothing of it is kept, so that old and new are never there together.
            self.words = Vec::new();
            self.words = vec![0; words];
        }
        let before = self.words.as_ptr().align_offset(LINE_BYTES).min(LINE_WORDS);
        Room { rest: &mut self.words[before..].as_chunks_mut().0[..need.0] }
    }

    /// Writes the same byte everywhere, for tests of what must not depend on what was there before.
    #[cfg(test)]
    pub(crate) fn soil(&mut self, byte: u8) {
        self.words.fill(u64::from_ne_bytes([byte; 8]));
    }
}

/// How much memory runs take together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Need(usize);

impl Need {
    /// One more run of `len` numbers.
    pub(crate) fn and<T: Number>(self, len: usize) -> Self {
        Self(self.0 + lines_of::<T>(len))
    }

    /// As much for each of `count`.
    pub(crate) fn times(self, count: usize) -> Self {
        Self(self.0 * count)
    }
}

/// What is left of the memory of one call.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    rest: &'a mut [Line],
}

impl<'a> Room<'a> {
    /// One part of room for several that need as much each.
    ///
    /// # Panics
    /// When it was not asked for.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn part(&mut self, need: Need, index: usize) -> Room<'_> {
        Room { rest: &mut self.rest[index * need.0..][..need.0] }
    }

    /// A run of `len` numbers, which mean nothing yet.
    ///
    /// # Panics
    /// When it was not asked for.
    pub(crate) fn take<T: Number>(&mut self, len: usize) -> &'a mut [T] {
        let (lines, rest) = std::mem::take(&mut self.rest).split_at_mut(lines_of::<T>(len));
        self.rest = rest;
        // SAFETY: `lines` has at least `len` numbers' bytes, is borrowed for `'a` by nobody else, and
        // as words it begins at an address that any `Number` may lie at; every pattern of bits is a
        // `Number`.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), len) }
    }
}

fn lines_of<T>(len: usize) -> usize {
    (len * size_of::<T>()).div_ceil(LINE_BYTES)
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i16 {}
    impl Sealed for u16 {}
    impl Sealed for i32 {}
    impl Sealed for f32 {}
}

/// Plain numbers, no larger than a word: every pattern of bits is one, and a word's address is good
/// for them.
pub(crate) trait Number: sealed::Sealed + Copy {}
impl<T: sealed::Sealed + Copy> Number for T {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adm::{AdmOptions, AdmParams, AdmScratch, adm_each};
    use crate::cambi::{CambiOptions, CambiParams, CambiScratch, CambiSide, cambi};
    use crate::isa::every_isa;
    use crate::plane::{PlaneRef, Samples};

    #[test]
    fn runs_begin_at_lines_and_lie_apart() {
        let mut arena = Arena::new();
        for len in [0, 1, 31, 32, 33, 1000] {
            let need = Need::default().and::<u16>(len).and::<f32>(7).and::<i32>(len);
            let mut room = arena.room(need);
            let (words, floats) = (room.take::<u16>(len), room.take::<f32>(7));
            let ints = room.take::<i32>(len);
            words.fill(0xabcd);
            floats.fill(-1.5);
            ints.fill(-2);
            assert!(words.iter().all(|word| *word == 0xabcd), "{len}");
            assert_eq!((&*floats, ints.iter().all(|int| *int == -2)), (&[-1.5; 7][..], true));
            assert_eq!(floats.as_ptr() as usize % LINE_BYTES, 0);
            assert_eq!((words.len(), ints.len()), (len, len));
        }
    }

    #[test]
    fn parts_lie_apart_and_are_found_again() {
        let mut arena = Arena::new();
        let need = Need::default().and::<i16>(40).and::<i32>(3);
        let mut room = arena.room(need.times(3));
        for part in 0..3 {
            let mut room = room.part(need, part);
            room.take::<i16>(40).fill(part as i16);
            room.take::<i32>(3).fill(part as i32);
        }
        for part in 0..3 {
            let mut room = room.part(need, part);
            assert_eq!(room.take::<i16>(40)[..], [part as i16; 40]);
            assert_eq!(room.take::<i32>(3)[..], [part as i32; 3]);
        }
    }

    /// Noise in the upper half, steps of a gradient in the lower.
    fn picture(width: usize, height: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let sample = |at: usize| match at / width {
            row if row < height / 2 => noise(),
            _ => 60 + (at % width / 24) as u8,
        };
        (0..width * height).map(sample).collect()
    }

    #[test]
    fn what_was_there_before_changes_no_result() {
        let mut compared = 0;
        for (width, height) in [(322, 240), (227, 219)] {
            let pictures = [1, 2].map(|seed| picture(width, height, seed));
            let [reference, distorted] = pictures.each_ref().map(|samples| {
                PlaneRef::new(Samples::U8(samples), width, height, width, 8).expect("it fits")
            });
            let adm_params = AdmParams::new(AdmOptions::default()).expect("defaults");
            let cambi_params =
                CambiParams::new(CambiOptions::default(), width, height, 8).expect("large enough");
            for isa in every_isa() {
                let (mut adm_scratch, mut cambi_scratch) =
                    (AdmScratch::default(), CambiScratch::new());
                let mut arena = Arena::new();
                let mut run = |arena: &mut Arena| {
                    adm_scratch.swap_arena(arena);
                    let scores =
                        adm_each(isa, &reference, &[distorted; 2], &adm_params, &mut adm_scratch);
                    adm_scratch.swap_arena(arena);
                    cambi_scratch.swap_arena(arena);
                    let side = CambiSide::Distorted;
                    let banding =
                        cambi(isa, &distorted, side, &cambi_params, &mut cambi_scratch, None);
                    cambi_scratch.swap_arena(arena);
                    (scores.expect("one shape"), banding.expect("as announced").to_bits())
                };
                let fresh = run(&mut arena);
                assert!(f64::from_bits(fresh.1) > 0.0, "there are steps to be seen");
                for byte in [0, 0x55, 0x80, 0xff] {
                    arena.soil(byte);
                    assert_eq!(run(&mut arena), fresh, "{isa} {width}x{height} after {byte:#x}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 0);
    }

    #[test]
    fn memory_is_kept_for_whoever_needs_less() {
        let mut arena = Arena::new();
        let address = arena.room(Need::default().and::<i32>(5000)).take::<i32>(5000).as_ptr();
        arena.soil(3);
        let words = arena.room(Need::default().and::<i16>(9)).take::<i16>(9);
        assert_eq!((words.as_ptr().cast(), words[8]), (address, 0x0303));
    }

    #[test]
    #[should_panic(expected = "mid > len")]
    fn more_than_was_asked_for_is_not_given() {
        let mut arena = Arena::new();
        arena.room(Need::default().and::<i16>(32)).take::<i16>(33);
    }
}
