//! What an encode is asked for, and what came of it: encoders, their quality scales, results.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::encode_parameters;

/// Which way quality goes as the encoder's number grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A larger number is a smaller file of less quality: CRF, QP.
    LargerIsSmaller,
    /// A larger number is a larger file of more quality.
    LargerIsBetter,
}

/// The numbers an encoder takes for quality: every `1 / steps_per_unit` from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QualityScale {
    /// The smallest number, in whole units.
    pub first: i32,
    /// The largest number, in whole units.
    pub last: i32,
    /// Steps within one unit: 1, 2 or 4.
    pub steps_per_unit: u8,
    /// Which way quality goes.
    pub direction: Direction,
}

impl QualityScale {
    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let units = usize::try_from(self.last - self.first).unwrap_or(0);
        units * usize::from(self.steps_per_unit) + 1
    }

    /// Whether there is none: never, of a scale of this crate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last < self.first
    }

    /// The number at a place, where 0 is the best quality and `len() - 1` the smallest file.
    #[must_use]
    pub fn at(&self, index: usize) -> Quality {
        let index = index.min(self.len() - 1);
        let from_first = match self.direction {
            Direction::LargerIsSmaller => index,
            Direction::LargerIsBetter => self.len() - 1 - index,
        };
        let steps = i32::try_from(from_first).unwrap_or(i32::MAX);
        Quality(self.first * 100 + steps * 100 / i32::from(self.steps_per_unit))
    }

    /// The place of a number, or of the nearest there is.
    #[must_use]
    pub fn index_of(&self, quality: Quality) -> usize {
        let step = 100.0 / f64::from(self.steps_per_unit);
        let steps = (f64::from(quality.0 - self.first * 100) / step).round();
        let from_first = (steps.max(0.0) as usize).min(self.len() - 1);
        match self.direction {
            Direction::LargerIsSmaller => from_first,
            Direction::LargerIsBetter => self.len() - 1 - from_first,
        }
    }
}

/// An encoder's number for quality, in hundredths so that it is exact: CRF 23.25 is 2325.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Quality(pub i32);

impl Quality {
    /// The number as a float.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Quality {
    /// As short as it is exact: `23`, `23.5`, `23.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.value().to_string())
    }
}

impl From<Quality> for f64 {
    fn from(quality: Quality) -> Self {
        quality.value()
    }
}

impl FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map_err(|_| format!("{text:?} is not a number")).and_then(Self::from_value)
    }
}

impl TryFrom<f64> for Quality {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::from_value(value)
    }
}

impl Quality {
    /// Takes a number, to the nearest hundredth.
    fn from_value(value: f64) -> Result<Self, String> {
        let hundredths = (value * 100.0).round();
        if !(-100_000.0..=100_000.0).contains(&hundredths) {
            return Err(format!("{value} is no encoder's quality"));
        }
        Ok(Self(hundredths as i32))
    }
}

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

/// How one encode is to be made: everything that decides its bytes, but the pictures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EncodeRequest {
    /// With which encoder.
    pub encoder: Encoder,
    /// At which quality.
    pub quality: Quality,
    /// How hard it tries: the encoder's own word or number.
    pub preset: String,
    /// The pixel format to encode, such as `yuv420p10le`; `None` keeps the reference's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_format: Option<String>,
    /// Width and height to scale to before the encode; `None` keeps the reference's. What is scored
    /// is scaled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// Further options of the encoder by `ffmpeg`'s names, each of [`OPTIONS_ALLOWED`](Self::OPTIONS_ALLOWED).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Threads the encoder may use. Some encoders' bytes depend on it, so that it is part of what is
    /// asked and not of where it runs.
    #[serde(default = "threads_default")]
    pub threads: u8,
}

const fn threads_default() -> u8 {
    EncodeRequest::THREADS_DEFAULT
}

