//! One open video: its shape, and its frames one after the other.

use engine::{PictureMut, Plane, PlaneDataMut};
use types::PixelFormat;

use crate::declared::Declared;
use crate::error::MediaError;
use crate::input::Input;
use crate::y4m::{self, FRAME_LINE_BYTES_MAX};

/// What is known of a video once it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoInfo {
    /// The path or URL as given.
    pub name: String,
    /// Luma width in samples.
    pub width: u32,
    /// Luma height in samples.
    pub height: u32,
    /// Chroma subsampling and bit depth.
    pub format: PixelFormat,
    /// How many frames there seem to be, from the file's length; for progress only.
    pub frame_count_estimate: Option<u64>,
    /// Frames per second as numerator and denominator, where the file says so.
    pub frame_rate: Option<(u32, u32)>,
    /// What decodes it: `y4m`, `raw`, or `ffmpeg` with its version.
    pub decoder: String,
    /// What the file says of itself beyond that.
    pub declared: Declared,
}

/// How frames follow each other in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each after a line that says `FRAME`.
    Y4m,
    /// Back to back.
    Raw,
}

/// An open video that is read once, from its first frame to its last.
#[derive(Debug)]
pub struct Video {
    info: VideoInfo,
    input: Input,
    framing: Framing,
    frame_index: u64,
    ended: bool,
    /// Bits a sample as they are stored; fewer than those of [`VideoInfo::format`] where samples are
    /// raised while they are read.
    stored_depth: u8,
    /// Whether the first picture that was read has samples above those bits; `None` before.
    exceeds_depth: Option<bool>,
    /// The y4m header it came with, without its line feed.
    header: Option<Box<[u8]>>,
}

impl Video {
    /// Takes over the bytes, which stand at the first frame. The size has been checked.
    pub(crate) const fn new(info: VideoInfo, input: Input, framing: Framing) -> Self {
        let stored_depth = info.format.bit_depth;
        let (frame_index, ended, exceeds_depth, header) = (0, false, None, None);
        Self { info, input, framing, frame_index, ended, stored_depth, exceeds_depth, header }
    }

    /// Raises every sample to this many bits while it is read: shifts it to the left, as libvmaf's
    /// tool does, so that equal pictures of two depths become equal. Nothing happens to a video
    /// that has as many bits or more. The decoder's name tells of it.
    #[must_use]
    pub(crate) fn raised_to(mut self, bit_depth: u8) -> Self {
        if bit_depth > self.info.format.bit_depth {
            let from = self.info.format.bit_depth;
            self.info.decoder.push_str(&format!(", raised from {from} to {bit_depth} bits"));
            self.info.format.bit_depth = bit_depth;
        }
        self
    }

    /// How many bits are stored of each sample.
    #[must_use]
    pub const fn stored_depth(&self) -> u8 {
        self.stored_depth
    }

    /// Whether the first picture that was read has samples above its bits, which only deeper video
    /// under a wrong name has; later pictures are not looked at, so that nobody waits for it.
    #[must_use]
    pub fn exceeds_depth(&self) -> bool {
        self.exceeds_depth.unwrap_or(false)
    }

    /// Keeps the header that said what the video is.
    pub(crate) fn with_header(mut self, line: &[u8]) -> Self {
        self.header = Some(line.into());
        self
    }

    /// The y4m header line for these frames: as they came, with all it says of aspect, siting and
    /// range, or made from what is known.
    pub(crate) fn y4m_header(&self) -> Vec<u8> {
        match &self.header {
            Some(line) => line.to_vec(),
            None => y4m::header(&self.info),
        }
    }

    /// Matrix, primaries and transfer by `ffmpeg`'s names, where the decoder told them.
    pub(crate) fn colour(&self) -> Option<[String; 3]> {
        let report = self.input.decoder()?.report();
        colour_of(&report.stream.as_ref()?.colour)
    }

    /// Whether a decoder gives its frames, and they do not lie in the file as they are.
    pub(crate) fn is_decoded(&self) -> bool {
        self.input.decoder().is_some()
    }

