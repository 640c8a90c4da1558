//! What an `ffmpeg` can encode with.

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

/// An encode of nothing, which makes SVT-AV1 say its version.
const SVT_SAYS_VERSION: [&str; 14] = [
    "-v",
    "error",
    "-f",
    "lavfi",
    "-i",
    "color=size=64x64:rate=25:duration=0.2",
    "-c:v",
    "libsvtav1",
    "-preset",
    "10",
    "-crf",
    "40",
    "-f",
    "null",
];

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
    let list = ask(config, &["-encoders"], stop)?;
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let encoders: Vec<Encoder> =
        Encoder::ALL.iter().copied().filter(|e| names.contains(&e.as_str())).collect();
    let version = list.lines().find_map(|line| line.strip_prefix("ffmpeg version "));
    let version = version.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unknown");
    let svt_version = if encoders.contains(&Encoder::SvtAv1) {
        let mut arguments = SVT_SAYS_VERSION.to_vec();
        arguments.push("-");
        ask(config, &arguments, stop)?.lines().find_map(svt_version).map(str::to_owned)
    } else {
        None
    };
    Ok(EncoderSet { version: version.chars().take(64).collect(), encoders, svt_version })
}

/// Reads `Svt[info]: SVT [version]: SVT-AV1 Encoder Lib v4.2.0`.
pub(super) fn svt_version(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("SVT [version]:")?;
    rest.split_whitespace().last().filter(|word| word.len() <= 64)
}

/// Runs it and gives all that it writes.
fn ask(config: &FfmpegConfig, arguments: &[&str], stop: &Stop) -> Result<String, EncoderError> {
    let missing = |source| EncoderError::ProgramMissing { program: program_name(config), source };
    let mut child = Command::new(config.program())
        .arg("-nostdin")
        .args(arguments)
        .stdin(Stdio::null())
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
        std::thread::sleep(STOP_CHECK_INTERVAL / 5);
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
        assert_eq!(steps(svt_version(line)), 4);
        assert_eq!((steps(Some("v3.1.2")), steps(Some("?")), steps(None)), (1, 1, 1));
        assert_eq!(EncoderSet::default().steps_per_unit(Encoder::X264), 4);
        let quarter = EncodeRequest::new(Encoder::SvtAv1, types::Quality(3_025));
        assert!(takes(&quarter, "ffmpeg 8, libsvtav1 v4.2.0"));
        assert!(!takes(&quarter, "ffmpeg 8, libsvtav1 v3.1.2"));
        assert!(!takes(&quarter, "ffmpeg 8, libsvtav1"));
    }
}
