//! One encoding `ffmpeg`: fed through a pipe, listened to, held to its limits, ended.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;
use types::{EncodeRequest, Encoder};

use super::error::EncoderError;
use super::probe::{encoder_version, version_in};
use super::{ENCODE_STALL_MAX, ENCODE_TIME_MAX, ENCODER_MEMORY_BYTES_MAX};
use crate::ffmpeg::FfmpegConfig;
use crate::process::{Process, prepare};
use crate::stop::{STOP_CHECK_INTERVAL, Stop};

/// Complaints that are remembered, of the first ones and of the last ones: the first say what went
/// wrong, the last how it ended.
const FIRST_LINES_MAX: usize = 4;
const LAST_LINES_MAX: usize = 4;
/// Bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 300;
/// Bytes asked of the kernel for the pipe.
const PIPE_BYTES: usize = 1 << 20;
/// How long the first wait for the end is; later ones double.
const NAP_FIRST: Duration = Duration::from_millis(1);

/// What `ffmpeg` says where VVenC gives more bytes for one picture than it has room for, among others.
const PICTURE_TOO_LARGE: &str = "Error submitting video frame to the encoder";

/// What the machine and not the request is at fault for, as `ffmpeg` words it. Only its input pipe and
/// its output are opened, so that these are about the output.
const MACHINE_FAULTS: [(&str, io::ErrorKind); 6] = [
    ("Permission denied", io::ErrorKind::PermissionDenied),
    ("No such file or directory", io::ErrorKind::NotFound),
    ("Read-only file system", io::ErrorKind::ReadOnlyFilesystem),
    ("Input/output error", io::ErrorKind::Other),
    ("Resource temporarily unavailable", io::ErrorKind::WouldBlock),
    ("Too many open files", io::ErrorKind::Other),
];

/// What is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// By which encoder, for messages.
    pub encoder: Encoder,
    /// The file.
    pub output: &'a Path,
    /// The most bytes it may have.
    pub bytes_max: Option<u64>,
}

/// What it says, boiled down.
#[derive(Debug, Default)]
struct Words {
    version: Option<String>,
    /// What the encoder's own library calls its version, where it tells.
    encoder_says: Option<String>,
    /// Errors and warnings.
    first: Vec<String>,
    last: VecDeque<String>,
}

impl Words {
    fn complain(&mut self, said: String) {
        if self.first.len() < FIRST_LINES_MAX {
            self.first.push(said);
            return;
        }
        if self.last.len() == LAST_LINES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(said);
    }

    fn complaints(&self) -> impl Iterator<Item = &str> {
        self.first.iter().chain(&self.last).map(String::as_str)
    }
}

/// A running or ended encoder.
#[derive(Debug)]
pub(super) struct EncoderChild {
    encoder: Encoder,
    output: PathBuf,
    program: String,
    process: Process,
    input: Option<ChildStdin>,
    words: Arc<Mutex<Words>>,
    ends_at: Instant,
    bytes_max: Option<u64>,
    stop: Stop,
}

impl EncoderChild {
    /// Starts one that is fed by [`write`](Self::write).
    pub(super) fn start(
        config: &FfmpegConfig,
        target: &Target<'_>,
        arguments: &[OsString],
        stop: &Stop,
    ) -> Result<Self, EncoderError> {
        let mut child = Self::spawn(config, target, arguments, Stdio::piped(), stop)?;
        let input = child.process.take_stdin().expect("standard input is a pipe");
        // A smaller pipe works as well.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&input, PIPE_BYTES);
        let nonblocking = fcntl_getfl(&input)
            .and_then(|flags| fcntl_setfl(&input, flags | OFlags::NONBLOCK))
            .map_err(io::Error::from);
        nonblocking.map_err(EncoderError::output(target.output))?;
        child.input = Some(input);
        Ok(child)
    }

    /// Starts one that reads a file as its standard input, or nothing.
    pub(super) fn start_on(
        config: &FfmpegConfig,
        target: &Target<'_>,
        arguments: &[OsString],
        input: Option<File>,
        stop: &Stop,
    ) -> Result<Self, EncoderError> {
        Self::spawn(config, target, arguments, input.map_or_else(Stdio::null, Stdio::from), stop)
    }