    /// Whether its frames lie in a file as they are, so that reading one waits for nobody who
    /// could have made it meanwhile.
    #[must_use]
    pub const fn is_at_hand(&self) -> bool {
        self.input.is_file()
    }

    /// What is known of it.
    #[must_use]
    pub const fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Bytes read so far: of a raw or y4m file as they are, else as the decoder gave them.
    #[must_use]
    pub const fn bytes_read(&self) -> u64 {
        self.input.bytes_read()
    }

    /// The frame that [`read_frame`](Self::read_frame) gives next, 0-based in the file.
    #[must_use]
    pub const fn frame_index(&self) -> u64 {
        self.frame_index
    }

    /// Reads the next frame's planes, those that `picture` stores, into its memory. `false` at the
    /// end, and from then on.
    ///
    /// # Errors
    /// When the bytes end within the frame, the decoder reports damage, reading fails or the work
    /// is stopped. What `picture` holds then means nothing.
    ///
    /// # Panics
    /// When `picture` is not of this video's size and format.
    pub fn read_frame(&mut self, picture: &mut PictureMut) -> Result<bool, MediaError> {
        let spec = *picture.spec();
        let shape = (self.info.width, self.info.height, self.info.format);
        assert_eq!(
            (spec.width, spec.height, spec.format),
            shape,
            "the picture is of another shape"
        );
        if !self.begin_frame()? {
            return Ok(false);
        }
        let mut read_bytes = 0;
        let mut exceeds_depth = false;
        for plane in picture.planes_mut() {
            let bytes = plane.bytes_mut();
            // Stored bytes that become words take half of their place: the end of it.
            let is_widened =
                self.stored_format().bytes_per_sample() < spec.format.bytes_per_sample();
            let start = if is_widened { bytes.len() / 2 } else { 0 };
            let wanted = bytes.len() - start;
            let got = self.input.read_full(&mut bytes[start..])?;
            if got < wanted {
                return Err(self.cut_short());
            }
            read_bytes += got as u64;
            if is_widened {
                widen(bytes);
            } else {
                plane.swap_from_little_endian();
            }
            if self.exceeds_depth.is_none() {
                exceeds_depth |= exceeds(plane, self.stored_depth);
            }
            self.raise(plane);
        }
        self.exceeds_depth.get_or_insert(exceeds_depth);
        self.skip_bytes(self.frame_bytes() - read_bytes)?;
        self.frame_index += 1;
        Ok(true)
    }

    /// Reads the next frame as its bytes are in a file: planes one after the other, little-endian.
    /// `false` at the end.
    ///
    /// # Errors
    /// As [`read_frame`](Self::read_frame).
    pub fn read_frame_bytes(&mut self, frame: &mut Vec<u8>) -> Result<bool, MediaError> {
        if !self.begin_frame()? {
            return Ok(false);
        }
        // The size was checked when the video was opened.
        frame.resize(usize::try_from(self.frame_bytes()).unwrap_or(usize::MAX), 0);
        if self.input.read_full(frame)? < frame.len() {
            return Err(self.cut_short());
        }
        self.frame_index += 1;
        Ok(true)
    }

    /// Steps over `count` frames and says how many there were: fewer only at the end.
    ///
    /// # Errors
    /// As [`read_frame`](Self::read_frame).
    pub fn skip_frames(&mut self, count: u64) -> Result<u64, MediaError> {
        for skipped in 0..count {
            if !self.begin_frame()? {
                return Ok(skipped);
            }
            self.skip_bytes(self.frame_bytes())?;
            self.frame_index += 1;
        }
        Ok(count)
    }

