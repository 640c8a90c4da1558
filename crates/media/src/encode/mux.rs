//! What a film has besides its pictures: taken over from the source, without encoding it again.
//!
//! The source is opened here, under the rules for sources, and handed to `ffmpeg` as a descriptor: a
//! hostile file cannot make it open another. The pictures are those of a file that was encoded here.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use types::{Encoder, MediaRef};

use super::child::{EncoderChild, Target};
use super::error::EncoderError;
use super::options::{fragmented_words, output_words};
use super::{container_of, probe};
use crate::ffmpeg::FfmpegConfig;
use crate::open::MediaConfig;
use crate::stop::Stop;

/// Seconds of a source that are put into a container to see whether it takes them. What a container
/// refuses, it refuses at its header.
const TRIAL_SECONDS: &str = "2";

/// Which streams of a source are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streams {
    /// All audio.
    pub audio: bool,
    /// All subtitles.
    pub subtitles: bool,
}

impl Streams {
    /// Nothing.
    pub const NONE: Self = Self { audio: false, subtitles: false };

    /// Whether there is nothing to take over.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.audio && !self.subtitles
    }

    /// What is taken from the input of that number; a source that has none of it is no error.
    fn maps(self, input: u8) -> Vec<OsString> {
        let wanted = [(self.audio, 'a'), (self.subtitles, 's')];
        let maps = wanted.into_iter().filter(|(wanted, _)| *wanted);
        maps.flat_map(|(_, kind)| ["-map".to_owned(), format!("{input}:{kind}?")])
            .map(OsString::from)
            .collect()
    }

    /// For messages.
    const fn as_str(self) -> &'static str {
        match (self.audio, self.subtitles) {
            (true, true) => "audio and subtitles",
            (true, false) => "audio",
            (false, _) => "subtitles",
        }
    }
}

/// Which streams a source has besides its pictures.
///
/// # Errors
/// When the source cannot be opened, `ffmpeg` is missing or does not answer, or the work is stopped.
pub fn streams_of(
    source: &MediaRef,
    media: &MediaConfig,
    stop: &Stop,
) -> Result<Streams, EncoderError> {
    let input = open(source, media)?;
    // It ends without success, as it is given nothing to write, and has said what there is.
    let said =
        probe::ask(&media.ffmpeg, &["-protocol_whitelist", "fd", "-i", "fd:"], Some(input), stop)?;
    Ok(streams_in(&said))
}

fn streams_in(said: &str) -> Streams {
    let has = |kind: &str| {
        let lines = said.lines().map(str::trim_start).filter(|line| line.starts_with("Stream #0:"));
        // Whatever a title says stands on lines of its own.
        lines.filter_map(|line| line.split(": ").nth(1)).any(|found| found == kind)
    };
    Streams { audio: has("Audio"), subtitles: has("Subtitle") }
}

/// Finds out whether the container that `trial` ends with takes these streams of a source as they
/// are, by putting the first seconds of them into that file, which is removed again.
///
/// # Errors
/// [`EncoderError::Streams`] where it does not take them; else when the source cannot be opened,
/// `ffmpeg` is missing, or the work is stopped.
pub fn takes(
    source: &MediaRef,
    streams: Streams,
    trial: &Path,
    media: &MediaConfig,
    stop: &Stop,
) -> Result<(), EncoderError> {
    let container = container_of(trial)?;
    if streams.is_none() {
        return Ok(());
    }
    let mut words = opening(&["-t", TRIAL_SECONDS]);
    words.extend(streams.maps(0));
    words.extend(["-c", "copy"].map(OsString::from));
    words.extend(output_words(container, Encoder::X264, trial));
    let taken = run(source, streams, trial, &words, media, stop);
    // It may never have been made.
    let _ = std::fs::remove_file(trial);
    taken
}

/// Writes the pictures of `video`, a file that was encoded from the first frame of `source` on, and
/// these streams of the source into `output`, none of it encoded again. Sound and pictures are as far
/// apart as they are in the source.
///
/// # Errors
/// As [`takes`], and when the disk is full or `ffmpeg` fails.
pub fn accompany(
    video: &Path,
    source: &MediaRef,
    streams: Streams,
    encoder: Encoder,
    output: &Path,
    media: &MediaConfig,
    stop: &Stop,
) -> Result<(), EncoderError> {
    let container = container_of(output)?;
    let late = first_picture_seconds(source, media, stop)?;
    let mut words = opening(&[]);
    words.extend(["-itsoffset", &format!("{late:.6}")].map(OsString::from));
    words.extend(["-protocol_whitelist", "file", "-i"].map(OsString::from));
    let mut file = OsString::from("file:");
    file.push(video);
    words.push(file);
    words.extend(["-map", "1:v:0"].map(OsString::from));
    words.extend(streams.maps(0));
    words.extend(["-map_chapters", "0", "-c", "copy"].map(OsString::from));
    // A track that goes on after the pictures have ended, as most do by a moment, goes on.
    words.extend(output_words(container, encoder, output));
    let written = run(source, streams, output, &words, media, stop);
    if written.is_err() {
        // Half a file is no file. That there is none to remove is no second error.
        let _ = std::fs::remove_file(output);
    }
    written
}

