//! From a name to an open [`Video`]: resolve, look at the first bytes, choose who decodes.

use std::time::{Duration, Instant};

use engine::PictureSpec;
use types::{MediaRef, RawGeometry};

use crate::declared::Declared;
use crate::error::MediaError;
use crate::ffmpeg::{self, Conform, FfmpegConfig, Spelling, Target};
use crate::input::{Input, Source};
use crate::policy::{Resolved, SourcePolicy};
use crate::stop::Stop;
use crate::video::{Framing, Video, VideoInfo};
use crate::y4m::{self, HEADER_BYTES_MAX, HeaderError};

/// Bytes of a frame's line without parameters, for estimates.
const PLAIN_FRAME_LINE_BYTES: u64 = 6;

/// How long the version's line may lag behind the header; without it the name alone is recorded.
const VERSION_WAIT_MAX: Duration = Duration::from_secs(1);
const VERSION_LOOK_INTERVAL: Duration = Duration::from_micros(200);

/// How long the description of the stream may lag behind the header; it is a matter of a moment,
/// and nothing that is decoded depends on it.
const DESCRIPTION_WAIT_MAX: Duration = Duration::from_millis(200);

/// Restarts of `ffmpeg` with another spelling: one for its version, one for the pixel format.
const RESTARTS_MAX: usize = 2;

/// What may be opened, and with what.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Which paths and URLs are allowed.
    pub policy: SourcePolicy,
    /// How other containers than y4m are decoded.
    pub ffmpeg: FfmpegConfig,
    /// Luma samples that a picture may have. Memory follows the picture, not the file: a clip of a
    /// few bytes can ask for gigabytes.
    pub picture_pixels_max: u64,
}

impl MediaConfig {
    /// The largest picture that the engine takes.
    pub const PICTURE_PIXELS_ALL: u64 = PictureSpec::SIDE_MAX as u64 * PictureSpec::SIDE_MAX as u64;

    /// The rules given, the `ffmpeg` in `PATH`, and pictures of every size.
    #[must_use]
    pub fn new(policy: SourcePolicy) -> Self {
        let ffmpeg = FfmpegConfig::default();
        Self { policy, ffmpeg, picture_pixels_max: Self::PICTURE_PIXELS_ALL }
    }
}

/// Opens a video and reads as far as its shape.
///
/// # Errors
/// Whatever [`MediaError`] names but the mismatches of a pair.
pub fn open(media: &MediaRef, config: &MediaConfig, stop: &Stop) -> Result<Video, MediaError> {
    let name = media.uri.as_str();
    let resolved = config.policy.resolve(name)?;
    let (file, regular) = match (resolved, media.raw) {
        (Resolved::File { file, regular }, None) => (file, regular),
        (Resolved::File { file, regular }, Some(geometry)) => {
            let source = if regular { Source::File(file) } else { Source::Pipe(file) };
            let pixels_max = config.picture_pixels_max;
            return open_raw(Input::new(name, source, stop.clone()), geometry, pixels_max);
        }
        (Resolved::Url { url, scheme }, None) => {
            return open_decoded(name, &Target::Url { url, scheme }, config, stop);
        }
        (Resolved::Url { .. }, Some(_)) => {
            let detail = "headerless YUV must be a local file".to_owned();
            return Err(MediaError::UnsupportedFormat { name: name.to_owned(), detail });
        }
    };
    let source = if regular { Source::File(file) } else { Source::Pipe(file) };
    let mut input = Input::new(name, source, stop.clone());
    let first = input.peek(y4m::MAGIC.len())?;
    if first == y4m::MAGIC {
        return open_y4m(input, "y4m", config.picture_pixels_max, Declared::default());
    }
    let not_a_video =
        |detail: &str| MediaError::NotAVideo { name: name.to_owned(), detail: detail.to_owned() };
    if first.is_empty() {
        return Err(not_a_video("it is empty"));
    }
    let file = input.into_file().ok_or_else(|| {
        not_a_video("a pipe must carry y4m, or headerless YUV with its geometry given")
    })?;
    open_decoded(name, &Target::File(file), config, stop)
}

