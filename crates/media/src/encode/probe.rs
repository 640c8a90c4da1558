//! What an `ffmpeg` can encode with, and in which versions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use types::{EncodeRequest, Encoder};

use super::child::program_name;
use super::error::EncoderError;
use crate::ffmpeg::FfmpegConfig;
use crate::stop::{STOP_CHECK_INTERVAL, Stop};

/// How long `ffmpeg` may take to list what it has.
const LIST_TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes of the list; a full build writes 20 kB.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Steps of one unit where SVT-AV1 takes fractions.
const SVT_FRACTIONAL_STEPS: u8 = 4;

/// The first version of SVT-AV1 that takes quarters of a CRF.
const SVT_FRACTIONAL_FROM: u32 = 4;

/// An encode of next to nothing, which makes an encoder's library say its version.
const SAYS_VERSION: [&str; 6] =
    ["-v", "verbose", "-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=0.2"];

/// Bytes of a library's version.
const VERSION_BYTES_MAX: usize = 64;

/// The encoders of one `ffmpeg`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncoderSet {
    /// What the program calls its version.
    pub version: String,
    /// Those of [`Encoder::ALL`] it was built with.
    pub encoders: Vec<Encoder>,
    /// SVT-AV1's own version, where it is there and says one.
    pub svt_version: Option<String>,
}

impl EncoderSet {
    /// Whether the encoder is there.
    #[must_use]
    pub fn has(&self, encoder: Encoder) -> bool {
        self.encoders.contains(&encoder)
    }

    /// How many steps one unit of the encoder's scale has, as this `ffmpeg` has it.
    #[must_use]
    pub fn steps_per_unit(&self, encoder: Encoder) -> u8 {
        match encoder {
            Encoder::SvtAv1 if self.svt_version.as_deref().is_some_and(takes_fractions) => {
                SVT_FRACTIONAL_STEPS
            }
            other => other.scale().steps_per_unit,
        }
    }
}

fn takes_fractions(svt_version: &str) -> bool {
    let major = svt_version.trim_start_matches('v').split('.').next();
    major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|m| m >= SVT_FRACTIONAL_FROM)
}

/// What encodes, in the words of its programs: `ffmpeg 8.0, libx264 165`. What says no version stands
/// there without one.
#[must_use]
pub fn encoder_version(ffmpeg: Option<&str>, encoder: Encoder, library: Option<&str>) -> String {
    let said = |version: Option<&str>| version.map_or(String::new(), |v| format!(" {v}"));
    format!("ffmpeg{}, {encoder}{}", said(ffmpeg), said(library))
}

/// Whether what encoded, by its own words, encoded at the quality asked for and not at one beside it.
pub(super) fn takes(request: &EncodeRequest, encoder_version: &str) -> bool {
    request.encoder != Encoder::SvtAv1
        || request.quality.0 % 100 == 0
        || encoder_version.rsplit_once(' ').is_some_and(|(_, version)| takes_fractions(version))
}

/// Asks `ffmpeg` what it has.
///
/// # Errors
/// When it cannot be started, does not answer in time, or the work is stopped.
pub fn encoders_of(config: &FfmpegConfig, stop: &Stop) -> Result<EncoderSet, EncoderError> {
    let list = ask(config, &["-encoders"], None, stop)?;
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let encoders: Vec<Encoder> =
        Encoder::ALL.iter().copied().filter(|e| names.contains(&e.as_str())).collect();
    let version = list.lines().find_map(|line| line.strip_prefix("ffmpeg version "));
    let version = version.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unknown");
    let svt_version = if encoders.contains(&Encoder::SvtAv1) {
        library_version(config, Encoder::SvtAv1, stop)?
    } else {
        None
    };
    Ok(EncoderSet { version: version.chars().take(64).collect(), encoders, svt_version })
}

/// Asks the libraries of encoders that this `ffmpeg` has for their versions: an `ffmpeg` of one version
/// may be built with any version of a library. A library that says none is left out.
///
/// # Errors
/// As [`encoders_of`].
pub fn library_versions(
    config: &FfmpegConfig,
    encoders: &[Encoder],
    stop: &Stop,
) -> Result<BTreeMap<Encoder, String>, EncoderError> {
    let mut versions = BTreeMap::new();
    for encoder in encoders {
        if let Some(version) = library_version(config, *encoder, stop)? {
            versions.insert(*encoder, version);
        }
    }
    Ok(versions)
}

fn library_version(
    config: &FfmpegConfig,
    encoder: Encoder,
    stop: &Stop,
) -> Result<Option<String>, EncoderError> {
    let mut arguments = SAYS_VERSION.to_vec();
    if let Some(format) = encoder.pixel_format_default() {
        arguments.extend(["-pix_fmt", format]);
    }
    arguments.extend(["-c:v", encoder.as_str()]);
    // Its version stands in the stream.
    let format = if encoder == Encoder::X264 { "h264" } else { "null" };
    arguments.extend(["-f", format, "pipe:1"]);
    let said = ask(config, &arguments, None, stop)?;
    Ok(said.lines().find_map(|line| version_in(encoder, line)).map(str::to_owned))
}

