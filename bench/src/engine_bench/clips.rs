//! The clips: real footage, scaled, and an x264 encode of it, both decoded to y4m.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// One kind of clip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bit_depth: u32,
    pub(crate) frames: u32,
}

impl Shape {
    /// All that are measured.
    pub(crate) fn all(quick: bool, uhd: bool) -> Vec<Self> {
        let sizes = [(576, 324, 132, 132), (1_920, 1_080, 60, 24), (3_840, 2_160, 20, 8)];
        let sizes = if uhd { &sizes[..] } else { &sizes[..2] };
        let depths = |&(width, height, full, fewer): &(u32, u32, u32, u32)| {
            let frames = if quick { fewer } else { full };
            [8, 10].map(|bit_depth| Self { width, height, bit_depth, frames })
        };
        sizes.iter().flat_map(depths).collect()
    }

    /// Rows of the size at which goals are set.
    pub(crate) const HD_HEIGHT: u32 = 1_080;

    /// That size, as long as it takes for starting to be a hundredth of two threads' time.
    pub(crate) fn long(quick: bool) -> [Self; 2] {
        let (width, height, frames) = (1_920, Self::HD_HEIGHT, if quick { 120 } else { 240 });
        [8, 10].map(|bit_depth| Self { width, height, bit_depth, frames })
    }

    /// The size at which goals are set.
    pub(crate) fn is_hd(&self) -> bool {
        self.height == Self::HD_HEIGHT
    }

    fn pixel_format(&self) -> &'static str {
        if self.bit_depth == 8 { "yuv420p" } else { "yuv420p10le" }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {} bit", self.width, self.height, self.bit_depth)
    }
}

/// A pair on the disk.
#[derive(Debug)]
pub(crate) struct ClipFiles {
    pub(crate) shape: Shape,
    pub(crate) reference: PathBuf,
    pub(crate) distorted: PathBuf,
}

impl ClipFiles {
    /// Makes room for the next.
    pub(crate) fn remove(self) -> Result<(), Error> {
        std::fs::remove_file(&self.reference)?;
        Ok(std::fs::remove_file(&self.distorted)?)
    }
}

/// Makes a pair in `dir`. The source is begun again where it has fewer frames.
pub(crate) fn make(
    ffmpeg: &Path,
    media: &Path,
    shape: &Shape,
    dir: &Path,
) -> Result<ClipFiles, Error> {
    let source = media.join("bigbuckbunny.mp4");
    let (reference, encoded) = (dir.join("reference.y4m"), dir.join("distorted.mkv"));
    let distorted = dir.join("distorted.y4m");
    let scale = format!("scale={}:{}:flags=lanczos", shape.width, shape.height);
    let frames = shape.frames.to_string();
    let format = ["-pix_fmt", shape.pixel_format()];
    let y4m = ["-strict", "-1", "-f", "yuv4mpegpipe"];
    let say = |arguments: &[&str], input: &Path, output: &Path| {
        let mut command = Command::new(ffmpeg);
        let loops = if input == source { "-1" } else { "0" };
        command.args(["-nostdin", "-y", "-loglevel", "error", "-stream_loop", loops, "-i"]);
        command.arg(input);
        command.args(arguments).args(format).arg(output).stdin(Stdio::null());
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::from(format!("ffmpeg could not make a clip: {said}")))
    };
    let scaled = [&["-an", "-vf", &scale, "-frames:v", &frames][..], &y4m].concat();
    say(&scaled, &source, &reference)?;
    say(&["-c:v", "libx264", "-crf", "35"], &reference, &encoded)?;
    say(&y4m, &encoded, &distorted)?;
    std::fs::remove_file(&encoded)?;
    // Else the system would write them, on a CPU, while programs are measured that want both.
    for written in [&reference, &distorted] {
        std::fs::File::open(written)?.sync_all()?;
    }
    Ok(ClipFiles { shape: *shape, reference, distorted })
}
