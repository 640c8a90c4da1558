//! Encoding by an `ffmpeg` child process: frames of a source in, one file out.
//!
//! The encoder never sees the source. A decoder (see [`crate::ffmpeg`]) hands its pictures to us,
//! and we pipe them on as y4m, so that exactly the frames asked for are encoded, a hostile file
//! reaches only the process that is made for it, and what is scored is what was encoded.
//!
//! Invariants: one frame in memory and one pipe; the process leads a group of its own, has limits
//! on time and memory, opens no protocol but its input pipe and its output file, and is killed and
//! reaped on every way out; what it says is bounded, and told where it fails. The same request and
//! the same pictures give the same bytes, whichever machine encodes with the same program.

mod child;
mod error;
mod light;
mod mux;
mod options;
mod probe;
mod sound;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use types::{EncodeRequest, Encoded, Encoder, MediaRef, Warning};

pub use error::EncoderError;
pub use mux::{Streams, accompany, fragment, streams_of, takes};
pub use probe::{EncoderSet, encoder_version, encoders_of, library_versions};
pub use sound::{Sound, TRACKS_MAX, Track, check_sound, sound, tracks_of};

use crate::error::MediaError;
use crate::ffmpeg::FfmpegConfig;
use crate::open::{MediaConfig, open};
use crate::stop::Stop;
use crate::video::{Video, VideoInfo};
use child::{EncoderChild, Target};
use light::Light;

/// How long one encode may take.
pub const ENCODE_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How long an encoder may neither take a frame nor, once it has all, write or compute.
pub const ENCODE_STALL_MAX: Duration = Duration::from_secs(900);

/// Bytes of address space an encoder may take. Look-ahead at large sizes and many threads needs more
/// than a decoder does.
pub const ENCODER_MEMORY_BYTES_MAX: u64 = 24 << 30;

/// Transfer functions of high dynamic range, by `ffmpeg`'s names.
const HDR_TRANSFERS: [&str; 2] = ["smpte2084", "arib-std-b67"];

/// Frames per second where neither the file nor the caller says any.
pub const FRAME_RATE_DEFAULT: (u32, u32) = (25, 1);

/// One encode.
#[derive(Debug, Clone, Copy)]
pub struct EncodeJob<'a> {
    /// What is encoded.
    pub reference: &'a MediaRef,
    /// The first frame, 0-based.
    pub first_frame_index: u64,
    /// How many frames at most; `None` goes to the end.
    pub frame_count_max: Option<u64>,
    /// How.
    pub request: &'a EncodeRequest,
    /// The file to write, replaced where it is there: mkv, mp4, mov, webm or ivf, by its ending.
    pub output: &'a Path,
    /// The most bytes that file may have; `None` leaves it to the disk.
    pub bytes_max: Option<u64>,
}

/// What an encode gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFile {
    /// Its size, rate and cost.
    pub encoded: Encoded,
    /// What was encoded.
    pub reference: VideoInfo,
    /// What the source says of its light and colours and the file does not.
    pub warnings: Vec<Warning>,
}

/// How many frames an encoder has taken. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct EncodeProgress(Arc<AtomicU64>);

