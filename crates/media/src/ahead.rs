//! What is to be read next is asked of the disk beforehand.
//!
//! Whoever scores a frame of a file reads it, so that nobody reads meanwhile. That costs nothing where the
//! bytes lie in the page cache; a disk, or another machine, would stand idle while a frame is scored and
//! be waited for afterwards. So after every large read it is looked whether a byte further on is in the
//! cache, which takes less than a microsecond, and where it is not the kernel is told to fetch what comes
//! until there. To tell it what is in the cache already would cost as much as reading does. It is a hint:
//! nothing depends on it.

use std::fs::File;
use std::io::{IoSliceMut, Seek as _};
use std::num::NonZeroU64;
use std::ops::Range;

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Nothing is looked at after reads of fewer bytes.
const READ_BYTES_MIN: usize = 256 * 1024;
/// How far ahead is asked: a frame or two of a large picture.
const AHEAD_BYTES: u64 = 32 << 20;
/// What one question asks for at most: the kernel cuts larger ones off at a bound of its own.
const QUESTION_BYTES: u64 = 1 << 20;

/// How far a file was asked for.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    asked_until: u64,
}

impl ReadAhead {
    /// So many bytes were read; the file stands behind them.
    pub(crate) fn after_read(&mut self, file: &mut File, count: usize) {
        if count < READ_BYTES_MIN {
            return;
        }
        let Ok(position) = file.stream_position() else { return };
        if is_at_hand(file, position.saturating_add(AHEAD_BYTES)) {
            return;
        }
        let mut wanted = self.wanted(position);
        while !wanted.is_empty() {
            let length = (wanted.end - wanted.start).min(QUESTION_BYTES);
            // Where nothing is known of such hints, nothing is lost.
            let _ = fadvise(&*file, wanted.start, NonZeroU64::new(length), Advice::WillNeed);
            wanted.start += length;
        }
    }

    /// What was not asked for yet, of what comes next.
    fn wanted(&mut self, position: u64) -> Range<u64> {
        let until = position.saturating_add(AHEAD_BYTES);
        let from = self.asked_until.clamp(position, until);
        self.asked_until = until;
        from..until
    }
}

/// Whether reading this byte would wait for nobody. So it is behind the end, and where the kernel
/// cannot tell.
fn is_at_hand(file: &File, at: u64) -> bool {
    let mut byte = [0];
    let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
    !matches!(read, Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn every_byte_is_asked_for_once_and_at_most_so_far_ahead() {
        let mut ahead = ReadAhead::default();
        assert_eq!(ahead.wanted(1_000), 1_000..1_000 + AHEAD_BYTES);
        assert_eq!(ahead.wanted(2_000), 1_000 + AHEAD_BYTES..2_000 + AHEAD_BYTES);
        // After a step far over what was asked for, and back again.
        let far = 10 * AHEAD_BYTES;
        assert_eq!(ahead.wanted(far), far..far + AHEAD_BYTES);
        assert!(ahead.wanted(5).is_empty());
    }

    #[test]
    fn a_file_that_is_not_in_the_cache_is_asked_for_and_read_as_before() {
        // Beside the program, which lies on a disk where the temporary folder may be memory.
        let folder = std::env::current_exe().expect("a program");
        let mut file =
            tempfile::tempfile_in(folder.parent().expect("in a folder")).expect("a file");
        let length = AHEAD_BYTES as usize + (8 << 20);
        let content: Vec<u8> = (0..length).map(|n| (n >> 9) as u8 ^ n as u8).collect();
        file.write_all(&content).expect("written");
        file.sync_all().expect("on the disk");
        file.rewind().expect("a file");
        let is_dropped = || fadvise(&file, 0, None, Advice::DontNeed).is_ok();
        let is_cold = is_dropped() && !is_at_hand(&file, AHEAD_BYTES);
        let (mut ahead, mut part, mut all) = (ReadAhead::default(), vec![0; 1 << 20], Vec::new());
        loop {
            let count = file.read(&mut part).expect("read");
            all.extend_from_slice(&part[..count]);
            ahead.after_read(&mut file, count);
            if count == 0 {
                break;
            }
        }
        assert!(all == content, "every byte, in its place");
        assert!(!is_cold || ahead.asked_until >= AHEAD_BYTES, "{ahead:?}");
        // Now that all of it is there nothing is asked.
        let mut ahead = ReadAhead::default();
        file.rewind().expect("a file");
        file.read_exact(&mut part).expect("read");
        ahead.after_read(&mut file, part.len());
        assert_eq!(ahead.asked_until, 0);
    }
}
