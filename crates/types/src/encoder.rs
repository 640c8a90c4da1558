//! The encoders, their names, scales and presets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quality::{Direction, QualityScale};

macro_rules! encoders {
    ($($(#[$doc:meta])* $name:ident = $ffmpeg:literal, [$($alias:literal),*], $scale:expr, preset: $preset:literal;)+) => {
        /// An encoder that `ffmpeg` may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Encoder {
            $($(#[$doc])* #[serde(rename = $ffmpeg)] $name,)+
        }

        impl Encoder {
            /// Every encoder known here.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name `ffmpeg` has for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $ffmpeg,)+ }
            }

            /// The names people use, besides.
            #[must_use]
            pub const fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($alias),*],)+ }
            }

            /// The numbers it takes.
            #[must_use]
            pub const fn scale(self) -> QualityScale {
                match self { $(Self::$name => $scale,)+ }
            }

            /// The preset where none is named.
            #[must_use]
            pub const fn preset_default(self) -> &'static str {
                match self { $(Self::$name => $preset,)+ }
            }
        }
    };
}

const fn crf(first: i32, last: i32, steps_per_unit: u8) -> QualityScale {
    QualityScale { first, last, steps_per_unit, direction: Direction::LargerIsSmaller }
}

encoders! {
    /// H.264.
    X264 = "libx264", ["x264", "h264", "avc"], crf(0, 51, 4), preset: "medium";
    /// H.265.
    X265 = "libx265", ["x265", "h265", "hevc"], crf(0, 51, 4), preset: "medium";
    /// AV1, the production encoder. Quarter steps are asked for where `ffmpeg` takes them.
    SvtAv1 = "libsvtav1", ["svt-av1", "svtav1", "av1"], crf(1, 63, 1), preset: "8";
    /// AV1, the reference encoder.
    Aom = "libaom-av1", ["aom", "libaom", "aom-av1"], crf(0, 63, 1), preset: "6";
    /// VP9.
    Vp9 = "libvpx-vp9", ["vp9", "libvpx"], crf(0, 63, 1), preset: "4";
    /// H.266.
    Vvenc = "libvvenc", ["vvenc", "vvc", "h266"], crf(0, 63, 1), preset: "faster";
}

impl Encoder {
    /// The finest step of any version of the encoder, in hundredths. What lies between is not taken:
    /// encoders round it, and what was measured would be another quality than the one named.
    #[must_use]
    pub const fn finest_step(self) -> i32 {
        match self {
            // From its fourth version on it takes quarters.
            Self::SvtAv1 => 25,
            other => 100 / other.scale().steps_per_unit as i32,
        }
    }

    /// The pixel format to encode where none is named; `None` keeps the reference's.
    #[must_use]
    pub const fn pixel_format_default(self) -> Option<&'static str> {
        match self {
            // It takes no other.
            Self::Vvenc => Some("yuv420p10le"),
            _ => None,
        }
    }
}

impl fmt::Display for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Encoder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |encoder: &&Self| encoder.as_str() == text || encoder.aliases().contains(&text);
        Self::ALL.iter().find(known).copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|encoder| encoder.as_str()).collect();
            let shown: String = text.chars().take(64).collect();
            format!("{shown:?} is not an encoder; use {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_read_and_no_two_encoders_share_one() {
        let mut seen = std::collections::BTreeSet::new();
        for encoder in Encoder::ALL {
            for name in encoder.aliases().iter().chain([&encoder.as_str()]) {
                assert_eq!(name.parse(), Ok(*encoder));
                assert!(seen.insert(*name), "{name}");
            }
        }
        assert!("mpeg2".parse::<Encoder>().expect_err("none").contains("libx264"));
    }
}