/// The version of an encoder's library, where a line that `ffmpeg` writes says it.
pub(super) fn version_in(encoder: Encoder, line: &str) -> Option<&str> {
    let after = |mark: &str| line.split_once(mark).map(|(_, rest)| rest);
    let own_line = |name: &str| {
        let (_, said) = after(name)?.split_once("] ")?;
        let number = said.strip_prefix('v')?;
        number.starts_with(|c: char| c.is_ascii_digit()).then_some(said)
    };
    let version = match encoder {
        // `x264 - core 165 r3222 b35605a - H.264/MPEG-4 AVC codec`
        Encoder::X264 => after("x264 - core ")?.split(" - ").next()?,
        // `x265 [info]: HEVC encoder version 4.3+49-020d7054`
        Encoder::X265 => after("HEVC encoder version ")?,
        // `Svt[info]: SVT [version]: SVT-AV1 Encoder Lib v4.2.0`
        Encoder::SvtAv1 => after("SVT [version]:")?.split_whitespace().last()?,
        // `[libaom-av1 @ 0x56233e213a00] v3.15.1`
        Encoder::Aom => own_line("[libaom-av1 @ ")?,
        Encoder::Vp9 => own_line("[libvpx-vp9 @ ")?,
        Encoder::Vvenc => after("libvvenc version: ")?,
    };
    let version = version.trim();
    (1..=VERSION_BYTES_MAX).contains(&version.len()).then_some(version)
}

/// Runs it, on a file or on nothing, and gives all that it writes.
pub(super) fn ask(
    config: &FfmpegConfig,
    arguments: &[&str],
    input: Option<File>,
    stop: &Stop,
) -> Result<String, EncoderError> {
    let missing = |source| EncoderError::ProgramMissing { program: program_name(config), source };
    let mut child = Command::new(config.program())
        .arg("-nostdin")
        .args(arguments)
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(missing)?;
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let stderr = child.stderr.take().expect("standard error is a pipe");
    let (out, err) = (read_all(stdout), read_all(stderr));
    let until = Instant::now() + LIST_TIME_MAX;
    let outcome = loop {
        match child.try_wait() {
            Ok(Some(_)) => break Ok(()),
            Ok(None) if Instant::now() >= until => {
                break Err(missing(std::io::ErrorKind::TimedOut.into()));
            }
            Ok(None) => {}
            Err(error) => break Err(missing(error)),
        }
        if let Err(stopped) = stop.check() {
            break Err(stopped.into());
        }
        std::thread::sleep(STOP_CHECK_INTERVAL / 2);
    };
    if outcome.is_err() {
        // Its own children would keep the pipes open. Not yet reaped, so the number is its own.
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = [err.join().unwrap_or_default(), out.join().unwrap_or_default()].concat();
    outcome.map(|()| String::from_utf8_lossy(&text).into_owned())
}

fn read_all(pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is not in the list.
        let _ = pipe.take(LIST_BYTES_MAX).read_to_end(&mut text);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svt_takes_quarters_from_its_fourth_version_on() {
        let line = "Svt[info]: SVT [version]:\tSVT-AV1 Encoder Lib v4.2.0-151-g5ed9ffbcb";
        let steps = |version: Option<&str>| {
            let svt_version = version.map(str::to_owned);
            EncoderSet { svt_version, ..EncoderSet::default() }.steps_per_unit(Encoder::SvtAv1)
        };
        assert_eq!(steps(version_in(Encoder::SvtAv1, line)), 4);
        assert_eq!((steps(Some("v3.1.2")), steps(Some("?")), steps(None)), (1, 1, 1));
        assert_eq!(EncoderSet::default().steps_per_unit(Encoder::X264), 4);
        let quarter = EncodeRequest::new(Encoder::SvtAv1, types::Quality(3_025));
        assert!(takes(&quarter, "ffmpeg 8, libsvtav1 v4.2.0"));
        assert!(!takes(&quarter, "ffmpeg 8, libsvtav1 v3.1.2"));
        assert!(!takes(&quarter, "ffmpeg 8, libsvtav1"));
    }

    #[test]
    fn each_library_says_its_version_in_its_own_way() {
        let said = |encoder, line| version_in(encoder, line);
        let x264 = "....x264 - core 165 r3222 b35605a - H.264/MPEG-4 AVC codec - Copyleft";
        assert_eq!(said(Encoder::X264, x264), Some("165 r3222 b35605a"));
        let x265 = "x265 [info]: HEVC encoder version 4.3+49-020d7054";
        assert_eq!(said(Encoder::X265, x265), Some("4.3+49-020d7054"));
        assert_eq!(said(Encoder::Aom, "[libaom-av1 @ 0x56233e213a00] v3.15.1"), Some("v3.15.1"));
        assert_eq!(said(Encoder::Aom, "[libaom-av1 @ 0x56233e213a00] very slow"), None);
        assert_eq!(said(Encoder::Vp9, "[libvpx-vp9 @ 0x55a262184a00] v1.17.0"), Some("v1.17.0"));
        let vvenc = "[libvvenc @ 0x55fb2667ca00] libvvenc version: 1.15.0-dev";
        assert_eq!(said(Encoder::Vvenc, vvenc), Some("1.15.0-dev"));
        assert_eq!(said(Encoder::X265, x264), None);
        let long = format!("libvvenc version: {}", "9".repeat(VERSION_BYTES_MAX + 1));
        assert_eq!(said(Encoder::Vvenc, &long), None, "bounded");
    }
}