    fn spawn(
        config: &FfmpegConfig,
        target: &Target<'_>,
        arguments: &[OsString],
        input: Stdio,
        stop: &Stop,
    ) -> Result<Self, EncoderError> {
        stop.check()?;
        // Looked up from where we are, not from the folder it will run in.
        let mut command = Command::new(absolute(config.program()));
        prepare(&mut command);
        // A file that an encoder makes by a name of its own lies beside the output.
        if let Some(folder) = target.output.parent().filter(|folder| folder.is_absolute()) {
            // Else it would be the program that seems to be missing.
            std::fs::metadata(folder).map_err(EncoderError::output(target.output))?;
            command.current_dir(folder);
        }
        command.args(arguments).stdin(input).stdout(Stdio::null()).stderr(Stdio::piped());
        let program = program_name(config);
        let process = command
            .spawn()
            .map_err(|source| EncoderError::ProgramMissing { program: program.clone(), source })?;
        let mut process = Process::new(process);
        process.limit_memory(ENCODER_MEMORY_BYTES_MAX);
        if let Some(bytes_max) = target.bytes_max {
            process.limit_file(bytes_max);
        }
        let words = Arc::new(Mutex::new(Words::default()));
        let (heard, encoder) = (Arc::clone(&words), target.encoder);
        process
            .listen("encoder-messages", LINE_BYTES_MAX, move |line| {
                take_line(line, encoder, &heard);
            })
            .map_err(EncoderError::output(target.output))?;
        Ok(Self {
            encoder: target.encoder,
            output: target.output.to_owned(),
            program,
            process,
            input: None,
            words,
            ends_at: Instant::now() + config.time_limit.min(ENCODE_TIME_MAX),
            bytes_max: target.bytes_max,
            stop: stop.clone(),
        })
    }

    /// Hands bytes over, waiting while the encoder is busy.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), EncoderError> {
        let tick = Timespec::try_from(STOP_CHECK_INTERVAL).expect("a short time");
        let mut waiting_since = Instant::now();
        while !bytes.is_empty() {
            self.stop.check()?;
            let Some(input) = &mut self.input else { return Err(self.ended_early()) };
            match input.write(bytes) {
                Ok(0) => return Err(self.ended_early()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    waiting_since = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&*input, PollFlags::OUT)];
                    match poll(&mut fds, Some(&tick)) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(self.failed(&format!("its pipe broke: {error}"))),
                    }
                    self.check_limits(waiting_since)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(self.ended_early());
                }
                Err(error) => return Err(self.failed(&format!("its pipe broke: {error}"))),
            }
        }
        Ok(())
    }

    /// Ends the input, waits for the file to be complete, and says what encoded it.
    pub(super) fn finish(mut self) -> Result<String, EncoderError> {
        drop(self.input.take());
        let status = self.wait()?;
        if !status.success() {
            return Err(self.failure(status));
        }
        let words = self.words();
        if let Some(odd) =
            words.complaints().find(|line| line.contains("Incompatible pixel format"))
        {
            // `ffmpeg` says which one it would have taken instead.
            let taken = EncodeRequest::PIXEL_FORMATS
                .into_iter()
                .find(|format| odd.ends_with(&format!("auto-selecting format '{format}'")))
                .unwrap_or("yuv420p");
            let detail = format!("{odd}; name one it takes, such as --pix-fmt {taken}");
            return Err(EncoderError::Refused { encoder: self.encoder, detail });
        }
        Ok(encoder_version(words.version.as_deref(), self.encoder, words.encoder_says.as_deref()))
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_limits(&self, waiting_since: Instant) -> Result<(), EncoderError> {
        if Instant::now() >= self.ends_at {
            return Err(self.failed("it ran out of its time limit"));
        }
        if waiting_since.elapsed() >= ENCODE_STALL_MAX {
            let text = format!("it did nothing for {} s", ENCODE_STALL_MAX.as_secs());
            return Err(self.failed(&text));
        }
        Ok(())
    }

    fn failed(&self, detail: &str) -> EncoderError {
        EncoderError::Failed { encoder: self.encoder, detail: detail.to_owned() }
    }

    /// Why it ended although there was more to encode.
    fn ended_early(&mut self) -> EncoderError {
        drop(self.input.take());
        match self.wait() {
            Ok(status) => self.failure(status),
            Err(error) => error,
        }
    }

    /// What an end without success means.
    fn failure(&self, status: ExitStatus) -> EncoderError {
        let words = self.words();
        let says = |part: &str| words.complaints().any(|line| line.contains(part));
        let said = words.complaints().collect::<Vec<_>>().join("; ");
        if says("No space left on device") || says("Disk quota exceeded") {
            return EncoderError::DiskFull { output: self.output.display().to_string() };
        }
        if says("Unknown encoder") {
            let has = "no such encoder; `-encoders` lists them".to_owned();
            return EncoderError::EncoderMissing {
                program: self.program.clone(),
                encoder: self.encoder,
                has,
            };
        }
        if let Some((_, kind)) = MACHINE_FAULTS.iter().find(|(text, _)| says(text)) {
            let source = io::Error::new(*kind, said);
            return EncoderError::Output { output: self.output.display().to_string(), source };
        }
        match status.signal() {
            Some(signal) if signal == Signal::XFSZ.as_raw() => EncoderError::TooLarge {
                output: self.output.display().to_string(),
                bytes_max: self.bytes_max.unwrap_or(u64::MAX),
            },
            Some(signal) => self.failed(&format!("it was ended by signal {signal}: {said}")),
            None if says("Cannot allocate memory") || says("Out of memory") => {
                self.failed(&format!("it ran out of the memory it may use: {said}"))
            }
            None if says("File too large") => EncoderError::TooLarge {
                output: self.output.display().to_string(),
                bytes_max: self.bytes_max.unwrap_or(u64::MAX),
            },
            None if self.encoder == Encoder::Vvenc && says(PICTURE_TOO_LARGE) => {
                let advice = "a picture may have more bytes than samples at this quality, which ffmpeg does not \
                              take from it: ask for a larger number";
                let detail = format!("{said}; {advice}");
                EncoderError::Refused { encoder: self.encoder, detail }
            }
            None => EncoderError::Refused { encoder: self.encoder, detail: said },
        }
    }

    /// Waits for the process and its last words.
    fn wait(&mut self) -> Result<ExitStatus, EncoderError> {
        let mut waiting_since = Instant::now();
        let mut nap = NAP_FIRST;
        let mut work = None;
        while !self.process.has_ended().map_err(EncoderError::output(&self.output))? {
            self.stop.check()?;
            // A short range lies whole in an encoder's look-ahead, so that all of its work is done
            // here: who works is not stalled, however long it takes.
            let done = self.work_done();
            if done != work {
                waiting_since = Instant::now();
                work = done;
            }
            self.check_limits(waiting_since)?;
            std::thread::sleep(nap);
            nap = (nap * 2).min(STOP_CHECK_INTERVAL);
        }
        self.process.reap().map_err(EncoderError::output(&self.output))
    }

    /// A number that changes while it writes or computes.
    fn work_done(&self) -> Option<(u64, u64)> {
        let bytes = std::fs::metadata(&self.output).map_or(0, |file| file.len());
        Some((bytes, ticks_of(self.process.id()).unwrap_or(0)))
    }
}

