//! The sound of a source as tracks of their own: what players of a ladder choose beside its pictures.
//!
//! A track's time begins where the source's first picture is shown, as that of encoded pictures does.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;

use types::{Encoder, MediaRef};

use super::child::{EncoderChild, Target};
use super::error::EncoderError;
use super::mux::{first_picture_seconds, open, opening};
use super::options::last_words;
use super::probe;
use crate::ffmpeg::FfmpegConfig;
use crate::open::MediaConfig;
use crate::stop::Stop;

/// Tracks of one source that are looked at.
pub const TRACKS_MAX: usize = 32;

/// Bytes of a codec's and a language's name.
const NAME_BYTES_MAX: usize = 32;

/// Microseconds of one fragment of sound.
const FRAGMENT_US: &str = "2000000";

/// How a file of sound is written: fragments with an index, and an edit list by which what encoders
/// put before the beginning is not heard.
const FLAGS: &str = "+empty_moov+delay_moov+default_base_moof+global_sidx";

/// A track of sound as the source describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Which of the source's streams it is.
    pub stream: usize,
    /// By which codec, as `ffmpeg` names it.
    pub codec: String,
    /// In which language, as the source says.
    pub language: Option<String>,
    /// How many channels, where that is told.
    pub channels: Option<u8>,
}

/// How a track is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// As it is.
    Copy,
    /// Encoded as AAC, at so many kilobits a second.
    Aac(NonZeroU32),
}

/// The tracks of sound that a source has, in its order, [`TRACKS_MAX`] at most.
///
/// # Errors
/// When the source cannot be opened, `ffmpeg` is missing or does not answer, or the work is stopped.
pub fn tracks_of(
    source: &MediaRef,
    media: &MediaConfig,
    stop: &Stop,
) -> Result<Vec<Track>, EncoderError> {
    let input = open(source, media)?;
    // It ends without success, as it is given nothing to write, and has said what there is.
    let said =
        probe::ask(&media.ffmpeg, &["-protocol_whitelist", "fd", "-i", "fd:"], Some(input), stop)?;
    Ok(tracks_in(&said))
}

/// Reads `  Stream #0:1[0x2](eng): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, stereo, fltp, 96 kb/s`.
fn tracks_in(said: &str) -> Vec<Track> {
    let streams = said.lines().map(str::trim_start).filter(|line| line.starts_with("Stream #0:"));
    let short = |text: &str| -> Option<String> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        (plain && (1..=NAME_BYTES_MAX).contains(&text.len())).then(|| text.to_owned())
    };
    let track = |line: &str| {
        let mut parts = line.splitn(3, ": ");
        let (stream, kind, described) = (parts.next()?, parts.next()?, parts.next()?);
        if kind != "Audio" {
            return None;
        }
        let number = stream.strip_prefix("Stream #0:")?;
        let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let number = number[..digits].parse().ok()?;
        let language = stream.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        let channels = described.split(", ").find_map(channels_of);
        let codec = short(described.split([' ', ',']).next().unwrap_or_default());
        Some(Track {
            stream: number,
            // Whatever it is, it has its place among the tracks.
            codec: codec.unwrap_or_else(|| "unknown".to_owned()),
            language: language.filter(|language| *language != "und").and_then(short),
            channels,
        })
    };
    let mut tracks: Vec<Track> = streams.filter_map(track).collect();
    // Where a source has programs its streams are listed by them, and some more than once.
    tracks.sort_by_key(|track| track.stream);
    tracks.dedup_by_key(|track| track.stream);
    tracks.truncate(TRACKS_MAX);
    tracks
}

/// `stereo`, `5.1(side)`, `6 channels`.
fn channels_of(text: &str) -> Option<u8> {
    let word = text.split('(').next()?.trim();
    match word {
        "mono" => return Some(1),
        "stereo" => return Some(2),
        "quad" => return Some(4),
        _ => {}
    }
    if let Some(count) = word.strip_suffix(" channels") {
        return count.parse().ok();
    }
    let (main, low) = word.split_once('.')?;
    main.parse::<u8>().ok()?.checked_add(low.parse().ok()?)
}

