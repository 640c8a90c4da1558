//! What a video is named by, and the layout of its pictures.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How chroma planes relate to luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChromaSubsampling {
    /// Luma only.
    #[serde(rename = "400")]
    C400,
    /// Half the width, half the height, both rounded up.
    #[serde(rename = "420")]
    C420,
    /// Half the width, rounded up.
    #[serde(rename = "422")]
    C422,
    /// As large as luma.
    #[serde(rename = "444")]
    C444,
    /// A quarter of the width, rounded up.
    #[serde(rename = "411")]
    C411,
}

impl ChromaSubsampling {
    /// Width and height of one chroma plane in samples, `(0, 0)` where there is none.
    #[must_use]
    pub const fn chroma_size(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::C400 => (0, 0),
            Self::C420 => (width.div_ceil(2), height.div_ceil(2)),
            Self::C422 => (width.div_ceil(2), height),
            Self::C444 => (width, height),
            Self::C411 => (width.div_ceil(4), height),
        }
    }

    /// `400`, `411`, `420`, `422` or `444`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::C400 => "400",
            Self::C411 => "411",
            Self::C420 => "420",
            Self::C422 => "422",
            Self::C444 => "444",
        }
    }
}

impl fmt::Display for ChromaSubsampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ChromaSubsampling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::C400, Self::C411, Self::C420, Self::C422, Self::C444]
            .into_iter()
            .find(|chroma| chroma.as_str() == text)
            .ok_or_else(|| {
                format!("{text:?} is not a chroma subsampling; use 400, 411, 420, 422 or 444")
            })
    }
}

/// Chroma subsampling and bits per sample: what must be equal in a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PixelFormat {
    /// How chroma planes relate to luma.
    pub chroma: ChromaSubsampling,
    /// Bits a sample, 8 to 16. Above 8 a sample takes two bytes, little-endian.
    pub bit_depth: u8,
}

impl PixelFormat {
    /// Bytes a sample takes in a file: 1 up to 8 bits, else 2.
    #[must_use]
    pub const fn bytes_per_sample(self) -> usize {
        if self.bit_depth > 8 { 2 } else { 1 }
    }

    /// Bytes of one uncompressed frame with all its planes, without padding; `u64::MAX` where there
    /// would be more.
    #[must_use]
    pub const fn frame_bytes(self, width: u32, height: u32) -> u64 {
        let (chroma_width, chroma_height) = self.chroma.chroma_size(width, height);
        let luma = width as u64 * height as u64;
        let chroma = chroma_width as u64 * chroma_height as u64;
        luma.saturating_add(chroma.saturating_mul(2)).saturating_mul(self.bytes_per_sample() as u64)
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "4:{}:{} {}-bit",
            &self.chroma.as_str()[1..2],
            &self.chroma.as_str()[2..],
            self.bit_depth
        )
    }
}

/// The geometry of a headerless YUV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RawGeometry {
    /// Luma width in samples.
    pub width: u32,
    /// Luma height in samples.
    pub height: u32,
    /// Chroma subsampling and bit depth.
    pub format: PixelFormat,
}

/// Names one video.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MediaRef {
    /// An absolute or relative path, or a URL with a scheme.
    pub uri: String,
    /// Given for headerless YUV; `None` lets the file speak for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawGeometry>,
}

impl MediaRef {
    /// Names a video whose file says what it is.
    #[must_use]
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), raw: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_any_size_has_a_number_of_bytes() {
        let bytes = |chroma, bit_depth, width, height| {
            PixelFormat { chroma, bit_depth }.frame_bytes(width, height)
        };
        assert_eq!(bytes(ChromaSubsampling::C420, 8, 5, 3), 5 * 3 + 2 * 3 * 2);
        assert_eq!(bytes(ChromaSubsampling::C411, 10, 5, 3), 2 * (5 * 3 + 2 * 2 * 3));
        assert_eq!(bytes(ChromaSubsampling::C400, 16, 5, 3), 2 * 5 * 3);
        assert_eq!(bytes(ChromaSubsampling::C444, 16, u32::MAX, u32::MAX), u64::MAX);
        assert_eq!(bytes(ChromaSubsampling::C420, 8, u32::MAX, u32::MAX), u64::MAX);
    }
}
