//! A look at each frame: how much it moves, how much is in it. Cheap on purpose, a few percent of
//! what decoding it costs: every fourth sample of every fourth line.

use media::VideoInfo;

/// Every how many samples and lines one is looked at.
const EVERY: usize = 4;

/// Classes of brightness.
const BINS: usize = 32;

/// What a look tells. Brightness goes from 0 to 255 whatever the bit depth.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Look {
    /// Mean difference of brightness to the frame before; 0 for the first.
    pub motion: f32,
    /// Mean difference of brightness to the neighbour.
    pub texture: f32,
    /// Which share of the brightness is distributed otherwise than in the frame before, 0 to 1.
    pub shift: f32,
}

impl Look {
    /// How hard the frame is to encode: what is in it, and what of that is new.
    pub(crate) fn complexity(&self) -> f64 {
        f64::from(self.texture) * (1.0 + f64::from(self.motion)) + f64::from(self.motion)
    }
}

/// Looks at the frames of one video, in order.
#[derive(Debug)]
pub(crate) struct Looker {
    width: usize,
    height: usize,
    bytes_per_sample: usize,
    /// Brings a sample to 8 bits.
    shift: u32,
    before: Vec<u8>,
    now: Vec<u8>,
    bins_before: [u32; BINS],
}

impl Looker {
    pub(crate) fn new(info: &VideoInfo) -> Self {
        Self {
            width: info.width as usize,
            height: info.height as usize,
            bytes_per_sample: info.format.bytes_per_sample(),
            shift: u32::from(info.format.bit_depth.saturating_sub(8)),
            before: Vec::new(),
            now: Vec::new(),
            bins_before: [0; BINS],
        }
    }

    /// Looks at the next frame, given as its bytes: luma first.
    pub(crate) fn look(&mut self, frame: &[u8]) -> Look {
        self.now.clear();
        let stride = self.width * self.bytes_per_sample;
        let columns = self.width.div_ceil(EVERY);
        for row in frame[..stride * self.height].chunks_exact(stride).step_by(EVERY) {
            self.now.extend(row.chunks_exact(self.bytes_per_sample).step_by(EVERY).map(|sample| {
                match *sample {
                    [low, high] => (u16::from_le_bytes([low, high]) >> self.shift).min(255) as u8,
                    [only, ..] => only,
                    [] => 0,
                }
            }));
        }
        let mut bins = [0_u32; BINS];
        self.now.iter().for_each(|sample| bins[usize::from(*sample) * BINS / 256] += 1);
        let count = self.now.len().max(1) as f32;
        let texture: u64 = self
            .now
            .chunks(columns)
            .flat_map(|row| row.windows(2))
            .map(|pair| u64::from(pair[0].abs_diff(pair[1])))
            .sum();
        let mut look = Look { texture: texture as f32 / count, ..Look::default() };
        if self.before.len() == self.now.len() {
            let moved = self.now.iter().zip(&self.before).map(|(a, b)| u64::from(a.abs_diff(*b)));
            look.motion = moved.sum::<u64>() as f32 / count;
            let moved = bins.iter().zip(&self.bins_before).map(|(a, b)| a.abs_diff(*b));
            look.shift = moved.sum::<u32>() as f32 / (2.0 * count);
        }
        std::mem::swap(&mut self.before, &mut self.now);
        self.bins_before = bins;
        look
    }
}

#[cfg(test)]
mod tests {
    use types::{ChromaSubsampling, PixelFormat};

    use super::*;

    fn info(bit_depth: u8) -> VideoInfo {
        VideoInfo {
            declared: media::Declared::default(),
            name: String::new(),
            width: 17,
            height: 9,
            format: PixelFormat { chroma: ChromaSubsampling::C420, bit_depth },
            frame_count_estimate: None,
            frame_rate: None,
            decoder: String::new(),
        }
    }

    #[test]
    fn a_still_flat_picture_is_nothing_and_a_change_is_as_large_as_it_is() {
        let mut looker = Looker::new(&info(8));
        let flat = |value: u8| vec![value; 17 * 9 + 2 * 9 * 5];
        assert_eq!(looker.look(&flat(100)), Look::default());
        assert_eq!(looker.look(&flat(100)), Look::default());
        let look = looker.look(&flat(140));
        assert_eq!((look.motion, look.texture, look.shift), (40.0, 0.0, 1.0));
    }

    #[test]
    fn the_depth_changes_nothing() {
        let picture: Vec<u8> = (0..17 * 9_u32).map(|i| (i * 37 % 256) as u8).collect();
        let deep: Vec<u8> =
            picture.iter().flat_map(|sample| (u16::from(*sample) << 2).to_le_bytes()).collect();
        let (mut eight, mut ten) = (Looker::new(&info(8)), Looker::new(&info(10)));
        assert_eq!(eight.look(&picture), ten.look(&deep));
        assert!(eight.look(&[0; 17 * 9]).motion > 0.0);
    }
}
