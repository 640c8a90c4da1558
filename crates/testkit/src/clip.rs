//! Pairs of synthetic clips.
//!
//! Samples are computed with integers at 16 bits and then cut to the bit depth, so every machine
//! makes the same bytes and high depths carry real low bits. Clips are held in memory: they are
//! meant to be small.

use engine::{Picture, PictureSpec, PlaneData, PlanesWanted};
use sha2::{Digest as _, Sha256};
use types::{ChromaSubsampling, PixelFormat};

use crate::footage;
use crate::random::mix;

/// What a pair of clips shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// A moving texture of several scales with grain, and a square that moves over it. The
    /// distorted clip is blurred, coarsened in blocks, and has its own grain.
    Texture,
    /// Every sample of every picture at random.
    Noise,
    /// One grey throughout both clips, another in each frame.
    Flat,
    /// Black and white by turns, the distorted clip shifted by one sample, both by one a frame.
    Checkerboard,
    /// Blocks of black and white that differ at random between frames and clips.
    Blocks,
    /// As [`Content::Texture`], with both clips equal.
    Equal,
    /// A smooth gradient that stands still, the distorted clip with more contrast: enhancement.
    Enhanced,
    /// As [`Content::Texture`], with chroma that holds no detail and is the same in both clips.
    Grey,
    /// Texture above a slow gradient that moves; the distorted clip has it in steps of eight bits,
    /// the reference with grain.
    Bands,
    /// The first frames of the demo pair, real footage at 8 bits, enlarged by a whole factor:
    /// [`ClipSpec::footage`] alone makes it.
    Footage,
}

impl Content {
    /// Every kind that is made at any size.
    pub const ALL: [Self; 9] = [
        Self::Texture,
        Self::Noise,
        Self::Flat,
        Self::Checkerboard,
        Self::Blocks,
        Self::Equal,
        Self::Enhanced,
        Self::Grey,
        Self::Bands,
    ];
}

/// Everything that a pair of clips depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClipSpec {
    /// What it shows.
    pub content: Content,
    /// Other seeds give other clips of the same kind.
    pub seed: u64,
    /// Luma width.
    pub width: u32,
    /// Luma height.
    pub height: u32,
    /// Chroma subsampling and bit depth.
    pub format: PixelFormat,
    /// Frames of each clip.
    pub frame_count: u32,
}

/// A clip in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    width: u32,
    height: u32,
    format: PixelFormat,
    /// By frame, then by plane; rows are contiguous.
    frames: Vec<Vec<Vec<u16>>>,
}

/// A reference and its distorted twin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipPair {
    /// The undegraded clip.
    pub reference: Clip,
    /// The degraded clip.
    pub distorted: Clip,
}

/// One plane's place in a clip.
#[derive(Clone, Copy)]
struct At {
    content: Content,
    seed: u64,
    frame: u64,
    width: u32,
    height: u32,
}

impl ClipSpec {
    /// An 8-bit 4:2:0 pair of moving texture.
    #[must_use]
    pub const fn texture(seed: u64, width: u32, height: u32, frame_count: u32) -> Self {
        let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };
        Self { content: Content::Texture, seed, width, height, format, frame_count }
    }

    /// The demo pair, `times` as wide and as high, 4:2:0. Samples between those that there are lie
    /// on the line between them, so that any depth is filled.
    #[must_use]
    pub const fn footage(times: u32, frame_count: u32) -> Self {
        let (width, height) = (times * footage::WIDTH, times * footage::HEIGHT);
        Self::texture(0, width, height, frame_count).showing(Content::Footage)
    }

    /// The same pair at another chroma subsampling and bit depth.
    #[must_use]
    pub const fn with_format(self, chroma: ChromaSubsampling, bit_depth: u8) -> Self {
        Self { format: PixelFormat { chroma, bit_depth }, ..self }
    }

    /// A pair that shows something else.
    #[must_use]
    pub const fn showing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// Computes both clips.
    #[must_use]
    pub fn make(&self) -> ClipPair {
        if self.content == Content::Footage {
            return self.make_footage();
        }
        let mut pair = ClipPair { reference: self.empty(), distorted: self.empty() };
        let chroma = self.format.chroma.chroma_size(self.width, self.height);
        let sizes = [(self.width, self.height), chroma, chroma];
        for frame in 0..u64::from(self.frame_count) {
            let (mut reference, mut distorted) = (Vec::new(), Vec::new());
            for (plane, (width, height)) in (0_u64..).zip(sizes).filter(|(_, size)| size.0 > 0) {
                let seed = mix(self.seed ^ (plane << 56));
                let content = match self.content {
                    Content::Grey if plane == 0 => Content::Texture,
                    Content::Grey => Content::Flat,
                    other => other,
                };
                let at = At { content, seed, frame, width, height };
                let shift = 16 - u32::from(self.format.bit_depth);
                let cut =
                    |samples: Vec<u16>| samples.iter().map(|sample| sample >> shift).collect();
                let (first, second) = at.samples();
                reference.push(cut(first));
                distorted.push(cut(second));
            }
            pair.reference.frames.push(reference);
            pair.distorted.frames.push(distorted);
        }
        pair
    }

    fn make_footage(&self) -> ClipPair {
        let times = self.width / footage::WIDTH;
        let planes = |file| footage::planes(file, self.frame_count, times, self.format.bit_depth);
        let clip = |file| Clip { frames: planes(file), ..self.empty() };
        ClipPair { reference: clip(footage::REFERENCE), distorted: clip(footage::DISTORTED) }
    }

    fn empty(&self) -> Clip {
        let Self { width, height, format, .. } = *self;
        Clip { width, height, format, frames: Vec::new() }
    }
}

