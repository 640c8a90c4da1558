//! One `ffmpeg` process: its output, its complaints, its limits and its end.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::FfmpegConfig;
use super::report::{LINE_BYTES_MAX, Report};
use crate::error::MediaError;
use crate::process::Process;
use crate::stop::{STOP_CHECK_INTERVAL, Stop};

/// How long a process that closed its output may take to end by itself.
const EXIT_WAIT_MAX: Duration = Duration::from_secs(5);

/// Bytes asked of the kernel for the pipe, so that decoder and reader take turns less often.
const PIPE_BYTES: usize = 1 << 20;

/// A running or ended `ffmpeg`.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: Process,
    output: File,
    report: Arc<Mutex<Report>>,
    ends_at: Instant,
    stall_limit: Duration,
}

impl Child {
    /// Takes over a process whose output and error are pipes and which leads its own group.
    pub(super) fn new(
        mut process: Process,
        config: &FfmpegConfig,
        name: &str,
    ) -> Result<Self, MediaError> {
        let output = process.take_stdout().expect("standard output is a pipe");
        process.limit_memory(config.memory_bytes_max);
        // A smaller pipe works as well.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES);
        let report = Arc::new(Mutex::new(Report::default()));
        let heard = Arc::clone(&report);
        process
            .listen("ffmpeg-messages", LINE_BYTES_MAX, move |line| take_line(line, &heard))
            .map_err(|source| MediaError::Io { name: name.to_owned(), source })?;
        Ok(Self {
            name: name.to_owned(),
            process,
            output: File::from(OwnedFd::from(output)),
            report,
            ends_at: Instant::now() + config.time_limit,
            stall_limit: config.stall_limit,
        })
    }

    /// The pipe of decoded frames.
    pub(crate) const fn output(&mut self) -> &mut File {
        &mut self.output
    }

    /// What it reported so far.
    pub(crate) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait for a byte now, at most.
    pub(crate) fn stall_limit(&self) -> Duration {
        self.stall_limit.min(self.ends_at.saturating_duration_since(Instant::now()))
    }

    /// The error of a wait that [`stall_limit`](Self::stall_limit) ended.
    pub(crate) fn stalled(&self) -> MediaError {
        let detail = if Instant::now() >= self.ends_at {
            "it ran out of its time limit".to_owned()
        } else {
            format!("it gave no picture for {} s", self.stall_limit.as_secs_f32())
        };
        MediaError::DecoderFailed { name: self.name.clone(), detail }
    }

    /// An error once it complained, or once size or format changed.
    pub(crate) fn check_health(&self, frame_index: u64) -> Result<(), MediaError> {
        let report = self.report();
        if let Some(change) = &report.changed {
            let detail =
                format!("in mid-stream its size or format changes ({change}); split it there");
            return Err(MediaError::UnsupportedFormat { name: self.name.clone(), detail });
        }
        match report.complaint() {
            Some(complaint) if out_of_memory(&report) => Err(self.memory_error(complaint)),
            Some(complaint) => Err(self.damaged(frame_index, complaint)),
            None => Ok(()),
        }
    }

    /// To be asked when its output ended: an error unless it ended well and without complaint.
    pub(crate) fn finish(&mut self, frame_index: u64, stop: &Stop) -> Result<(), MediaError> {
        let status = self.wait(stop)?;
        self.check_health(frame_index)?;
        if status.success() {
            return Ok(());
        }
        let detail = describe(status);
        Err(MediaError::DecoderFailed { name: self.name.clone(), detail })
    }

    /// Waits for the process and its last words.
    pub(crate) fn wait(&mut self, stop: &Stop) -> Result<ExitStatus, MediaError> {
        let failed = |name: &str, source| MediaError::Io { name: name.to_owned(), source };
        let until = Instant::now() + EXIT_WAIT_MAX;
        let mut nap = Duration::from_micros(200);
        while !self.process.has_ended().map_err(|e| failed(&self.name, e))? {
            stop.check()?;
            if Instant::now() >= until {
                self.process.kill();
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(STOP_CHECK_INTERVAL);
        }
        self.process.reap().map_err(|e| failed(&self.name, e))
    }

    /// The error of a process that ended by a signal or for want of memory; `None` when it was the
    /// file that it did not like.
    pub(crate) fn process_failure(&self) -> Option<MediaError> {
        let report = self.report();
        if out_of_memory(&report) {
            return Some(self.memory_error(report.complaint().unwrap_or("out of memory")));
        }
        let status = self.process.status().filter(|status| status.signal().is_some())?;
        Some(MediaError::DecoderFailed { name: self.name.clone(), detail: describe(status) })
    }

    fn memory_error(&self, complaint: &str) -> MediaError {
        let detail = format!("it ran out of the memory it may use: {complaint}");
        MediaError::DecoderFailed { name: self.name.clone(), detail }
    }

    fn damaged(&self, frame_index: u64, complaint: &str) -> MediaError {
        MediaError::Truncated {
            name: self.name.clone(),
            frame_index,
            detail: format!("ffmpeg says: {complaint}"),
        }
    }
}

fn out_of_memory(report: &Report) -> bool {
    report.complains_of("Cannot allocate memory") || report.complains_of("Out of memory")
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("it was ended by signal {signal}"),
        (None, Some(code)) => format!("it ended with code {code}"),
        (None, None) => "it ended in an unknown way".to_owned(),
    }
}

fn take_line(line: &[u8], report: &Mutex<Report>) {
    if !line.is_empty() {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.take_line(&String::from_utf8_lossy(line));
    }
}
