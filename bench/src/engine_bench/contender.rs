//! The programs that score, and what one run of each costs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wait4::Wait4 as _;

use super::cases::Case;
use super::clips::ClipFiles;
use crate::Error;
use crate::process;

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
    /// What the log's pooled columns say, by their names.
    pub(crate) means: BTreeMap<String, f64>,
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

    /// Whether it can be asked this.
    pub(crate) fn takes(&self, case: &Case) -> bool {
        !matches!(self, Self::FfmpegLibvmaf(_)) || case.filter.is_some()
    }

    /// How many distorted videos one run scores.
    pub(crate) fn renditions(&self, case: &Case) -> u32 {
        if self.is_ours() { case.renditions } else { 1 }
    }

    /// Runs once, with a log as JSON, which is read for what was scored.
    pub(crate) fn run(&self, case: &Case, files: &ClipFiles, threads: u32) -> Result<Ran, Error> {
        let log = files.reference.with_file_name("log.json");
        let mut command = self.command(case, files, threads, &log);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn()?;
        let used = child.wait4()?;
        let wall = began.elapsed();
        if !used.status.success() {
            return Err(format!("{} failed ({})", self.name(), used.status).into());
        }
        // Of several, each has a log with its number.
        let logs = match self.renditions(case) {
            1 => vec![log],
            count => {
                (1..=count).map(|number| log.with_extension(format!("{number}.json"))).collect()
            }
        };
        let means = means(&logs[0])?;
        logs.iter().try_for_each(std::fs::remove_file)?;
        let cpu = used.rusage.utime + used.rusage.stime;
        Ok(Ran { wall, cpu, peak_bytes: used.rusage.maxrss, means })
    }

    fn command(&self, case: &Case, files: &ClipFiles, threads: u32, log: &Path) -> Command {
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
                command.arg("-r").arg(reference);
                for _ in 0..self.renditions(case) {
                    command.arg("-d").arg(distorted);
                }
                command.args(&case.arguments).args(["-q", "--json", "-o"]).arg(log);
                // libvmaf's 0 computes in the reading thread; its 1 would be a second thread.
                let libvmaf_threads = if threads == 1 { 0 } else { threads };
                let threads = if self.is_ours() { threads } else { libvmaf_threads };
                command.args(["--threads", &threads.to_string()]);
            }
            Self::FfmpegLibvmaf(_) => {
                let filter_threads = if threads == 1 { 0 } else { threads };
                let asked = case.filter.as_deref().unwrap_or_default();
                let filter = format!(
                    "libvmaf={asked}:n_threads={filter_threads}:log_fmt=json:log_path={}",
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

/// The pooled means of a log in libvmaf's shape.
fn means(log: &Path) -> Result<BTreeMap<String, f64>, Error> {
    let log: Value = serde_json::from_slice(&std::fs::read(log)?)?;
    let pooled = log["pooled_metrics"].as_object().ok_or("the log holds no pooled values")?;
    let means = pooled.iter().filter_map(|(name, of)| Some((name.clone(), of["mean"].as_f64()?)));
    Ok(means.collect())
}