impl At {
    /// Both planes at 16 bits.
    fn samples(&self) -> (Vec<u16>, Vec<u16>) {
        match self.content {
            Content::Texture | Content::Grey => {
                let reference = self.plane(|x, y| self.texture(x, y));
                let distorted = self.degraded(&reference);
                (reference, distorted)
            }
            Content::Equal => {
                let reference = self.plane(|x, y| self.texture(x, y));
                (reference.clone(), reference)
            }
            Content::Noise => {
                (self.plane(|x, y| self.random(1, x, y)), self.plane(|x, y| self.random(2, x, y)))
            }
            Content::Flat => {
                let grey = self.random(3, 0, 0);
                (self.plane(|_, _| grey), self.plane(|_, _| grey))
            }
            Content::Checkerboard => {
                let frame = self.frame;
                let colour = move |odd: u64| if odd.is_multiple_of(2) { 0 } else { u16::MAX };
                let board = |shift: u64| {
                    self.plane(|x, y| colour(u64::from(x) + u64::from(y) + frame + shift))
                };
                (board(0), board(1))
            }
            Content::Blocks => {
                let block = |stream, x: u32, y: u32| {
                    if self.random(stream, x / 5, y / 3) < 0x8000 { 0 } else { u16::MAX }
                };
                (self.plane(|x, y| block(4, x, y)), self.plane(|x, y| block(5, x, y)))
            }
            Content::Bands => {
                let above = |y: u32| y < self.height / 3;
                let gradient = |x: u32, y: u32| 0x3000 + 8 * x + 5 * y + 40 * self.frame as u32;
                let gradient = |x: u32, y: u32| gradient(x, y).min(0xff00) as u16;
                let reference = self.plane(|x, y| match above(y) {
                    true => self.texture(x, y),
                    false => gradient(x, y) + self.random(22, x, y) / 256,
                });
                let degraded = self.degraded(&reference);
                let distorted = self.plane(|x, y| match above(y) {
                    true => degraded[(y * self.width + x) as usize],
                    false => gradient(x, y) & 0xff00,
                });
                (reference, distorted)
            }
            Content::Footage => unreachable!("footage is read, not made"),
            Content::Enhanced => {
                let reference = self.plane(|x, y| 0x4000 + self.texture(x, y) / 2);
                let stronger = |sample: &u16| {
                    let centred = i64::from(*sample) - 0x8000;
                    (0x8000 + centred * 3 / 2).clamp(0, 0xffff) as u16
                };
                let distorted = reference.iter().map(stronger).collect();
                (reference, distorted)
            }
        }
    }

    fn plane(&self, sample: impl Fn(u32, u32) -> u16) -> Vec<u16> {
        let rows = 0..self.height;
        rows.flat_map(|y| (0..self.width).map(move |x| (x, y))).map(|(x, y)| sample(x, y)).collect()
    }

    fn random(&self, stream: u64, x: u32, y: u32) -> u16 {
        let place = u64::from(x) << 32 | u64::from(y);
        let of_frame = mix(self.seed ^ stream << 48 ^ mix(self.frame + 1));
        (mix(place ^ of_frame) >> 48) as u16
    }

