//! What an `ffmpeg` can encode with.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use types::{Encoder, QualityScale};

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

/// The encoders of one `ffmpeg`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncoderSet {
    /// Those of [`Encoder::ALL`] it was built with.
    pub encoders: Vec<Encoder>,
    /// SVT-AV1 takes quarters of a CRF.
    pub svt_fractions: bool,
}

impl EncoderSet {
    /// Whether the encoder is there.
    #[must_use]
    pub fn has(&self, encoder: Encoder) -> bool {
        self.encoders.contains(&encoder)
    }

    /// The numbers the encoder takes, as this `ffmpeg` has it.
    #[must_use]
    pub fn scale(&self, encoder: Encoder) -> QualityScale {
        let scale = encoder.scale();
        if encoder == Encoder::SvtAv1 && self.svt_fractions {
            return QualityScale { steps_per_unit: SVT_FRACTIONAL_STEPS, ..scale };
        }
        scale
    }
}

/// Asks `ffmpeg` what it has.
///
/// # Errors
/// When it cannot be started, does not answer in time, or the work is stopped.
pub fn encoders_of(config: &FfmpegConfig, stop: &Stop) -> Result<EncoderSet, EncoderError> {
    let list = ask(config, &["-hide_banner", "-encoders"], stop)?;
    let names: Vec<&str> =
        list.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let encoders: Vec<Encoder> =
        Encoder::ALL.iter().copied().filter(|e| names.contains(&e.as_str())).collect();
    let svt_fractions = encoders.contains(&Encoder::SvtAv1) && {
        let help = ask(config, &["-hide_banner", "-h", "encoder=libsvtav1"], stop)?;
        help.lines().any(|line| line.trim_start().starts_with("-crf") && line.contains("<float>"))
    };
    Ok(EncoderSet { encoders, svt_fractions })
}

fn ask(config: &FfmpegConfig, arguments: &[&str], stop: &Stop) -> Result<String, EncoderError> {
    let missing =
        |source| EncoderError::ProgramMissing { program: program_name(config), source };
    let mut child = Command::new(config.program())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(missing)?;
    let output = child.stdout.take().expect("standard output is a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is not in the list.
        let _ = output.take(LIST_BYTES_MAX).read_to_end(&mut text);
        text
    });
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
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = reader.join().unwrap_or_default();
    outcome.map(|()| String::from_utf8_lossy(&text).into_owned())
}
