//! Folders for what is in the making, and what runs that were killed have left in them.
//!
//! A folder is held by a lock on a marker file within it. The kernel lets go of the lock when the
//! process ends, however it ends and on whichever machine or in whichever container it ran, so that
//! a folder with a marker that nobody holds is a dead run's. A folder without a marker is never ours.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file whose lock says that a folder is in use.
const MARKER: &str = ".vmafx-tune-holds";

/// A folder that nobody else uses, removed with all that is in it.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
    /// Holds the lock.
    _marker: File,
}

impl Scratch {
    /// Makes one below `folder`, and removes those of the same prefix that the dead have left there.
    pub(crate) fn new(folder: &Path, prefix: &str) -> io::Result<Self> {
        remove_leftovers(folder, prefix);
        let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(folder)?;
        // The marker gets its name once it is locked: no other run sees one that is free.
        let unnamed = dir.path().join(format!("{MARKER}.new"));
        let marker = File::create(&unnamed)?;
        marker.lock()?;
        std::fs::rename(&unnamed, dir.path().join(MARKER))?;
        Ok(Self { dir, _marker: marker })
    }

    /// Where it is, with no link to where we are.
    pub(crate) fn path(&self) -> PathBuf {
        std::path::absolute(self.dir.path()).unwrap_or_else(|_| self.dir.path().to_owned())
    }
}

/// Removes folders that hold a marker which nobody holds. What cannot be told is left alone.
fn remove_leftovers(folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        let marker = is_ours.then(|| File::open(entry.path().join(MARKER)).ok()).flatten();
        let Some(marker) = marker else { continue };
        match marker.try_lock() {
            // Held while it is removed. Somebody else may be faster.
            Ok(()) => drop(std::fs::remove_dir_all(entry.path())),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_dead_have_left_is_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let make = |name: &str, has_marker: bool| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).expect("made");
            std::fs::write(path.join("0.mkv"), b"x").expect("written");
            if has_marker {
                std::fs::write(path.join(MARKER), b"").expect("written");
            }
            path
        };
        let dead = make("t-abc", true);
        let others = [make("t-2024-results", false), make("u-abc", true)];
        let running = Scratch::new(folder.path(), "t-").expect("made");
        assert!(!dead.exists());
        let second = Scratch::new(folder.path(), "t-").expect("made");
        assert!(running.path().exists(), "it is in use");
        assert!(others.iter().all(|other| other.join("0.mkv").exists()));
        let (first, second_path) = (running.path(), second.path());
        drop((running, second));
        assert!(!first.exists() && !second_path.exists());
    }
}