    /// Three scales of smooth noise that move at their own speeds, fine grain, and a square that
    /// crosses the picture.
    fn texture(&self, x: u32, y: u32) -> u16 {
        let frame = self.frame as u32;
        let smooth = |stream: u64, cell: u32, dx: u32, dy: u32| {
            self.smooth(stream, cell, x + frame * dx, y + frame * dy)
        };
        let waves = smooth(10, 37, 2, 1) * 4 + smooth(11, 11, 3, 0) * 3 + smooth(12, 4, 1, 2) * 2;
        let grain = u64::from(self.random(13, x, y)) / 24;
        let mut sample = waves / 10 + grain;
        let side = (self.width.min(self.height) / 3).max(1);
        let left = (frame * 5) % self.width;
        let within = |at: u32, from: u32| (from..from + side).contains(&at);
        if within(x, left) && within(y, self.height / 4) {
            sample = sample / 2 + 0x6000;
        }
        sample.min(0xffff) as u16
    }

    /// Random values at the corners of cells, interpolated between them; the same in every frame.
    fn smooth(&self, stream: u64, cell: u32, x: u32, y: u32) -> u64 {
        let corner = |x: u32, y: u32| {
            let place = u64::from(x) << 32 | u64::from(y);
            mix(place ^ mix(self.seed ^ stream << 48)) >> 48
        };
        let (column, row, right, down) =
            (x / cell, y / cell, u64::from(x % cell), u64::from(y % cell));
        let size = u64::from(cell);
        let along =
            |row: u32| corner(column, row) * (size - right) + corner(column + 1, row) * right;
        (along(row) * (size - down) + along(row + 1) * down) / (size * size)
    }

    /// A blur of three by three samples, a step that differs from block to block, and grain.
    fn degraded(&self, reference: &[u16]) -> Vec<u16> {
        let sample = |x: i64, y: i64| {
            let (x, y) =
                (x.clamp(0, i64::from(self.width) - 1), y.clamp(0, i64::from(self.height) - 1));
            i64::from(reference[(y * i64::from(self.width) + x) as usize])
        };
        self.plane(|x, y| {
            let (left, top) = (i64::from(x) - 1, i64::from(y) - 1);
            let sum: i64 = (0..9).map(|at| sample(left + at % 3, top + at / 3)).sum();
            let step = 256 + i64::from(self.random(20, x / 8, y / 8)) / 16;
            let coarse = (sum / 9 + step / 2) / step * step;
            let grain = i64::from(self.random(21, x, y)) / 64 - 512;
            (coarse + grain).clamp(0, 0xffff) as u16
        })
    }
}

impl Clip {
    /// Luma width.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Luma height.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Chroma subsampling and bit depth.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// How many frames it has.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Its first `frame_count` frames.
    #[must_use]
    pub fn truncated(mut self, frame_count: usize) -> Self {
        self.frames.truncate(frame_count);
        self
    }

    /// The same with more bits a sample: every sample shifted to the left.
    #[must_use]
    pub fn raised(mut self, bit_depth: u8) -> Self {
        let shift = bit_depth - self.format.bit_depth;
        self.format.bit_depth = bit_depth;
        let samples = self.frames.iter_mut().flatten().flatten();
        samples.for_each(|sample| *sample <<= shift);
        self
    }

    /// The bytes of one frame: all planes, rows without padding, two bytes little-endian above 8
    /// bits.
    #[must_use]
    pub fn frame_bytes(&self, frame: usize) -> Vec<u8> {
        let samples = self.frames[frame].iter().flatten();
        if self.format.bytes_per_sample() == 1 {
            samples.map(|sample| *sample as u8).collect()
        } else {
            samples.flat_map(|sample| sample.to_le_bytes()).collect()
        }
    }

    /// All frames back to back, as a headerless file holds them.
    #[must_use]
    pub fn raw_bytes(&self) -> Vec<u8> {
        (0..self.frame_count()).flat_map(|frame| self.frame_bytes(frame)).collect()
    }

    /// A YUV4MPEG2 file at 25 frames a second. Chroma siting is left unsaid.
    #[must_use]
    pub fn y4m_bytes(&self) -> Vec<u8> {
        let depth = self.format.bit_depth;
        let chroma = match (self.format.chroma, depth) {
            (ChromaSubsampling::C400, 8) => "mono".to_owned(),
            (ChromaSubsampling::C400, _) => format!("mono{depth}"),
            (chroma, 8) => chroma.to_string(),
            (chroma, _) => format!("{chroma}p{depth}"),
        };
        let mut file =
            format!("YUV4MPEG2 W{} H{} F25:1 Ip A1:1 C{chroma}\n", self.width, self.height)
                .into_bytes();
        for frame in 0..self.frame_count() {
            file.extend_from_slice(b"FRAME\n");
            file.extend_from_slice(&self.frame_bytes(frame));
        }
        file
    }

