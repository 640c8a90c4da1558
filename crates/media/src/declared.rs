//! What a file declares of itself beyond what is needed to read it: for whoever diagnoses a pair or
//! shows a picture. Nothing here changes how a video is decoded or scored.
//!
//! The words come out of a file that nobody vouches for, by way of the decoder's messages: each is
//! held to a known form, and what is not known is as if absent.

use std::time::Duration;

/// Which sample values stand for black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleRange {
    /// 16 to 235 in luma at 8 bits, as television has it.
    Limited,
    /// All values there are.
    Full,
}

impl SampleRange {
    /// `limited` or `full`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Full => "full",
        }
    }
}

/// What a file says of itself. Everything may be missing, and may be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// The codec, by ffmpeg's name.
    pub codec: Option<String>,
    /// How long it plays.
    pub duration: Option<Duration>,
    /// Which values stand for black and white.
    pub range: Option<SampleRange>,
    /// How luma and chroma make colours, by ffmpeg's name, such as `bt709`.
    pub matrix: Option<String>,
    /// The primaries, by ffmpeg's name.
    pub primaries: Option<String>,
    /// The transfer function, by ffmpeg's name, such as `smpte2084`.
    pub transfer: Option<String>,
    /// Width to height of a sample.
    pub sample_aspect: Option<(u32, u32)>,
    /// By how much a player turns the pictures, in degrees. They are decoded as they are stored.
    pub rotation_degrees: Option<i32>,
}

/// Names of matrices, by which a single word for everything is known to be about colour.
const MATRICES: [&str; 14] = [
    "bt709",
    "fcc",
    "bt470bg",
    "smpte170m",
    "smpte240m",
    "ycgco",
    "ycgco-re",
    "ycgco-ro",
    "bt2020nc",
    "bt2020c",
    "smpte2085",
    "ictcp",
    "gbr",
    "ipt-c2",
];

/// Characters of a name that are kept.
const NAME_CHARS_MAX: usize = 32;

impl Declared {
    /// Takes a line of ffmpeg's description of an input that is about no stream of its own.
    pub(crate) fn take_line(&mut self, text: &str) {
        if let Some(rest) = text.strip_prefix("Duration: ") {
            self.duration = self.duration.or_else(|| parse_clock(rest.split(',').next()?));
        } else if let Some(rest) = text.strip_prefix("displaymatrix: rotation of ") {
            let degrees = rest.split(' ').next().and_then(|number| number.parse::<f64>().ok());
            let degrees = degrees.filter(|degrees| degrees.abs() <= 360.0);
            // Whole degrees, bounded above: nothing is cut off that matters.
            #[expect(clippy::cast_possible_truncation, reason = "at most 360")]
            let whole = degrees.map(|degrees| degrees.round() as i32);
            self.rotation_degrees = self.rotation_degrees.or(whole);
        }
    }

    /// Takes the fields of the line that describes the video stream: codec, then pixel format.
    pub(crate) fn take_stream<'a>(&mut self, mut fields: impl Iterator<Item = &'a str>) {
        let codec = fields.next().and_then(|field| field.trim().split([' ', '(']).next());
        self.codec = codec.and_then(name);
        let Some((_, words)) = fields.next().and_then(|field| field.split_once('(')) else {
            return;
        };
        for word in words.trim_end_matches(')').split(',').map(str::trim) {
            self.take_colour(word);
        }
    }

    /// `tv` and `pc` are ranges; a matrix alone stands for primaries and transfer too, and
    /// `matrix/primaries/transfer` names each. Scan order and chroma siting are not kept.
    fn take_colour(&mut self, word: &str) {
        let parts: Vec<&str> = word.split('/').collect();
        match parts.as_slice() {
            ["tv"] => self.range = Some(SampleRange::Limited),
            ["pc"] => self.range = Some(SampleRange::Full),
            [word] if MATRICES.contains(word) => {
                let same = name(word);
                (self.matrix, self.primaries, self.transfer) = (same.clone(), same.clone(), same);
            }
            [matrix, primaries, transfer] => {
                self.matrix = name(matrix);
                (self.primaries, self.transfer) = (name(primaries), name(transfer));
            }
            _ => {}
        }
    }
}

/// A name as it is kept; none where it says that nothing is known.
fn name(word: &str) -> Option<String> {
    let known = !word.is_empty()
        && !matches!(word, "unknown" | "unspecified" | "reserved")
        && word.len() <= NAME_CHARS_MAX
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    known.then(|| word.to_owned())
}

/// Reads `HH:MM:SS.hh`.
fn parse_clock(text: &str) -> Option<Duration> {
    let mut fields = text.trim().splitn(3, ':');
    let mut next = || fields.next();
    let (hours, minutes) = (next()?.parse::<u32>().ok()?, next()?.parse::<u32>().ok()?);
    let seconds = next()?.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0)?;
    let whole = f64::from(hours) * 3_600.0 + f64::from(minutes) * 60.0 + seconds;
    Duration::try_from_secs_f64(whole).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_stream(fields: &[&str]) -> Declared {
        let mut declared = Declared::default();
        declared.take_stream(fields.iter().copied());
        declared
    }

    #[test]
    fn one_word_for_all_of_the_colour_and_three_are_told_apart() {
        let television =
            of_stream(&["h264 (High) (avc1 / 0x31)", " yuv420p(tv, bt709, progressive)"]);
        assert_eq!(television.codec.as_deref(), Some("h264"));
        assert_eq!(television.range, Some(SampleRange::Limited));
        assert_eq!(television.matrix.as_deref(), Some("bt709"));
        assert_eq!(television.transfer.as_deref(), Some("bt709"));
        let hdr = of_stream(&["hevc", " yuv420p10le(pc, bt2020nc/bt2020/smpte2084, top first)"]);
        assert_eq!(hdr.range, Some(SampleRange::Full));
        assert_eq!(hdr.matrix.as_deref(), Some("bt2020nc"));
        assert_eq!(hdr.primaries.as_deref(), Some("bt2020"));
        assert_eq!(hdr.transfer.as_deref(), Some("smpte2084"));
    }

    #[test]
    fn what_is_unknown_or_nonsense_is_as_if_absent() {
        assert_eq!(of_stream(&["h264", " yuv420p(progressive, left)"]).matrix, None);
        let partly = of_stream(&["h264", " yuv420p(tv, smpte170m/unknown/bt709)"]);
        assert_eq!((partly.matrix.as_deref(), partly.primaries), (Some("smpte170m"), None));
        assert_eq!(
            of_stream(&[&"x".repeat(99), " yuv420p(a/b\u{1b}/c)"]),
            Declared {
                transfer: Some("c".to_owned()),
                matrix: Some("a".to_owned()),
                ..Declared::default()
            }
        );
    }

    #[test]
    fn duration_and_rotation_are_read() {
        let mut declared = Declared::default();
        declared.take_line("Duration: 00:01:05.28, start: 0.000000, bitrate: 1205 kb/s");
        declared.take_line("displaymatrix: rotation of -90.00 degrees");
        assert_eq!(declared.duration, Some(Duration::from_millis(65_280)));
        assert_eq!(declared.rotation_degrees, Some(-90));
        let mut nothing = Declared::default();
        nothing.take_line("Duration: N/A, start: 0.000000");
        nothing.take_line("displaymatrix: rotation of nan degrees");
        assert_eq!(nothing, Declared::default());
    }
}