impl EncodeRequest {
    /// Threads where nothing is said.
    pub const THREADS_DEFAULT: u8 = 4;
    /// The most threads that may be asked for.
    pub const THREADS_MAX: u8 = 64;
    /// Bytes of a preset's or an option's name.
    pub const NAME_BYTES_MAX: usize = 64;
    /// Bytes of an option's value.
    pub const VALUE_BYTES_MAX: usize = 1_024;
    /// Options that may be given.
    pub const OPTIONS_MAX: usize = 32;
    /// The longest side that may be asked for.
    pub const SIDE_MAX: u32 = 16_384;
    /// The options that may be given. A list of what is allowed: `ffmpeg` has others that name files.
    pub const OPTIONS_ALLOWED: [&'static str; 33] = [
        "aom-params",
        "aq-mode",
        "aq-strength",
        "auto-alt-ref",
        "b-pyramid",
        "bf",
        "bufsize",
        "cpu-used",
        "deadline",
        "denoise-noise-level",
        "forced-idr",
        "g",
        "keyint_min",
        "lag-in-frames",
        "level",
        "maxrate",
        "profile",
        "psy-rd",
        "qpa",
        "rc-lookahead",
        "refs",
        "row-mt",
        "sc_threshold",
        "svtav1-params",
        "tile-columns",
        "tile-rows",
        "tiles",
        "trellis",
        "tune",
        "usage",
        "vvenc-params",
        "x264-params",
        "x265-params",
    ];
    /// The pixel formats that may be asked for.
    pub const PIXEL_FORMATS: [&'static str; 6] =
        ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"];

    /// An encode at this quality with the encoder's default preset and nothing else said.
    #[must_use]
    pub fn new(encoder: Encoder, quality: Quality) -> Self {
        Self {
            encoder,
            quality,
            preset: encoder.preset_default().to_owned(),
            pixel_format: None,
            size: None,
            options: BTreeMap::new(),
            threads: Self::THREADS_DEFAULT,
        }
    }

    /// Checks every bound. What passes cannot make an encoder read or write a file of its choice:
    /// only listed options, of a library's own parameters only listed
    /// ones, and no value with a path in it.
    ///
    /// # Errors
    /// The first bound that is broken.
    pub fn check(&self) -> Result<(), EncodeError> {
        let scale = self.encoder.scale();
        let bounds = (scale.first * 100)..=(scale.last * 100);
        if !bounds.contains(&self.quality.0) || self.quality.0 % self.encoder.finest_step() != 0 {
            return Err(EncodeError::Quality { encoder: self.encoder, quality: self.quality });
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.preset.is_empty()
            || self.preset.len() > Self::NAME_BYTES_MAX
            || !self.preset.chars().all(plain)
        {
            return Err(EncodeError::Preset(self.preset.chars().take(64).collect()));
        }
        if let Some(format) = &self.pixel_format
            && !Self::PIXEL_FORMATS.contains(&format.as_str())
        {
            return Err(EncodeError::PixelFormat(format.chars().take(64).collect()));
        }
        if let Some((width, height)) = self.size
            && [width, height].iter().any(|s| !(16..=Self::SIDE_MAX).contains(s) || s % 2 != 0)
        {
            return Err(EncodeError::Size(width, height));
        }
        if !(1..=Self::THREADS_MAX).contains(&self.threads) {
            return Err(EncodeError::Threads(self.threads));
        }
        self.check_options()
    }

    fn check_options(&self) -> Result<(), EncodeError> {
        if self.options.len() > Self::OPTIONS_MAX {
            return Err(EncodeError::OptionCount(self.options.len()));
        }
        for (name, value) in &self.options {
            if !Self::OPTIONS_ALLOWED.contains(&name.as_str()) {
                return Err(EncodeError::OptionName(name.chars().take(64).collect()));
            }
            // A value is graphic ASCII without what a path or a second argument needs.
            let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '\\');
            if value.is_empty()
                || value.len() > Self::VALUE_BYTES_MAX
                || !value.chars().all(fits)
                || value.starts_with('-') && value.parse::<f64>().is_err()
            {
                return Err(EncodeError::OptionValue(name.clone()));
            }
            if let Some(allowed) = encode_parameters::allowed(name) {
                encode_parameters::check(allowed, value)?;
            }
        }
        Ok(())
    }
}

/// What of an encode cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A quality off the encoder's scale.
    #[error(
        "quality {quality} is off {encoder}'s scale; use {first} to {last} in steps of {step}",
        first = encoder.scale().first,
        last = encoder.scale().last,
        step = Quality(encoder.finest_step())
    )]
    Quality {
        /// The encoder.
        encoder: Encoder,
        /// What was asked.
        quality: Quality,
    },
    /// A preset that is no word.
    #[error("{0:?} is not a preset; use one word or number of the encoder's own")]
    Preset(String),
    /// A pixel format that is not taken.
    #[error("pixel format {0:?} is not taken; use {list}", list = EncodeRequest::PIXEL_FORMATS.join(", "))]
    PixelFormat(String),
    /// A size that cannot be encoded.
    #[error("{0}x{1} cannot be encoded; sides are even and 16 to {max}", max = EncodeRequest::SIDE_MAX)]
    Size(u32, u32),
    /// Too many threads, or none.
    #[error("{0} threads are asked for; use 1 to {max}", max = EncodeRequest::THREADS_MAX)]
    Threads(u8),
    /// Too many options.
    #[error("{0} encoder options are given; at most {max} are taken", max = EncodeRequest::OPTIONS_MAX)]
    OptionCount(usize),
    /// An option that is not on the list.
    #[error("encoder option {0:?} is not taken; use one of {list}", list = EncodeRequest::OPTIONS_ALLOWED.join(", "))]
    OptionName(String),
    /// A parameter of the encoder's library that is not on its list, or has no plain value.
    #[error(
        "encoder parameter {0:?} is not taken; give name=value of those that shape the picture, not of those that name files, threads or the quality"
    )]
    Parameter(String),
    /// A value that could be more than a value.
    #[error(
        "the value of encoder option {0:?} is not taken: 1 to {max} printable characters without spaces and slashes",
        max = EncodeRequest::VALUE_BYTES_MAX
    )]
    OptionValue(String),
}