    /// Reads up to the next frame's first sample; `false` when there is none.
    fn begin_frame(&mut self) -> Result<bool, MediaError> {
        if self.ended {
            return Ok(false);
        }
        self.input.check_health(self.frame_index)?;
        let more = match self.framing {
            Framing::Raw => !self.input.peek(1)?.is_empty(),
            Framing::Y4m => match self.input.line(FRAME_LINE_BYTES_MAX)? {
                None => false,
                Some(Ok(line)) if y4m::is_frame_line(line) => true,
                Some(Ok(line) | Err(line)) => {
                    let shown: String =
                        line.iter().take(16).map(|b| b.escape_ascii().to_string()).collect();
                    let detail = format!("\"{shown}\" stands where a FRAME line should");
                    return Err(self.truncated(detail));
                }
            },
        };
        if !more {
            self.ended = true;
            self.input.finish(self.frame_index)?;
        }
        Ok(more)
    }

    fn skip_bytes(&mut self, count: u64) -> Result<(), MediaError> {
        if self.input.skip(count)? < count { Err(self.cut_short()) } else { Ok(()) }
    }

    fn stored_format(&self) -> PixelFormat {
        PixelFormat { bit_depth: self.stored_depth, ..self.info.format }
    }

    fn frame_bytes(&self) -> u64 {
        self.stored_format().frame_bytes(self.info.width, self.info.height)
    }

    /// Brings samples as they are stored to the depth of the picture.
    fn raise(&self, plane: &mut Plane) {
        let shift = self.info.format.bit_depth - self.stored_depth;
        if shift > 0
            && let PlaneDataMut::U16(samples) = plane.data_mut()
        {
            samples.iter_mut().for_each(|sample| *sample <<= shift);
        }
    }

    /// The error of bytes that end within a frame: the decoder's own words where it has some.
    fn cut_short(&mut self) -> MediaError {
        self.ended = true;
        match self.input.finish(self.frame_index) {
            Err(error) => error,
            Ok(()) => self.truncated("the data ends within the frame".to_owned()),
        }
    }

    fn truncated(&self, detail: String) -> MediaError {
        let (name, frame_index) = (self.info.name.clone(), self.frame_index);
        MediaError::Truncated { name, frame_index, detail }
    }
}

/// Whether a sample of the plane has more bits.
#[must_use]
pub fn exceeds(plane: &mut Plane, bit_depth: u8) -> bool {
    match plane.data_mut() {
        PlaneDataMut::U16(samples) => {
            let seen = samples.iter().fold(0, |seen, sample| seen | sample);
            u32::from(seen) >> bit_depth != 0
        }
        PlaneDataMut::U8(_) => false,
    }
}

/// Turns the bytes in the second half into native words over the whole. A word never ends beyond the
/// byte that it is made of.
fn widen(bytes: &mut [u8]) {
    let half = bytes.len() / 2;
    for at in 0..half {
        let word = u16::from(bytes[half + at]).to_ne_bytes();
        bytes[2 * at..2 * at + 2].copy_from_slice(&word);
    }
}

/// Reads `tv, bt709, progressive` and `tv, bt2020nc/bt2020/smpte2084`.
fn colour_of(text: &str) -> Option<[String; 3]> {
    const NOT_COLOURS: [&str; 6] =
        ["tv", "pc", "progressive", "top first", "bottom first", "unknown"];
    let word = text
        .split(", ")
        .map(str::trim)
        .find(|word| !word.is_empty() && !NOT_COLOURS.contains(word) && !word.contains(' '))?;
    let mut names = word.split('/').map(str::to_owned);
    let matrix = names.next()?;
    let primaries = names.next().unwrap_or_else(|| matrix.clone());
    let transfer = names.next().unwrap_or_else(|| matrix.clone());
    let plain = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let all = [matrix, primaries, transfer];
    all.iter().all(plain).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_in_both_spellings() {
        let names = |text: &str| colour_of(text).map(|names| names.join(" "));
        assert_eq!(names("tv, bt709, progressive").as_deref(), Some("bt709 bt709 bt709"));
        let hdr = names("tv, bt2020nc/bt2020/smpte2084, progressive");
        assert_eq!(hdr.as_deref(), Some("bt2020nc bt2020 smpte2084"));
        for nothing in ["", "progressive", "pc", "tv, -i/x y"] {
            assert_eq!(names(nothing), None, "{nothing}");
        }
    }
}