/// Opens a video as [`open`] does, its pictures converted to `conform` by `ffmpeg`, whatever they are
/// stored as. A video that is that way already is best opened by [`open`], which changes no sample.
///
/// # Errors
/// As [`open`]; pipes cannot be converted.
pub fn open_as(
    media: &MediaRef,
    conform: Conform,
    config: &MediaConfig,
    stop: &Stop,
) -> Result<Video, MediaError> {
    let name = media.uri.as_str();
    let unsupported = |detail: &str| {
        let (name, detail) = (name.to_owned(), detail.to_owned());
        Err(MediaError::UnsupportedFormat { name, detail })
    };
    let target = match config.policy.resolve(name)? {
        Resolved::File { regular: false, .. } => {
            return unsupported("a pipe cannot be converted; name a file");
        }
        Resolved::File { file, .. } => match media.raw {
            None => Target::File(file),
            Some(geometry) => {
                let metadata = file.metadata();
                let bytes = metadata.map_err(|source| MediaError::from_open(name, source))?.len();
                check_raw(name, geometry, Some(bytes), config.picture_pixels_max)?;
                Target::Raw(file, geometry)
            }
        },
        Resolved::Url { .. } if media.raw.is_some() => {
            return unsupported("headerless YUV must be a local file");
        }
        Resolved::Url { url, scheme } => Target::Url { url, scheme },
    };
    open_spelt(
        name,
        &target,
        config,
        stop,
        Spelling { conform: Some(conform), ..Spelling::default() },
    )
}

/// Refuses sizes that the engine does not take, or that are not wanted here, before anything is
/// multiplied or allocated.
fn check_size(name: &str, width: u32, height: u32, pixels_max: u64) -> Result<(), MediaError> {
    let side_max = PictureSpec::SIDE_MAX;
    let side_fits = |side| (1..=side_max).contains(&side);
    let pixels = u64::from(width) * u64::from(height);
    let detail = if !side_fits(width) || !side_fits(height) {
        format!("its pictures are {width}x{height}; each side must be 1 to {side_max}")
    } else if pixels > pixels_max {
        format!(
            "its pictures are {width}x{height}, which is {pixels} pixels; this node takes at most \
             {pixels_max} (--picture-pixels-max)"
        )
    } else {
        return Ok(());
    };
    Err(MediaError::UnsupportedFormat { name: name.to_owned(), detail })
}

/// Refuses a geometry that is not taken, and a file of another one: a wrong geometry would otherwise
/// show at the end of a long run, or never. Gives the bytes of a frame.
fn check_raw(
    name: &str,
    geometry: RawGeometry,
    file_bytes: Option<u64>,
    pixels_max: u64,
) -> Result<u64, MediaError> {
    let RawGeometry { width, height, format } = geometry;
    let name = name.to_owned();
    if !(8..=16).contains(&format.bit_depth) {
        let detail = format!("{} bits a sample were given; 8 to 16 are taken", format.bit_depth);
        return Err(MediaError::UnsupportedFormat { name, detail });
    }
    check_size(&name, width, height, pixels_max)?;
    let frame_bytes = format.frame_bytes(width, height);
    match file_bytes {
        Some(bytes) if bytes % frame_bytes != 0 => Err(MediaError::Truncated {
            name,
            frame_index: bytes / frame_bytes,
            detail: format!(
                "its {bytes} bytes are no whole number of {width}x{height} {format} frames of {frame_bytes} bytes \
                 (is the geometry right?)"
            ),
        }),
        _ => Ok(frame_bytes),
    }
}

