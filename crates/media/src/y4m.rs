//! The text lines of a YUV4MPEG2 stream: the header and each frame's.
//!
//! Only parses; what a line may cost is bounded by its reader.

use types::{ChromaSubsampling, PixelFormat};

use crate::declared::SampleRange;
use crate::video::VideoInfo;

/// What every y4m stream begins with.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2";

/// Bytes of a header line, without its line feed. Real ones have under 200.
pub(crate) const HEADER_BYTES_MAX: usize = 4_096;

/// Bytes of a frame's line, without its line feed. Real ones have 5.
pub(crate) const FRAME_LINE_BYTES_MAX: usize = 1_024;

/// What a header says, as far as it matters here. Interlacing and other comments are accepted and
/// not kept: samples are scored as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub width: u32,
    pub height: u32,
    pub format: PixelFormat,
    /// Frames per second as numerator and denominator, where it is given.
    pub frame_rate: Option<(u32, u32)>,
    /// Width to height of a sample, where it is given.
    pub sample_aspect: Option<(u32, u32)>,
    /// Which values stand for black and white, where a comment says so.
    pub range: Option<SampleRange>,
}

/// Why a header is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It breaks the format.
    Malformed(String),
    /// It is well formed, but its pictures are not taken here.
    Unsupported(String),
}

/// Reads a header line, which begins with [`MAGIC`] and has lost its line feed.
pub(crate) fn parse_header(line: &[u8]) -> Result<Header, HeaderError> {
    let malformed = |what: &str| HeaderError::Malformed(format!("its y4m header {what}"));
    let text = line.strip_prefix(MAGIC).ok_or_else(|| malformed("has no YUV4MPEG2 mark"))?;
    if !text.is_empty() && text[0] != b' ' {
        return Err(malformed("has no space after its mark"));
    }
    let (mut width, mut height, mut frame_rate) = (None, None, None);
    let (mut chroma, mut chroma_comment) = (None, None);
    let (mut sample_aspect, mut range) = (None, None);
    for token in text.split(|byte| *byte == b' ').filter(|token| !token.is_empty()) {
        let value = std::str::from_utf8(&token[1..]).map_err(|_| malformed("is not text"))?;
        match token[0] {
            b'W' => width = Some(parse_side(value).ok_or_else(|| malformed("has a bad width"))?),
            b'H' => height = Some(parse_side(value).ok_or_else(|| malformed("has a bad height"))?),
            b'F' => frame_rate = parse_ratio(value),
            b'A' => sample_aspect = parse_ratio(value),
            b'C' => chroma = Some(value),
            b'X' => {
                chroma_comment = chroma_comment.or_else(|| value.strip_prefix("YSCSS="));
                range = range.or_else(|| parse_range(value));
            }
            _ => {}
        }
    }
    // Old writers name depths above 8 in a comment only. Nothing said at all means 4:2:0, 8 bits.
    let name = chroma.or(chroma_comment).unwrap_or("420jpeg");
    Ok(Header {
        width: width.ok_or_else(|| malformed("gives no width"))?,
        height: height.ok_or_else(|| malformed("gives no height"))?,
        format: parse_chroma(name)?,
        frame_rate,
        sample_aspect,
        range,
    })
}

/// The header line, without its line feed, of a video that came without one. Without a frame rate
/// it says 25.
pub(crate) fn header(info: &VideoInfo) -> Vec<u8> {
    let PixelFormat { chroma, bit_depth } = info.format;
    let name = match (chroma, bit_depth) {
        (ChromaSubsampling::C400, 8) => "mono".to_owned(),
        (ChromaSubsampling::C400, bits) => format!("mono{bits}"),
        (ChromaSubsampling::C420, 8) => "420mpeg2".to_owned(),
        (chroma, 8) => chroma.as_str().to_owned(),
        (chroma, bits) => format!("{chroma}p{bits}"),
    };
    let (rate, per) = info.frame_rate.unwrap_or((25, 1));
    let VideoInfo { width, height, .. } = info;
    format!("YUV4MPEG2 W{width} H{height} F{rate}:{per} Ip A0:0 C{name}").into_bytes()
}

/// Whether a line, which has lost its line feed, announces a frame. Its parameters change nothing.
pub(crate) fn is_frame_line(line: &[u8]) -> bool {
    line.strip_prefix(b"FRAME").is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
}

fn parse_side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| *side > 0)
}

fn parse_ratio(text: &str) -> Option<(u32, u32)> {
    let (numerator, denominator) = text.split_once(':')?;
    let ratio = (numerator.parse().ok()?, denominator.parse().ok()?);
    (ratio.0 > 0 && ratio.1 > 0).then_some(ratio)
}

fn parse_range(comment: &str) -> Option<SampleRange> {
    match comment.strip_prefix("COLORRANGE=")? {
        "LIMITED" => Some(SampleRange::Limited),
        "FULL" => Some(SampleRange::Full),
        _ => None,
    }
}

