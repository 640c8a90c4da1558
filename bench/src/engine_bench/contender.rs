//! The programs that score, and what one run of each costs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wait4::Wait4 as _;

use super::clips::ClipFiles;
use crate::Error;
use crate::process;

const MODEL: &str = "vmaf_v0.6.1";

/// Who runs.
#[derive(Debug)]
pub(crate) enum Contender {
    /// Our command line.
    Vmafx(PathBuf),
    /// The filter of an ffmpeg.
    FfmpegLibvmaf(PathBuf),
    /// libvmaf's own program.
    Vmaf(PathBuf),
}

/// What one run cost, and what it said.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) wall: Duration,
    /// User and system time of the whole process.
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
    /// The pooled score, as the log has it.
    pub(crate) score: f64,
}

impl Contender {
    /// Ours, which lies beside this program.
    pub(crate) fn vmafx() -> Result<Self, Error> {
        Ok(Self::Vmafx(process::program("vmafx")?))
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Vmafx(_))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Vmafx(_) => "vmafx score",
            Self::FfmpegLibvmaf(_) => "ffmpeg libvmaf",
            Self::Vmaf(_) => "vmaf",
        }
    }

    /// Runs once, with a log as JSON, which is read for the score.
    pub(crate) fn run(&self, files: &ClipFiles, threads: u32) -> Result<Ran, Error> {
        let log = files.reference.with_file_name("log.json");
        let mut command = self.command(files, threads, &log);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn()?;
        let used = child.wait4()?;
        let wall = began.elapsed();
        if !used.status.success() {
            return Err(format!("{} failed ({})", self.name(), used.status).into());
        }
        let score = score(&log)?;
        std::fs::remove_file(&log)?;
        let cpu = used.rusage.utime + used.rusage.stime;
        Ok(Ran { wall, cpu, peak_bytes: used.rusage.maxrss, score })
    }

    fn command(&self, files: &ClipFiles, threads: u32, log: &Path) -> Command {
        let ClipFiles { reference, distorted, .. } = files;
        let program = match self {
            Self::Vmafx(program) | Self::FfmpegLibvmaf(program) | Self::Vmaf(program) => program,
        };
        let mut command = Command::new(program);
        match self {
            Self::Vmafx(_) | Self::Vmaf(_) => {
                if self.is_ours() {
                    command.arg("score");
                }
                command.arg("-r").arg(reference).arg("-d").arg(distorted);
                command.args(["-m", &format!("version={MODEL}"), "-q", "--json", "-o"]).arg(log);
                // libvmaf's 0 computes in the reading thread; its 1 would be a second thread.
                let libvmaf_threads = if threads == 1 { 0 } else { threads };
                let threads = if self.is_ours() { threads } else { libvmaf_threads };
                command.args(["--threads", &threads.to_string()]);
            }
            Self::FfmpegLibvmaf(_) => {
                let filter_threads = if threads == 1 { 0 } else { threads };
                let filter = format!(
                    "libvmaf=model=version={MODEL}:n_threads={filter_threads}:log_fmt=json:log_path={}",
                    log.display()
                );
                command.args(["-nostdin", "-loglevel", "error", "-threads", "1", "-i"]);
                command.arg(distorted).args(["-threads", "1", "-i"]).arg(reference);
                command.args(["-lavfi", &filter, "-f", "null", "-"]);
            }
        }
        command
    }
}

/// The pooled score of a log in libvmaf's shape.
fn score(log: &Path) -> Result<f64, Error> {
    let log: Value = serde_json::from_slice(&std::fs::read(log)?)?;
    let mean = &log["pooled_metrics"]["vmaf"]["mean"];
    Ok(mean.as_f64().ok_or("the log holds no pooled score")?)
}
