//! Decoding by an `ffmpeg` child process: one process a video, y4m on its standard output.
//!
//! Invariants: frames come out exactly as they are coded (no rate conversion, no repeat or drop, no
//! scaling, no rotation, no change of chroma or depth; the only filter used unasked rearranges samples
//! without changing one, and what a caller asks for is a [`Conform`]); a local file is handed over as an open descriptor, and a playlist in
//! disguise opens nothing: ffmpeg may open no path, or, where its version must, reads only formats
//! that name none; the process runs in a group of its own, with limits on time and memory, and is
//! killed and reaped when its [`Child`] is dropped.

pub(crate) mod child;
mod report;

use std::fmt;
use std::fs::File;
use std::io::{self, Seek};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) use child::Child;

use types::{ChromaSubsampling, PixelFormat, RawGeometry};

use crate::error::MediaError;
use crate::process::{Process, prepare};
use crate::stop::Stop;

/// How `ffmpeg` is found and held within bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FfmpegConfig {
    /// The program; `None` looks for `ffmpeg` in `PATH`.
    pub program: Option<PathBuf>,
    /// Threads each decoder may use.
    pub threads: NonZeroU32,
    /// How long one process may live.
    pub time_limit: Duration,
    /// How long it may give no byte while we wait for one.
    pub stall_limit: Duration,
    /// Bytes of address space it may take.
    pub memory_bytes_max: u64,
}

impl Default for FfmpegConfig {
    /// From `PATH`, one thread, 24 hours, a minute without a byte, 8 GiB.
    fn default() -> Self {
        Self {
            program: None,
            threads: NonZeroU32::MIN,
            time_limit: Duration::from_secs(24 * 3_600),
            stall_limit: Duration::from_secs(60),
            memory_bytes_max: 8 << 30,
        }
    }
}

impl FfmpegConfig {
    /// The program that will be started.
    #[must_use]
    pub fn program(&self) -> &Path {
        self.program.as_deref().unwrap_or(Path::new("ffmpeg"))
    }
}

/// What to decode.
#[derive(Debug)]
pub(crate) enum Target {
    /// An open regular file.
    File(File),
    /// An open regular file of frames back to back, which nothing but this tells apart.
    Raw(File, RawGeometry),
    /// A URL that the policy allows, and its scheme (`http` or `https`).
    Url { url: String, scheme: String },
}

/// How one start of `ffmpeg` is spelled, for versions and formats that need another spelling.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spelling {
    /// Names the descriptor by a path: versions before 6.0 have no `fd` protocol.
    pub descriptor_by_path: bool,
    /// The planar format to rearrange samples into, from [`planar_twin`].
    pub planar: Option<&'static str>,
    /// What the pictures are converted to, where the caller asked for it.
    pub conform: Option<Conform>,
}

/// What pictures are converted to after they are decoded: for comparing what was encoded at another
/// size or depth with its reference. Sizes are changed by a bicubic filter, as the models expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conform {
    /// Width and height.
    pub size: (u32, u32),
    /// Chroma subsampling and bits.
    pub format: PixelFormat,
}

/// For people, and for the record of what a score was made of.
impl fmt::Display for Conform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        write!(f, "to {width}x{height} (bicubic) {}", pixel_format_name(self.format))
    }
}

impl Conform {
    /// The filters that make it so, for `ffmpeg`.
    fn filters(self) -> String {
        let (width, height) = self.size;
        let name = pixel_format_name(self.format);
        format!("scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int,format={name}")
    }
}

/// The name `ffmpeg` has for a planar format.
#[must_use]
pub fn pixel_format_name(format: PixelFormat) -> String {
    let chroma = format.chroma.as_str();
    let base = match format.chroma {
        ChromaSubsampling::C400 => "gray".to_owned(),
        _ => format!("yuv{chroma}p"),
    };
    if format.bit_depth == 8 { base } else { format!("{base}{}le", format.bit_depth) }
}

/// Demuxers that may be used where a protocol is open that could reach more than the video:
/// containers and streams that name no further source.
const SELF_CONTAINED_FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ivf,nut,\
                                      h264,hevc,vvc,obu,av1,ogg,mxf,asf,m4v,vc1,yuv4mpegpipe,gxf,dv,mjpeg,dirac,h263";

/// The demuxer of headerless frames; it names no further source.
const RAW_FORMAT: &str = "rawvideo";