fn open_raw(input: Input, geometry: RawGeometry, pixels_max: u64) -> Result<Video, MediaError> {
    let name = input.name().to_owned();
    let RawGeometry { width, height, format } = geometry;
    let file_bytes = input.file_bytes();
    let frame_bytes = check_raw(&name, geometry, file_bytes, pixels_max)?;
    let info = VideoInfo {
        name,
        width,
        height,
        format,
        frame_count_estimate: file_bytes.map(|bytes| bytes / frame_bytes),
        frame_rate: None,
        decoder: "raw".to_owned(),
        declared: Declared::default(),
    };
    Ok(Video::new(info, input, Framing::Raw))
}

/// Opens bytes that begin with a y4m header.
fn open_y4m(
    mut input: Input,
    decoder: &str,
    pixels_max: u64,
    declared: Declared,
) -> Result<Video, MediaError> {
    let name = input.name().to_owned();
    let (parsed, header_line) = match input.line(HEADER_BYTES_MAX)? {
        Some(Ok(line)) => (y4m::parse_header(line), line.to_vec()),
        Some(Err(line)) if line.len() > HEADER_BYTES_MAX => {
            let text = format!("its y4m header is longer than {HEADER_BYTES_MAX} bytes");
            (Err(HeaderError::Malformed(text)), Vec::new())
        }
        _ => {
            let detail = "the data ends within the header".to_owned();
            return Err(MediaError::Truncated { name, frame_index: 0, detail });
        }
    };
    let header = parsed.map_err(|error| match error {
        HeaderError::Malformed(detail) => MediaError::NotAVideo { name: name.clone(), detail },
        HeaderError::Unsupported(detail) => {
            MediaError::UnsupportedFormat { name: name.clone(), detail }
        }
    })?;
    check_size(&name, header.width, header.height, pixels_max)?;
    let frame_bytes = header.format.frame_bytes(header.width, header.height);
    let payload =
        input.file_bytes().map(|bytes| bytes.saturating_sub(header_line.len() as u64 + 1));
    let info = VideoInfo {
        name,
        width: header.width,
        height: header.height,
        format: header.format,
        frame_count_estimate: payload.map(|bytes| bytes / (frame_bytes + PLAIN_FRAME_LINE_BYTES)),
        frame_rate: header.frame_rate,
        decoder: decoder.to_owned(),
        // The decoder's header speaks of the samples as they come; it goes before the file's.
        declared: Declared {
            range: header.range.or(declared.range),
            sample_aspect: header.sample_aspect,
            ..declared
        },
    };
    Ok(Video::new(info, input, Framing::Y4m).with_header(&header_line))
}

/// Starts `ffmpeg` and waits for its header, with another spelling where the first does not fit
/// the version or the pixel format.
fn open_decoded(
    name: &str,
    target: &Target,
    config: &MediaConfig,
    stop: &Stop,
) -> Result<Video, MediaError> {
    open_spelt(name, target, config, stop, Spelling::default())
}

/// As [`open_decoded`], beginning with this spelling.
fn open_spelt(
    name: &str,
    target: &Target,
    config: &MediaConfig,
    stop: &Stop,
    mut spelling: Spelling,
) -> Result<Video, MediaError> {
    for _ in 0..=RESTARTS_MAX {
        let child = ffmpeg::start(&config.ffmpeg, name, target, spelling, stop)?;
        let mut input = Input::new(name, Source::Decoder(child), stop.clone());
        if input.peek(y4m::MAGIC.len())? == y4m::MAGIC {
            let mut decoder = input.decoder_version();
            if matches!(target, Target::Raw(..)) {
                decoder.insert_str(0, "raw by ");
            }
            if let Some(conform) = spelling.conform {
                decoder.push_str(&format!(", {conform}"));
            }
            let declared = input.declared();
            return open_y4m(input, &decoder, config.picture_pixels_max, declared);
        }
        let next = input.respell(spelling, target)?;
        spelling = next;
    }
    let detail = "it could not be started in any way known here".to_owned();
    Err(MediaError::DecoderFailed { name: name.to_owned(), detail })
}

