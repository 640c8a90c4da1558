//! A finished file's name, claimed for as long as a run makes the file: two servers often have one
//! output folder, and neither is to replace what the other is about to make.
//!
//! A claim is a lock on a hidden file beside the output, which the system lets go of when the process
//! dies, however it dies.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Times a claim is tried for that others let go of at the same moment.
const TRIES_MAX: usize = 8;

/// Lets go when it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl Claim {
    /// Claims the name of `output`; `None` where somebody has. Blocks.
    ///
    /// # Errors
    /// When nothing can be written beside it.
    pub fn take(output: &Path) -> io::Result<Option<Self>> {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let path = output.with_file_name(format!(".vmafx-mcp.{name}.lock"));
        for _ in 0..TRIES_MAX {
            let file = File::options().create(true).write(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Whoever had it may have removed the file after it was opened here.
            let is_there = path.metadata().is_ok_and(|there| {
                file.metadata()
                    .is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
            });
            if is_there {
                return Ok(Some(Self { path, _file: file }));
            }
        }
        Ok(None)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before the lock is let go of, so that nobody else's is removed.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_claimed_once_and_free_again_without_a_trace() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("film.mkv");
        let claim = Claim::take(&output).expect("writable").expect("free");
        assert!(Claim::take(&output).expect("writable").is_none());
        assert!(Claim::take(&folder.path().join("other.mkv")).expect("writable").is_some());
        drop(claim);
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
        assert!(Claim::take(&output).expect("writable").is_some());
        assert!(Claim::take(&folder.path().join("none/film.mkv")).is_err());
    }
}