impl EncodeProgress {
    /// Frames that the encoder has taken.
    #[must_use]
    pub fn frames_done(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn frame_done(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Encodes. Blocks until the file is complete; ends within 200 ms of a cancel or the deadline. A
/// file that was begun and not finished is removed.
///
/// # Errors
/// When the source cannot be read, the encoder is not there, refuses, dies, or runs out of its
/// limits, the disk is full, or the work is stopped.
pub fn encode(
    job: &EncodeJob<'_>,
    media: &MediaConfig,
    stop: &Stop,
    progress: &EncodeProgress,
) -> Result<EncodedFile, EncoderError> {
    job.request.check()?;
    let began = Instant::now();
    // The decoder ends with this encode, also when only the encoder fails.
    let stop = &stop.child();
    let written = encode_frames(job, media, stop, progress);
    if written.is_err() {
        // Half a file is no file. That there is none to remove is no second error.
        let _ = std::fs::remove_file(job.output);
    }
    let (reference, frame_count, encoder_version, warnings) = written?;
    let bytes = std::fs::metadata(job.output).map_err(EncoderError::output(job.output))?.len();
    let frame_rate = reference.frame_rate.unwrap_or(FRAME_RATE_DEFAULT);
    let encode_time = began.elapsed();
    let encoded = Encoded { bytes, frame_count, frame_rate, encode_time, encoder_version };
    Ok(EncodedFile { encoded, reference, warnings })
}

fn encode_frames(
    job: &EncodeJob<'_>,
    media: &MediaConfig,
    stop: &Stop,
    progress: &EncodeProgress,
) -> Result<(VideoInfo, u64, String, Vec<Warning>), EncoderError> {
    let mut video = open(job.reference, media, stop)?;
    let skipped = video.skip_frames(job.first_frame_index)?;
    let mut frame = Vec::new();
    if skipped < job.first_frame_index || !video.read_frame_bytes(&mut frame)? {
        let detail =
            format!("it has {skipped} and the encode begins after {}", job.first_frame_index);
        return Err(MediaError::ZeroFrames { name: video.info().name.clone(), detail }.into());
    }
    let light = match may_say_more(&video) {
        true => Light::of(job.reference, media, stop)?,
        false => Light::default(),
    };
    let mut request = job.request.clone();
    light.tell(&mut request);
    let told = EncodeJob { request: &request, ..*job };
    let mut encoder = start(&told, &video, &light, &media.ffmpeg, stop)?;
    let mut header = video.y4m_header();
    header.push(b'\n');
    encoder.write(&header)?;
    let limit = job.frame_count_max.unwrap_or(u64::MAX);
    let mut count = 0;
    loop {
        encoder.write(b"FRAME\n")?;
        encoder.write(&frame)?;
        progress.frame_done();
        count += 1;
        if count >= limit || !video.read_frame_bytes(&mut frame)? {
            break;
        }
    }
    let info = video.info().clone();
    // The decoder's memory and processor are of use to an encoder that flushes.
    drop(video);
    let version = encoder.finish()?;
    if !probe::takes(job.request, &version) {
        let quality = job.request.quality;
        let detail = format!("this version rounds quality {quality}; ask for a whole number");
        return Err(EncoderError::Refused { encoder: job.request.encoder, detail });
    }
    let file = std::fs::File::open(job.output).map_err(EncoderError::output(job.output))?;
    let warnings = light.missing_in(file, media, stop)?;
    Ok((info, count, version, warnings))
}

/// Whether a source may say more of its light than comes along with its frames: what a y4m or raw file
/// says is all there is, and pictures of 8 bits bring their siting themselves.
fn may_say_more(video: &Video) -> bool {
    video.colour().is_some_and(|[_, _, transfer]| HDR_TRANSFERS.contains(&transfer.as_str()))
        || (video.is_decoded() && video.info().format.bit_depth > 8)
}

fn start(
    job: &EncodeJob<'_>,
    video: &Video,
    light: &Light,
    config: &FfmpegConfig,
    stop: &Stop,
) -> Result<EncoderChild, EncoderError> {
    let arguments = options::arguments(job, video, light)?;
    let EncodeJob { output, bytes_max, .. } = *job;
    let target = Target { encoder: job.request.encoder, output, bytes_max };
    EncoderChild::start(config, &target, &arguments, stop)
}

/// Puts encoded files of one kind one after the other into one file, without encoding again. Each
/// must begin with a keyframe, as every file that [`encode`] made does.
///
/// # Errors
/// When a file cannot be read, the disk is full, `ffmpeg` fails, or the work is stopped.
pub fn join(
    parts: &[PathBuf],
    encoder: Encoder,
    output: &Path,
    config: &FfmpegConfig,
    stop: &Stop,
) -> Result<(), EncoderError> {
    let list = output.with_extension("parts");
    let mut text = "ffconcat version 1.0\n".to_owned();
    for part in parts {
        // The parts' names are ours; a quote in a folder's name is spelled as the format asks for.
        let name = part.display().to_string().replace('\'', "'\\''");
        text.push_str(&format!("file 'file:{name}'\n"));
    }
    std::fs::write(&list, text).map_err(EncoderError::output(&list))?;
    let joined = options::join_arguments(&list, encoder, output)
        .and_then(|arguments| {
            let target = Target { encoder, output, bytes_max: None };
            EncoderChild::start(config, &target, &arguments, stop)
        })
        .and_then(EncoderChild::finish);
    // That the list stays is no reason to fail.
    let _ = std::fs::remove_file(&list);
    if joined.is_err() {
        let _ = std::fs::remove_file(output);
    }
    joined.map(drop)
}

/// What a file may end with, and the name `ffmpeg` has for the container.
const CONTAINERS: [(&str, &str); 6] = [
    ("mkv", "matroska"),
    ("mp4", "mp4"),
    ("m4v", "mp4"),
    ("mov", "mov"),
    ("webm", "webm"),
    ("ivf", "ivf"),
];

/// The container that a file's ending asks for.
///
/// # Errors
/// When it asks for none that is known here.
pub fn container_of(output: &Path) -> Result<&'static str, EncoderError> {
    let ending = output.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let found = CONTAINERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending));
    found.map(|(_, container)| *container).ok_or_else(|| EncoderError::Container {
        output: output.display().to_string(),
        known: CONTAINERS.map(|(ending, _)| ending).join(", "),
    })
}