    /// SHA-256 of [`raw_bytes`](Self::raw_bytes), lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        (0..self.frame_count()).for_each(|frame| hash.update(self.frame_bytes(frame)));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the engine calls this kind of picture.
    #[must_use]
    pub const fn picture_spec(&self, planes: PlanesWanted) -> PictureSpec {
        PictureSpec { width: self.width, height: self.height, format: self.format, planes }
    }

    /// One frame as a picture of the engine.
    ///
    /// # Panics
    /// When the clip has a size that the engine does not take.
    #[must_use]
    pub fn picture(&self, frame: usize, planes: PlanesWanted) -> Picture {
        let spec = self.picture_spec(planes);
        let data = spec.plane_sizes().zip(&self.frames[frame]).map(|((width, _), samples)| {
            let data = if self.format.bytes_per_sample() == 1 {
                PlaneData::U8(samples.iter().map(|sample| *sample as u8).collect())
            } else {
                PlaneData::U16(samples.clone())
            };
            (data, width as usize)
        });
        Picture::from_planes(spec, data.collect()).expect("clips are made in sizes that are taken")
    }

    /// Every frame as a picture of the engine.
    #[must_use]
    pub fn pictures(&self, planes: PlanesWanted) -> Vec<Picture> {
        (0..self.frame_count()).map(|frame| self.picture(frame, planes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_the_same_bytes_everywhere() {
        let pair = ClipSpec::texture(1, 33, 17, 2).with_format(ChromaSubsampling::C420, 10).make();
        assert_eq!(pair.reference.raw_bytes().len(), 2 * 2 * (33 * 17 + 2 * 17 * 9));
        let hashes = [pair.reference.sha256(), pair.distorted.sha256()];
        assert_eq!(hashes, HASHES.map(str::to_owned));
    }

    const HASHES: [&str; 2] = [
        "009a7e91c91c07eb4bd752d8fbf4e32dbc7f4e39add64d1c43cf146d012ba077",
        "1bcf20b2bd74c6376d1be867fae30d7c4deeb1697d42c5de7a06efc18fccfbe7",
    ];

    #[test]
    fn every_kind_of_content_is_another_clip_at_any_size() {
        let mut seen = Vec::new();
        for content in Content::ALL {
            for (width, height) in [(1, 1), (2, 3), (40, 25)] {
                let pair = ClipSpec::texture(3, width, height, 3).showing(content).make();
                assert_eq!(pair.reference.frame_count(), 3);
                if width == 40 {
                    seen.push((pair.reference.sha256(), pair.distorted.sha256()));
                }
            }
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn footage_keeps_its_samples_where_it_is_enlarged() {
        let plain = ClipSpec::footage(1, 2).make();
        let large =
            ClipSpec::footage(3, 2).with_format(ChromaSubsampling::C420, 10).make().distorted;
        assert_ne!(plain.reference, plain.distorted);
        assert_eq!(
            large.frames[1].iter().map(Vec::len).collect::<Vec<_>>(),
            [9 * 176 * 144, 9 * 88 * 72, 9 * 88 * 72]
        );
        for (plane, width) in [(0, 176), (2, 88)] {
            let [small, large] = [&plain.distorted, &large].map(|clip| &clip.frames[1][plane]);
            for (at, sample) in small.iter().enumerate() {
                let (x, y) = (at % width, at / width);
                assert_eq!(large[3 * y * 3 * width + 3 * x], sample << 2, "{plane} {x} {y}");
            }
        }
    }

    #[test]
    fn a_lower_depth_is_the_higher_one_cut() {
        let spec = ClipSpec::texture(5, 20, 20, 1);
        let deep = spec.with_format(ChromaSubsampling::C400, 16).make().distorted;
        let shallow = spec.with_format(ChromaSubsampling::C400, 8).make().distorted;
        let cut: Vec<u8> = deep.frames[0][0].iter().map(|sample| (sample >> 8) as u8).collect();
        assert_eq!(shallow.frame_bytes(0), cut);
    }

    #[test]
    fn y4m_has_a_header_and_every_frame() {
        let clip = ClipSpec::texture(5, 4, 2, 2).with_format(ChromaSubsampling::C422, 10).make();
        let file = clip.reference.y4m_bytes();
        let header = b"YUV4MPEG2 W4 H2 F25:1 Ip A1:1 C422p10\n";
        assert!(file.starts_with(header));
        assert_eq!(file.len(), header.len() + 2 * (6 + 2 * (8 + 4 + 4)));
    }
}