impl Input {
    /// ffmpeg names its version before it writes a header, but its messages have a thread of their
    /// own, which may not have had its turn yet.
    fn decoder_version(&self) -> String {
        let version = || self.decoder().and_then(|child| child.report().version.clone());
        let until = Instant::now() + VERSION_WAIT_MAX;
        let version = loop {
            match version() {
                None if Instant::now() < until => std::thread::sleep(VERSION_LOOK_INTERVAL),
                found => break found,
            }
        };
        version.map_or_else(|| "ffmpeg".to_owned(), |version| format!("ffmpeg {version}"))
    }

    /// What ffmpeg says of the file, as far as it is known by now.
    fn declared(&self) -> Declared {
        let Some(child) = self.decoder() else { return Declared::default() };
        let until = Instant::now() + DESCRIPTION_WAIT_MAX;
        while !child.report().inputs_described() && Instant::now() < until {
            std::thread::sleep(VERSION_LOOK_INTERVAL);
        }
        child.report().declared.clone()
    }

    /// What a decoder that gave no header should be asked instead.
    ///
    /// # Errors
    /// When no other way of asking would help: what is wrong with the video.
    fn respell(&mut self, spelling: Spelling, target: &Target) -> Result<Spelling, MediaError> {
        let name = self.name().to_owned();
        let stop = self.stop().clone();
        let child = self.decoder_mut().expect("asked of decoders only");
        let status = child.wait(&stop)?;
        if let Some(error) = child.process_failure() {
            return Err(error);
        }
        let report = child.report();
        let is_file = matches!(target, Target::File(_) | Target::Raw(..));
        let unknown_protocol = report.complains_of("Protocol not found")
            || report.complains_of("Unknown protocol")
            || report.complains_of("fd:: Invalid argument")
            || report.complains_of("fd:: No such file");
        if is_file && !spelling.descriptor_by_path && unknown_protocol {
            return Ok(Spelling { descriptor_by_path: true, ..spelling });
        }
        let complaint = report.complaint().map(str::to_owned);
        if report.complains_of("yuv4mpeg can only handle") {
            let pixel_format =
                report.stream.as_ref().map_or("unknown", |stream| stream.pixel_format.as_str());
            return match ffmpeg::planar_twin(pixel_format) {
                Some(planar) if spelling.planar.is_none() => {
                    Ok(Spelling { planar: Some(planar), ..spelling })
                }
                _ => Err(MediaError::UnsupportedFormat {
                    name,
                    detail: format!(
                        "its pixel format is {pixel_format}, and scoring it would need a conversion; convert \
                         reference and distorted to a planar YUV format yourself"
                    ),
                }),
            };
        }
        if report.complains_of("matches no streams") {
            let detail = "it has no video stream".to_owned();
            return Err(MediaError::NotAVideo { name, detail });
        }
        if report.complains_of("received no packets") || (complaint.is_none() && status.success()) {
            let detail = "its video stream is empty".to_owned();
            return Err(MediaError::ZeroFrames { name, detail });
        }
        let detail = complaint.unwrap_or_else(|| format!("ffmpeg ended with {status}"));
        Err(if is_file {
            MediaError::NotAVideo { name, detail: format!("ffmpeg says: {detail}") }
        } else {
            url_error(name, &detail)
        })
    }
}

/// A URL that could not be opened: only a clear answer of the server is final.
fn url_error(name: String, detail: &str) -> MediaError {
    if detail.contains("404 Not Found") || detail.contains("410 Gone") {
        MediaError::NotFound { name }
    } else if detail.contains("403 Forbidden") || detail.contains("401 Unauthorized") {
        MediaError::PermissionDenied { name }
    } else if detail.contains("Invalid data found") {
        MediaError::NotAVideo { name, detail: format!("ffmpeg says: {detail}") }
    } else {
        MediaError::Io { name, source: std::io::Error::other(format!("ffmpeg says: {detail}")) }
    }
}
