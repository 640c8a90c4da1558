//! The bytes of a video: from a file, a pipe, or a decoder's standard output.
//!
//! Small reads go through one buffer, large ones straight to their destination. A file's bytes that
//! nobody wants are stepped over; a pipe's are read and dropped. Every wait looks at its [`Stop`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::ahead::ReadAhead;
use crate::error::MediaError;
use crate::ffmpeg::Child;
use crate::stop::{STOP_CHECK_INTERVAL, Stop};

/// Bytes of the buffer; reads of at least as many go around it.
const BUFFER_BYTES: usize = 64 * 1024;

/// The most bytes one system call asks for, so that a stop is looked at in between.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where the bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A regular file.
    File(File),
    /// A pipe, terminal or device that somebody else writes.
    Pipe(File),
    /// The decoder's standard output.
    Decoder(Child),
}

/// A stream of bytes with a name for messages.
#[derive(Debug)]
pub(crate) struct Input {
    name: String,
    source: Source,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    bytes_read: u64,
    ahead: ReadAhead,
    stop: Stop,
}

impl Input {
    pub(crate) fn new(name: &str, source: Source, stop: Stop) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        let (start, end, bytes_read, ahead) = (0, 0, 0, ReadAhead::default());
        Self { name: name.to_owned(), source, buffer, start, end, bytes_read, ahead, stop }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes that came from the source so far.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// One read from the source; 0 is the end.
    fn read(&mut self, dest: &mut [u8]) -> Result<usize, MediaError> {
        let count = self.source.read(dest, &self.stop, &self.name)?;
        if let Source::File(file) = &mut self.source {
            self.ahead.after_read(file, count);
        }
        self.bytes_read += count as u64;
        Ok(count)
    }