/// Writes a track into an mp4 file of fragments with an index
/// of them at its beginning.
///
/// # Errors
/// [`EncoderError::Streams`] where mp4 does not take it as it is; else when the source cannot be
/// opened, the disk is full, `ffmpeg` fails, or the work is stopped.
pub fn sound(
    source: &MediaRef,
    track: &Track,
    how: Sound,
    output: &Path,
    media: &MediaConfig,
    stop: &Stop,
) -> Result<(), EncoderError> {
    let late = first_picture_seconds(source, media, stop)?;
    let skip = format!("{late:.6}");
    let mut words = if late > 0.0 { opening(&["-ss", &skip]) } else { opening(&[]) };
    words.extend(["-map".to_owned(), format!("0:{}", track.stream)].map(OsString::from));
    match how {
        Sound::Copy => words.extend(["-c", "copy"].map(OsString::from)),
        Sound::Aac(kilobits) => {
            let rate = format!("{kilobits}k");
            // What begins late, or has holes, is filled with silence, so that it stays in time.
            let filter = "aresample=async=1:first_pts=0";
            words.extend(
                ["-c:a", "aac", "-b:a", &rate, "-af", filter, "-flags:a", "+bitexact"]
                    .map(OsString::from),
            );
        }
    }
    words.extend(["-movflags", FLAGS, "-frag_duration", FRAGMENT_US].map(OsString::from));
    words.extend(last_words("mp4", output));
    let target = Target { encoder: Encoder::X264, output, bytes_max: None };
    let written = open(source, media)
        .and_then(|input| EncoderChild::start_on(&media.ffmpeg, &target, &words, Some(input), stop))
        .and_then(EncoderChild::finish);
    if written.is_err() {
        // Half a file is no file. That there is none to remove is no second error.
        let _ = std::fs::remove_file(output);
    }
    match written {
        Err(EncoderError::Refused { detail, .. }) => Err(EncoderError::Streams {
            output: output.display().to_string(),
            streams: "audio",
            detail,
        }),
        written => written.map(drop),
    }
}

/// Decodes all of a file of sound of our own, so that it is known to be whole.
///
/// # Errors
/// When it is not, or the work is stopped.
pub fn check_sound(file: &Path, config: &FfmpegConfig, stop: &Stop) -> Result<(), EncoderError> {
    let mut words: Vec<OsString> = ["-nostdin", "-nostats", "-v", "level+info", "-xerror"]
        .into_iter()
        .chain(["-protocol_whitelist", "file", "-i"])
        .map(OsString::from)
        .collect();
    let mut input = OsString::from("file:");
    input.push(file);
    words.push(input);
    words.extend(["-map", "0:a:0", "-f", "null", "-"].map(OsString::from));
    let target = Target { encoder: Encoder::X264, output: file, bytes_max: None };
    let failed = |detail: String| EncoderError::Streams {
        output: file.display().to_string(),
        streams: "audio",
        detail,
    };
    match EncoderChild::start_on(config, &target, &words, None, stop)?.finish() {
        Err(EncoderError::Refused { detail, .. }) => Err(failed(detail)),
        checked => checked.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_read_with_their_languages_and_channels() {
        let said = "  Stream #0:0[0x1](und): Video: h264 (High), yuv420p, 640x272, 25 fps\n  \
                    Stream #0:1[0x2](eng): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, stereo, fltp, 96 kb/s\n    \
                    Metadata:\n      title : Stream #0:7(xxx): Audio: fake, 1 Hz, mono\n  \
                    Stream #0:2: Audio: ac3, 48000 Hz, 5.1(side), fltp, 448 kb/s\n  \
                    Stream #0:3(und): Audio: opus, 48000 Hz, 8 channels, fltp\n  \
                    Stream #0:4(ger): Subtitle: subrip (srt)\n";
        let track = |stream, codec: &str, language: Option<&str>, channels| Track {
            stream,
            codec: codec.to_owned(),
            language: language.map(str::to_owned),
            channels: Some(channels),
        };
        let expected =
            [track(1, "aac", Some("eng"), 2), track(2, "ac3", None, 6), track(3, "opus", None, 8)];
        assert_eq!(tracks_in(said), expected);
        let line = |stream| format!("  Stream #0:{stream}[0x1]: Audio: aac, 48000 Hz, mono\n");
        let many: String = (0..=TRACKS_MAX).map(line).collect();
        assert_eq!(tracks_in(&many).len(), TRACKS_MAX, "bounded");
        let by_programs = [line(4), line(1), line(4)].concat();
        assert_eq!(
            tracks_in(&by_programs),
            [track(1, "aac", None, 1), track(4, "aac", None, 1)],
            "each once, in the source's order"
        );
        let hostile = "  Stream #0:1(\"><x): Audio: aac\", 48000 Hz, 900.900\n";
        let codec = "unknown".to_owned();
        let nothing = Track { stream: 1, codec, language: None, channels: None };
        assert_eq!(tracks_in(hostile), [nothing]);
    }
}