fn parse_chroma(name: &str) -> Result<PixelFormat, HeaderError> {
    let lower = name.to_ascii_lowercase();
    let unsupported = || {
        let shown: String = name.chars().take(32).collect();
        HeaderError::Unsupported(format!(
            "its y4m header says C{shown}; taken are mono, 411, 420 (with any siting), 422 and 444, \
             at 8 bits or followed by p and 9 to 16"
        ))
    };
    let (chroma, rest) = if let Some(rest) = lower.strip_prefix("mono") {
        (ChromaSubsampling::C400, rest)
    } else {
        let (digits, rest) = lower.split_at_checked(3).ok_or_else(unsupported)?;
        let chroma = digits.parse().map_err(|_| unsupported())?;
        (chroma, rest)
    };
    let bit_depth = match (chroma, rest) {
        (_, "") => 8,
        (ChromaSubsampling::C420, "jpeg" | "mpeg2" | "paldv") => 8,
        (ChromaSubsampling::C400, bits) => parse_depth(bits).ok_or_else(unsupported)?,
        (_, depth) => depth.strip_prefix('p').and_then(parse_depth).ok_or_else(unsupported)?,
    };
    Ok(PixelFormat { chroma, bit_depth })
}

fn parse_depth(bits: &str) -> Option<u8> {
    bits.parse().ok().filter(|bits| (8..=16).contains(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chroma(tag: &str) -> Option<(&'static str, u8)> {
        let line = format!("YUV4MPEG2 W16 H8 F30000:1001 Ip A1:1 {tag}");
        let format = parse_header(line.as_bytes()).ok()?.format;
        Some((format.chroma.as_str(), format.bit_depth))
    }

    #[test]
    fn every_chroma_mode_is_read() {
        for (tag, expected) in [
            ("", ("420", 8)),
            ("C420", ("420", 8)),
            ("C420jpeg", ("420", 8)),
            ("C420mpeg2", ("420", 8)),
            ("C420paldv", ("420", 8)),
            ("C420p9", ("420", 9)),
            ("C420p10", ("420", 10)),
            ("C420p12 XYSCSS=420P12", ("420", 12)),
            ("C420p14", ("420", 14)),
            ("C420p16", ("420", 16)),
            ("XYSCSS=420P10", ("420", 10)),
            ("XYSCSS=420JPEG", ("420", 8)),
            ("C422", ("422", 8)),
            ("C422p10", ("422", 10)),
            ("C422p16", ("422", 16)),
            ("C444", ("444", 8)),
            ("C444p10", ("444", 10)),
            ("C444p12", ("444", 12)),
            ("C411", ("411", 8)),
            ("Cmono", ("400", 8)),
            ("Cmono10", ("400", 10)),
            ("Cmono16 XCOLORRANGE=FULL", ("400", 16)),
        ] {
            assert_eq!(chroma(tag), Some(expected), "{tag}");
        }
    }

    #[test]
    fn modes_that_are_not_taken_are_named() {
        for tag in
            ["C444alpha", "C440", "C420p7", "C420p17", "C422jpeg", "C42", "Cmonop10", "C", "C410"]
        {
            let line = format!("YUV4MPEG2 W16 H8 {tag}");
            let Err(HeaderError::Unsupported(text)) = parse_header(line.as_bytes()) else {
                panic!("{tag} is not taken");
            };
            assert!(text.contains(tag), "{text}");
        }
    }

    #[test]
    fn broken_headers_are_malformed() {
        for line in [
            "YUV4MPEG2",
            "YUV4MPEG2 W16",
            "YUV4MPEG2 H16",
            "YUV4MPEG2 W0 H16",
            "YUV4MPEG2 W16 H-1",
            "YUV4MPEG2 W16 H99999999999",
            "YUV4MPEG2 W H16",
            "YUV4MPEG2W16 H16",
            "YUV4MPEG",
        ] {
            let parsed = parse_header(line.as_bytes());
            assert!(matches!(parsed, Err(HeaderError::Malformed(_))), "{line}: {parsed:?}");
        }
        assert!(matches!(parse_header(b"YUV4MPEG2 W\xff H1"), Err(HeaderError::Malformed(_))));
    }

    #[test]
    fn interlacing_aspect_and_rate_are_accepted() {
        let header = parse_header(b"YUV4MPEG2  W3 H5 It A128:117 F25:1 XANY=THING").expect("good");
        assert_eq!((header.width, header.height, header.frame_rate), (3, 5, Some((25, 1))));
        assert_eq!(parse_header(b"YUV4MPEG2 W3 H5 F0:0").expect("good").frame_rate, None);
    }

    #[test]
    fn frame_lines_may_have_parameters() {
        assert!(is_frame_line(b"FRAME"));
        assert!(is_frame_line(b"FRAME Ixyz XTHING"));
        for bad in [&b"FRAM"[..], b"FRAMES", b"", b"frame"] {
            assert!(!is_frame_line(bad));
        }
    }
}