    /// The next bytes, at most `count` and at most the buffer's size, without taking them. Fewer
    /// only at the end.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8], MediaError> {
        self.fill_to(count)?;
        let end = self.end.min(self.start + count);
        Ok(&self.buffer[self.start..end])
    }

    /// Takes a line without its line feed. `Ok(None)` at the very end.
    ///
    /// # Errors
    /// In the inner result: the bytes there are when no line feed is among the first `max + 1`.
    #[expect(
        clippy::type_complexity,
        reason = "the inner result is the line, the outer one the reading"
    )]
    pub(crate) fn line(&mut self, max: usize) -> Result<Option<Result<&[u8], &[u8]>>, MediaError> {
        let mut known = 0;
        loop {
            let ready = &self.buffer[self.start..self.end];
            if let Some(length) =
                ready[known..].iter().take(max + 1 - known).position(|b| *b == b'\n')
            {
                let (start, length) = (self.start, known + length);
                self.start += length + 1;
                return Ok(Some(Ok(&self.buffer[start..start + length])));
            }
            known = ready.len().min(max + 1);
            let more = if known <= max { self.fill_to(known + 1)? } else { false };
            if !more {
                let rest = &self.buffer[self.start..self.start + known];
                return Ok(if rest.is_empty() { None } else { Some(Err(rest)) });
            }
        }
    }

    /// Fills `dest`, and says how many bytes there were: fewer only at the end.
    pub(crate) fn read_full(&mut self, dest: &mut [u8]) -> Result<usize, MediaError> {
        let mut done = self.take_buffered(dest);
        while done < dest.len() {
            let rest = &mut dest[done..];
            let count = if rest.len() >= BUFFER_BYTES {
                let upto = rest.len().min(READ_BYTES_MAX);
                self.read(&mut rest[..upto])?
            } else {
                self.fill_to(1)?;
                self.take_buffered(rest)
            };
            if count == 0 {
                break;
            }
            done += count;
        }
        Ok(done)
    }

    /// Steps over `count` bytes, and says how many there were: fewer only at the end.
    pub(crate) fn skip(&mut self, count: u64) -> Result<u64, MediaError> {
        let buffered = (self.end - self.start) as u64;
        if count <= buffered {
            self.start += usize::try_from(count).expect("at most the buffer's size");
            return Ok(count);
        }
        if let Source::File(file) = &mut self.source {
            self.stop.check()?;
            self.start = self.end;
            let skipped = skip_in_file(file, count - buffered)
                .map_err(|error| MediaError::from_read(&self.name, error))?;
            return Ok(buffered + skipped);
        }
        let mut left = count;
        while left > 0 {
            if !self.fill_to(1)? {
                break;
            }
            let step = left.min((self.end - self.start) as u64);
            self.start += usize::try_from(step).expect("at most the buffer's size");
            left -= step;
        }
        Ok(count - left)
    }

    pub(crate) const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Whether nobody else must first write what is read.
    pub(crate) const fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    pub(crate) const fn decoder(&self) -> Option<&Child> {
        match &self.source {
            Source::Decoder(child) => Some(child),
            Source::File(_) | Source::Pipe(_) => None,
        }
    }

    pub(crate) const fn decoder_mut(&mut self) -> Option<&mut Child> {
        match &mut self.source {
            Source::Decoder(child) => Some(child),
            Source::File(_) | Source::Pipe(_) => None,
        }
    }

    /// The regular file behind it, given up so that a decoder may read it from its first byte.
    pub(crate) fn into_file(self) -> Option<File> {
        match self.source {
            Source::File(file) => Some(file),
            Source::Pipe(_) | Source::Decoder(_) => None,
        }
    }

    /// The file's length, where it is a regular file.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        match &self.source {
            Source::File(file) => file.metadata().ok().map(|metadata| metadata.len()),
            Source::Pipe(_) | Source::Decoder(_) => None,
        }
    }

    /// What the decoder has to say for itself so far; an error once it reported damage.
    pub(crate) fn check_health(&self, frame_index: u64) -> Result<(), MediaError> {
        match &self.source {
            Source::Decoder(child) => child.check_health(frame_index),
            Source::File(_) | Source::Pipe(_) => Ok(()),
        }
    }

    /// To be asked at the end of the bytes: whether it is the end of the video too.
    pub(crate) fn finish(&mut self, frame_index: u64) -> Result<(), MediaError> {
        match &mut self.source {
            Source::Decoder(child) => child.finish(frame_index, &self.stop),
            Source::File(_) | Source::Pipe(_) => Ok(()),
        }
    }

    fn take_buffered(&mut self, dest: &mut [u8]) -> usize {
        let count = dest.len().min(self.end - self.start);
        dest[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        count
    }

    /// Reads until `count` bytes (at most the buffer's size) lie in the buffer; `false` when the
    /// end came first.
    fn fill_to(&mut self, count: usize) -> Result<bool, MediaError> {
        let count = count.min(self.buffer.len());
        if self.start + count > self.buffer.len() || self.start == self.end {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < count {
            let read = self.source.read(&mut self.buffer[self.end..], &self.stop, &self.name)?;
            if read == 0 {
                return Ok(false);
            }
            self.end += read;
            self.bytes_read += read as u64;
        }
        Ok(true)
    }
}

/// Moves on by `count` bytes or to the end, whichever is first.
fn skip_in_file(file: &mut File, count: u64) -> io::Result<u64> {
    let position = file.stream_position()?;
    let left = file.metadata()?.len().saturating_sub(position);
    let step = count.min(left);
    file.seek(SeekFrom::Start(position + step))?;
    Ok(step)
}

impl Source {
    /// One read; 0 is the end.
    fn read(&mut self, dest: &mut [u8], stop: &Stop, name: &str) -> Result<usize, MediaError> {
        loop {
            stop.check()?;
            let result = match self {
                Self::File(file) => file.read(dest),
                Self::Pipe(file) => {
                    wait_readable(file, stop, None).map_err(|error| error.named(name))?;
                    file.read(dest)
                }
                Self::Decoder(child) => {
                    let stall_limit = child.stall_limit();
                    match wait_readable(child.output(), stop, Some(stall_limit)) {
                        Ok(()) => child.output().read(dest),
                        Err(WaitError::Stalled) => return Err(child.stalled()),
                        Err(error) => return Err(error.named(name)),
                    }
                }
            };
            match result {
                // Another reader of the same pipe may have been faster.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                    ) => {}
                Err(error) => return Err(MediaError::from_read(name, error)),
                Ok(count) => return Ok(count),
            }
        }
    }
}

enum WaitError {
    Stopped(MediaError),
    Stalled,
    Io(io::Error),
}

impl WaitError {
    fn named(self, name: &str) -> MediaError {
        match self {
            Self::Stopped(error) => error,
            Self::Stalled => MediaError::TimedOut,
            Self::Io(error) => MediaError::from_read(name, error),
        }
    }
}

/// Waits until a read would not block, looking at `stop` at its interval.
fn wait_readable(fd: &impl AsFd, stop: &Stop, limit: Option<Duration>) -> Result<(), WaitError> {
    let tick = Timespec::try_from(STOP_CHECK_INTERVAL).expect("a short time");
    let began = Instant::now();
    loop {
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&tick)) {
            Ok(0) => {}
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(WaitError::Io(error.into())),
        }
        stop.check().map_err(|stopped| WaitError::Stopped(stopped.into()))?;
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            return Err(WaitError::Stalled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> Input {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(content).expect("written");
        file.rewind().expect("rewound");
        Input::new("test", Source::File(file), Stop::never())
    }

    fn pipe(content: Vec<u8>) -> Input {
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        std::thread::spawn(move || {
            // The reader may leave early.
            let _ = File::from(write).write_all(&content);
        });
        Input::new("test", Source::Pipe(File::from(read)), Stop::never())
    }

    fn check(mut input: Input) {
        assert_eq!(input.peek(3).expect("read"), b"one");
        assert_eq!(input.line(10).expect("read"), Some(Ok(&b"one"[..])));
        assert_eq!(input.line(2).expect("read"), Some(Err(&b"two"[..])), "too long for its bound");
        assert_eq!(input.line(3).expect("read"), Some(Ok(&b"two"[..])));
        assert_eq!(input.skip(100_000).expect("read"), 100_000);
        let mut bytes = vec![0; 100_001];
        assert_eq!(input.read_full(&mut bytes).expect("read"), 100_001);
        assert_eq!((bytes[0], bytes[99_999], bytes[100_000]), (b'b', b'b', b'c'));
        assert_eq!(input.line(10).expect("read"), Some(Err(&b"dd"[..])), "no line feed at the end");
        assert_eq!(input.read_full(&mut bytes).expect("read"), 2);
        assert_eq!(input.line(10).expect("read"), None);
        assert_eq!(input.skip(7).expect("read"), 0);
        assert_eq!(input.peek(1).expect("read"), b"");
    }

    fn content() -> Vec<u8> {
        let mut content = b"one\ntwo\n".to_vec();
        content.extend([b'a'; 100_000]);
        content.extend([b'b'; 100_000]);
        content.extend(b"cdd");
        content
    }

    #[test]
    fn a_file_and_a_pipe_give_the_same_bytes() {
        check(file(&content()));
        check(pipe(content()));
    }

    #[test]
    fn a_cancel_ends_a_wait_for_a_silent_pipe() {
        let (read, _write) = rustix::pipe::pipe().expect("a pipe");
        let stop = Stop::never();
        let mut input = Input::new("test", Source::Pipe(File::from(read)), stop.clone());
        let waiting = std::thread::spawn(move || input.peek(1).map(<[u8]>::len));
        let began = Instant::now();
        stop.cancel.cancel();
        let error = waiting.join().expect("no panic").expect_err("cancelled");
        assert!(matches!(error, MediaError::Cancelled), "{error}");
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    }
}