/// The words that open the source, with options of that input.
pub(super) fn opening(options: &[&str]) -> Vec<OsString> {
    ["-nostdin", "-nostats", "-v", "level+info"]
        .into_iter()
        .chain(options.iter().copied())
        .chain(["-protocol_whitelist", "fd", "-i", "fd:"])
        .map(OsString::from)
        .collect()
}

/// Writes the pictures of `video` into an mp4 file of fragments, one from each keyframe to the next, with
/// an index of them at its beginning: what HLS and DASH name parts of.
///
/// # Errors
/// When the video cannot be read, the disk is full, `ffmpeg` fails, or the work is stopped.
pub fn fragment(
    video: &Path,
    encoder: Encoder,
    output: &Path,
    config: &FfmpegConfig,
    stop: &Stop,
) -> Result<(), EncoderError> {
    let mut words: Vec<OsString> =
        ["-nostdin", "-nostats", "-v", "level+info", "-protocol_whitelist", "file", "-i"]
            .map(OsString::from)
            .into();
    let mut file = OsString::from("file:");
    file.push(video);
    words.push(file);
    words.extend(["-map", "0:v:0", "-c", "copy"].map(OsString::from));
    words.extend(fragmented_words(encoder, output));
    let target = Target { encoder, output, bytes_max: None };
    let written =
        EncoderChild::start_on(config, &target, &words, None, stop).and_then(EncoderChild::finish);
    if written.is_err() {
        // Half a file is no file. That there is none to remove is no second error.
        let _ = std::fs::remove_file(output);
    }
    written.map(drop)
}

/// How long after the source's beginning its first picture is shown: 0 where it cannot be told.
pub(super) fn first_picture_seconds(
    source: &MediaRef,
    media: &MediaConfig,
    stop: &Stop,
) -> Result<f64, EncoderError> {
    let input = open(source, media)?;
    let first = ["-map", "0:V:0", "-c", "copy", "-frames:v", "1", "-f", "framecrc", "pipe:1"];
    let arguments =
        [&["-v", "error", "-protocol_whitelist", "fd", "-i", "fd:"][..], &first].concat();
    Ok(seconds_in(&probe::ask(&media.ffmpeg, &arguments, Some(input), stop)?).unwrap_or(0.0))
}

/// Reads `#tb 0: 1/1000` and `0, 500, 500, 40, 169934, 0x72cd692f`. What is before the beginning is
/// never shown.
fn seconds_in(said: &str) -> Option<f64> {
    let base = said.lines().find_map(|line| line.strip_prefix("#tb 0: "))?;
    let (numerator, denominator) = base.split_once('/')?;
    let packet = said.lines().find_map(|line| line.strip_prefix("0,"))?;
    let shown: f64 = packet.split(',').nth(1)?.trim().parse().ok()?;
    let base = numerator.trim().parse::<f64>().ok()? / denominator.trim().parse::<f64>().ok()?;
    Some(shown * base).filter(|seconds| seconds.is_finite() && *seconds > 0.0)
}

pub(super) fn open(source: &MediaRef, media: &MediaConfig) -> Result<File, EncoderError> {
    Ok(media.policy.open_file(&source.uri)?)
}

fn run(
    source: &MediaRef,
    streams: Streams,
    output: &Path,
    words: &[OsString],
    media: &MediaConfig,
    stop: &Stop,
) -> Result<(), EncoderError> {
    let target = Target { encoder: Encoder::X264, output, bytes_max: None };
    let input = Some(open(source, media)?);
    let child = EncoderChild::start_on(&media.ffmpeg, &target, words, input, stop)?;
    match child.finish() {
        Ok(_) => Ok(()),
        Err(EncoderError::Refused { detail, .. }) => Err(EncoderError::Streams {
            output: output.display().to_string(),
            streams: streams.as_str(),
            detail,
        }),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_stands_on_its_own_lines() {
        let said = "  Stream #0:0[0x1](und): Video: h264 (Main), yuv420p, 1280x720\n    Metadata:\n      \
                    title           : Audio: the film\n  Stream #0:1[0x2](eng): Audio: aac (LC), 48000 Hz\n";
        assert_eq!(streams_in(said), Streams { audio: true, subtitles: false });
        let said = "  Stream #0:0: Video: ffv1\n  Stream #0:1(ger): Subtitle: subrip (srt)\n";
        assert_eq!(streams_in(said), Streams { audio: false, subtitles: true });
        assert_eq!(streams_in("  title: Stream #0:1: Audio: x\n"), Streams::NONE);
    }

    #[test]
    fn the_first_picture_is_late_by_its_time_and_never_early() {
        let said = |pts: i64| format!("#tb 0: 1/1000\n#sar 0: 1/1\n0, {pts}, {pts}, 40, 9, 0x1\n");
        assert_eq!(seconds_in(&said(500)), Some(0.5));
        assert_eq!(
            (seconds_in(&said(0)), seconds_in(&said(-40)), seconds_in("")),
            (None, None, None)
        );
    }
}
