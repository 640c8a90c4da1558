//! What an encode is asked for, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::encode_parameters;
use crate::encoder::Encoder;
use crate::quality::Quality;

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

    /// An encode at this quality with the encoder's default preset, the pixel format that it needs,
    /// and nothing else said.
    #[must_use]
    pub fn new(encoder: Encoder, quality: Quality) -> Self {
        Self {
            encoder,
            quality,
            preset: encoder.preset_default().to_owned(),
            pixel_format: encoder.pixel_format_default().map(str::to_owned),
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