/// What came of an encode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoded {
    /// Bytes of the file, its container's few included.
    pub bytes: u64,
    /// Frames in it.
    pub frame_count: u64,
    /// Frames per second, as numerator and denominator.
    pub frame_rate: (u32, u32),
    /// Wall time of the encode.
    pub encode_time: Duration,
    /// What encoded, such as `ffmpeg 7.1, libx264`.
    pub encoder_version: String,
}

impl Encoded {
    /// Thousands of bits a second; 0 where there is no frame.
    #[must_use]
    pub fn kilobits_per_second(&self) -> f64 {
        let (rate, per) = self.frame_rate;
        if self.frame_count == 0 || per == 0 {
            return 0.0;
        }
        let seconds = self.frame_count as f64 * f64::from(per) / f64::from(rate.max(1));
        self.bytes as f64 * 8.0 / 1_000.0 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_every_scale_comes_back() {
        let better = QualityScale {
            first: 1,
            last: 10,
            steps_per_unit: 2,
            direction: Direction::LargerIsBetter,
        };
        let scales = Encoder::ALL.iter().map(|encoder| encoder.scale()).chain([better]);
        for scale in scales {
            for index in 0..scale.len() {
                assert_eq!(scale.index_of(scale.at(index)), index, "{scale:?}");
            }
        }
        assert_eq!(better.at(0), Quality(1_000), "the best is the largest number");
        assert_eq!(Encoder::X264.scale().at(93), Quality(2_325));
        assert_eq!(Encoder::X264.scale().index_of(Quality(-500)), 0);
        assert_eq!(Quality(2_325).to_string(), "23.25");
        assert_eq!("23.5".parse(), Ok(Quality(2_350)));
        assert!("x".parse::<Quality>().is_err() && "1e9".parse::<Quality>().is_err());
    }

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

    #[test]
    fn nothing_that_could_name_a_file_or_a_second_argument_passes() {
        let request = EncodeRequest::new(Encoder::X264, Quality(2_300));
        let with = |name: &str, value: &str| {
            let options = [(name.to_owned(), value.to_owned())].into();
            EncodeRequest { options, ..request.clone() }.check()
        };
        assert_eq!(with("tune", "film"), Ok(()));
        assert_eq!(with("g", "-1"), Ok(()));
        assert_eq!(with("x264-params", "keyint=48:scenecut=0"), Ok(()));
        assert_eq!(with("x265-params", "no-sao=1:master-display=G(1,2)B(3,4)"), Ok(()));
        for (name, value) in [
            ("vstats_file", "x"),
            ("i", "x"),
            ("x264-params", "stats=/etc/x"),
            ("x264-params", "a\\b"),
            ("x264-params", "keyint=48:STATS=x"),
            ("x265-params", "analysis-save=x"),
            ("svtav1-params", "tune=0:fgs-table=x"),
            ("x264-params", "dump-yuv=x"),
            ("x264-params", "pass=1:stats=x"),
            ("x264-params", "keyint='1:dump-yuv'=x"),
            ("x264-params", "keyint"),
            ("x264-params", "crf=40"),
            ("x264-params", "cqmfile=x"),
            ("x265-params", "csv=x"),
            ("x265-params", "lambda-file=x"),
            ("x265-params", "pools=64"),
            ("aom-params", "film-grain-table=x"),
            ("svtav1-params", "lp=64"),
            ("vvenc-params", "rcstatsfile=x"),
            ("tune", "a b"),
            ("tune", "-i"),
            ("tune", ""),
        ] {
            assert!(with(name, value).is_err(), "{name}={value}");
        }
        let broken = |change: fn(&mut EncodeRequest)| {
            let mut request = request.clone();
            change(&mut request);
            request.check().is_err()
        };
        assert!(broken(|r| r.quality = Quality(5_200)));
        assert!(broken(|r| r.quality = Quality(2_310)), "x264 takes quarters");
        let off_grid = |encoder, quality| EncodeRequest::new(encoder, Quality(quality)).check();
        assert_eq!(off_grid(Encoder::SvtAv1, 3_025), Ok(()));
        assert!(off_grid(Encoder::Vp9, 3_050).is_err());
        assert!(broken(|r| r.preset = "fast -y".into()));
        assert!(broken(|r| r.pixel_format = Some("rgb24".into())));
        assert!(broken(|r| r.size = Some((641, 360))));
        assert!(broken(|r| r.threads = 0));
    }

    #[test]
    fn bits_a_second_follow_from_frames_and_rate() {
        let encoded = Encoded {
            bytes: 125_000,
            frame_count: 50,
            frame_rate: (25, 1),
            encode_time: Duration::ZERO,
            encoder_version: String::new(),
        };
        assert_eq!(encoded.kilobits_per_second(), 500.0);
        assert_eq!(Encoded { frame_count: 0, ..encoded }.kilobits_per_second(), 0.0);
    }
}
