//! The sound of a ladder: tracks of their own beside the rungs, made once, found again by a later run.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use media::EncoderError;
use media::encode::{Sound, Track, check_sound, sound, tracks_of};
use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::error::TuneError;
use crate::manifest::look_into;
use crate::notes::{Made, Notes};
use crate::output::Wanted;
use crate::progress::Event;
use crate::request::{LadderAudio, LadderRequest};
use crate::session::{Known, Session};

/// The notes of what was made, in the folder of the rungs.
const NOTES: &str = ".vmafx-tune-sound.jsonl";

/// The codec that players of every maker know, which is taken over as it is.
const KNOWN_EVERYWHERE: &str = "aac";

/// Seconds by which sound and pictures may end apart without a word.
const APART_SECONDS_MAX: f64 = 1.0;

/// A track of a ladder's sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoundTrack {
    /// The file: mp4, of fragments with an index.
    pub output: PathBuf,
    /// By which codec it is.
    pub codec: String,
    /// In which language, where the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How many channels, where the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// Its size.
    pub bytes: u64,
}

impl Made for SoundTrack {
    fn output(&self) -> &Path {
        &self.output
    }

    fn named(self, output: PathBuf) -> Self {
        Self { output, ..self }
    }
}

/// How a track is taken over; `None` leaves it out.
fn how(audio: LadderAudio, codec: &str, kilobits: NonZeroU32) -> Option<Sound> {
    match audio {
        LadderAudio::None => None,
        LadderAudio::Copy => Some(Sound::Copy),
        LadderAudio::Auto if codec == KNOWN_EVERYWHERE => Some(Sound::Copy),
        LadderAudio::Auto | LadderAudio::Aac => Some(Sound::Aac(kilobits)),
    }
}

/// Makes the file of each track that is wanted, or finds the one that an earlier run made.
pub(crate) fn make_tracks(
    session: &Session<'_>,
    known: &Known,
    request: &LadderRequest,
) -> Result<Vec<SoundTrack>, TuneError> {
    let folder = request.output.as_ref().filter(|_| request.audio != LadderAudio::None);
    let Some(folder) = folder else { return Ok(Vec::new()) };
    let (media, stop) = (&session.env.run.media, &session.stop);
    let tracks = tracks_of(&known.source.media, media, stop)?;
    if tracks.is_empty() {
        return Ok(Vec::new());
    }
    let mut notes: Notes<SoundTrack> = Notes::open(folder.join(NOTES))?;
    let chain = session.chain_here(request.encode.encoder)?;
    let mut made = Vec::new();
    for (place, track) in tracks.iter().enumerate() {
        let Some(how) = how(request.audio, &track.codec, request.audio_kilobits) else { continue };
        let path = folder.join(format!("audio-{}.mp4", place + 1));
        let text = format!("{} {place} {track:?} {how:?} {chain}", known.source.sha256);
        let key = sha256(text);
        let one = match notes.find_told(&key, &path, session)? {
            Some(one) => one,
            None => {
                let mut one = make(session, known, (place, track, how), &path);
                let is_auto = request.audio == LadderAudio::Auto;
                if is_auto && how == Sound::Copy && one.as_ref().is_err_and(is_the_tracks_fault) {
                    let how = Sound::Aac(request.audio_kilobits);
                    one = make(session, known, (place, track, how), &path);
                }
                let one = match one {
                    // Nobody asked for this track by name: the pictures do not fail for it.
                    Err(error) if is_auto && is_the_tracks_fault(&error) => {
                        let message =
                            format!("track {} of the sound is left out: {error}", place + 1);
                        session.sink.event(&Event::Note { message });
                        continue;
                    }
                    one => one?,
                };
                notes.add(key, &one, &session.stop)?;
                one
            }
        };
        made.push(one);
    }
    Ok(made)
}

/// Whether it is the track that cannot be taken over, and not the disk, the program or the user.
const fn is_the_tracks_fault(error: &TuneError) -> bool {
    matches!(
        error,
        TuneError::Encode(EncoderError::Streams { .. } | EncoderError::Refused { .. })
            | TuneError::Request(_)
    )
}

/// Makes one and decodes it from its beginning to its end, before it gets its name.
fn make(
    session: &Session<'_>,
    known: &Known,
    (place, track, how): (usize, &Track, Sound),
    path: &Path,
) -> Result<SoundTrack, TuneError> {
    let (media, stop, source) = (&session.env.run.media, &session.stop, &known.source);
    let wanted = Wanted::fragments(path);
    let held = wanted.unfinished()?;
    let text = match how {
        Sound::Copy => format!("taking over the sound, track {} ({})", place + 1, track.codec),
        Sound::Aac(rate) => format!("encoding the sound, track {}, at {rate} kbit/s", place + 1),
    };
    session.sink.event(&Event::Note { message: text });
    sound(&source.media, track, how, &held.path, media, stop).map_err(|error| match error {
        EncoderError::Streams { streams, detail, .. } if how == Sound::Copy => {
            let detail = format!("{detail} (--audio aac encodes them)");
            EncoderError::Streams { output: path.display().to_string(), streams, detail }
        }
        error => error,
    })?;
    check_sound(&held.path, &media.ffmpeg, stop)?;
    let (_, parts) = look_into(&held.path)?;
    let seconds: f64 = parts.all.iter().map(|part| part.seconds).sum();
    let apart = seconds - source.frame_count() as f64 / source.frames_per_second();
    if apart.abs() > APART_SECONDS_MAX {
        let side = if apart > 0.0 { "after" } else { "before" };
        let message = format!(
            "track {} of the sound ends {:.1} s {side} the pictures",
            place + 1,
            apart.abs()
        );
        session.sink.event(&Event::Note { message });
    }
    let bytes = std::fs::metadata(&held.path).map_err(TuneError::write(&held.path))?.len();
    let codec = match how {
        Sound::Copy => track.codec.clone(),
        Sound::Aac(_) => KNOWN_EVERYWHERE.to_owned(),
    };
    let output = held.place(&wanted, session.sink)?;
    Ok(SoundTrack {
        output,
        codec,
        language: track.language.clone(),
        channels: track.channels,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_that_every_player_knows_is_copied_unless_told_otherwise() {
        let rate = NonZeroU32::new(96).expect("some");
        let aac = Some(Sound::Aac(rate));
        for (audio, codec, expected) in [
            (LadderAudio::Auto, "aac", Some(Sound::Copy)),
            (LadderAudio::Auto, "flac", aac),
            (LadderAudio::Copy, "flac", Some(Sound::Copy)),
            (LadderAudio::Aac, "aac", aac),
            (LadderAudio::None, "aac", None),
        ] {
            assert_eq!(how(audio, codec, rate), expected, "{audio:?} {codec}");
        }
    }
}