/// Processor time of a process in the kernel's ticks, where it can be told.
fn ticks_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

/// The program by a path that holds in any folder; a bare name is looked for in `PATH`.
fn absolute(program: &Path) -> PathBuf {
    if !program.as_os_str().as_encoded_bytes().contains(&b'/') {
        return program.to_owned();
    }
    std::path::absolute(program).unwrap_or_else(|_| program.to_owned())
}

/// The program as messages name it.
pub(super) fn program_name(config: &FfmpegConfig) -> String {
    match &config.program {
        Some(program) => format!("{:?}", program.display().to_string()),
        None => format!("{:?} from PATH", Path::new("ffmpeg").display().to_string()),
    }
}

fn take_line(line: &[u8], encoder: Encoder, words: &Mutex<Words>) {
    let text = String::from_utf8_lossy(line);
    let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
    if words.version.is_none()
        && let Some((_, rest)) = text.split_once("ffmpeg version ")
    {
        let version = rest.split_whitespace().next().unwrap_or_default();
        words.version = Some(version.chars().take(64).collect());
    }
    if words.encoder_says.is_none() {
        words.encoder_says = version_in(encoder, &text).map(str::to_owned);
    }
    // Encoders' libraries write past ffmpeg's log, without a level.
    let complains = ["[error] ", "[fatal] ", "[panic] ", "[warning] "]
        .iter()
        .find_map(|level| text.split_once(level).map(|(_, said)| said.trim().to_owned()))
        .or_else(|| {
            (text.contains("rror") && !text.starts_with('[')).then(|| text.trim().to_owned())
        });
    if let Some(said) = complains.filter(|said| !said.is_empty()) {
        words.complain(said);
    }
}