/// Starts `ffmpeg` on `target`. A file is read from its first byte, wherever its position is.
pub(crate) fn start(
    config: &FfmpegConfig,
    name: &str,
    target: &Target,
    spelling: Spelling,
    stop: &Stop,
) -> Result<Child, MediaError> {
    stop.check()?;
    let io_error = |source| MediaError::from_open(name, source);
    let mut command = Command::new(config.program());
    prepare(&mut command);
    command.args(["-nostdin", "-nostats", "-v", "level+info", "-noautorotate", "-threads"]);
    command.arg(config.threads.to_string());
    if let Target::Raw(_, geometry) = target {
        let size = format!("{}x{}", geometry.width, geometry.height);
        command.args(["-f", RAW_FORMAT, "-video_size", &size]);
        command.args(["-pixel_format", &pixel_format_name(geometry.format)]);
    }
    match target {
        Target::File(file) | Target::Raw(file, _) => {
            let mut file = file.try_clone().map_err(io_error)?;
            file.rewind().map_err(io_error)?;
            command.stdin(file);
            if spelling.descriptor_by_path {
                // This protocol opens any path, so nothing that names paths may be read.
                command.args(["-protocol_whitelist", "file"]);
                let is_raw = matches!(target, Target::Raw(..));
                let formats = if is_raw { RAW_FORMAT } else { SELF_CONTAINED_FORMATS };
                command.args(["-format_whitelist", formats]);
                command.args(["-i", "file:/dev/fd/0"]);
            } else {
                command.args(["-protocol_whitelist", "fd", "-i", "fd:"]);
            }
        }
        Target::Url { url, scheme } => {
            command.stdin(Stdio::null());
            let protocols = if scheme == "https" { "https,tls,tcp" } else { "http,tcp" };
            command.args([
                "-protocol_whitelist",
                protocols,
                "-format_whitelist",
                SELF_CONTAINED_FORMATS,
            ]);
            command.args(["-max_redirects", "0", "-i", url]);
        }
    }
    // Capital V: a cover picture is not the video.
    command.args([
        "-map",
        "0:V:0",
        "-an",
        "-sn",
        "-dn",
        "-fps_mode",
        "passthrough",
        "-noautoscale",
    ]);
    match (spelling.conform, spelling.planar) {
        (Some(conform), _) => {
            command.args(["-vf", &conform.filters()]);
        }
        (None, Some(planar)) => {
            command.args(["-vf", &format!("format={planar}")]);
        }
        (None, None) => {}
    }
    command.args(["-f", "yuv4mpegpipe", "-strict", "-1", "pipe:1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = command.spawn().map_err(|source| spawn_error(config, name, source))?;
    Child::new(Process::new(process), config, name)
}

fn spawn_error(config: &FfmpegConfig, name: &str, source: io::Error) -> MediaError {
    let name = name.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory => {
            let program = match &config.program {
                Some(program) => format!("{:?}", program.display().to_string()),
                None => "\"ffmpeg\" from PATH".to_owned(),
            };
            MediaError::DecoderMissing { name, program, source }
        }
        _ => MediaError::Io { name, source },
    }
}

/// The planar format with the very same samples as `pixel_format`: rearranging loses nothing.
/// `None` where a conversion would be needed.
pub(crate) fn planar_twin(pixel_format: &str) -> Option<&'static str> {
    Some(match pixel_format {
        "nv12" | "nv21" => "yuv420p",
        "nv16" | "yuyv422" | "uyvy422" | "yvyu422" => "yuv422p",
        "nv24" | "nv42" => "yuv444p",
        "p010le" | "p010be" | "yuv420p10be" => "yuv420p10le",
        "p012le" | "p012be" | "yuv420p12be" => "yuv420p12le",
        "p016le" | "p016be" | "yuv420p16be" => "yuv420p16le",
        "p210le" | "p210be" | "yuv422p10be" => "yuv422p10le",
        "p212le" | "p212be" | "yuv422p12be" => "yuv422p12le",
        "p216le" | "p216be" | "yuv422p16be" => "yuv422p16le",
        "p410le" | "p410be" | "yuv444p10be" => "yuv444p10le",
        "p412le" | "p412be" | "yuv444p12be" => "yuv444p12le",
        "p416le" | "p416be" | "yuv444p16be" => "yuv444p16le",
        "gray10be" => "gray10le",
        "gray12be" => "gray12le",
        "gray16be" => "gray16le",
        _ => return None,
    })
}
