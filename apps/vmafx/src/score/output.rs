//! The log file: found writable before scoring starts, and there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use types::{Failure, FailureKind};

/// A place that a log will be written to.
///
/// A regular file is written beside its place and renamed into it, so that nobody reads half a log
/// and a failed run leaves the old one as it was. What exists and is no regular file, such as a pipe
/// or `/dev/stdout`, is written directly.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Where the bytes are until they are complete; `None` when written directly.
    temporary: Option<PathBuf>,
}

impl LogFile {
    /// Opens the place for writing.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let failure = |error| failure(path, &error);
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(failure(io::ErrorKind::IsADirectory.into()));
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(failure)?;
                return Ok(Self { path: path.to_owned(), file, temporary: None });
            }
            Ok(_) => {
                // A file that may not be written is not to be replaced either.
                OpenOptions::new().append(true).open(path).map_err(failure)?;
            }
            Err(_) => {}
        }
        // Where the path is a link, the file it leads to is replaced, not the link.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = path.file_name().ok_or_else(|| failure(io::ErrorKind::InvalidInput.into()))?;
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        temporary_name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary_name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(failure)?;
        Ok(Self { path, file, temporary: Some(temporary) })
    }

    /// Writes the log and puts it in its place.
    ///
    /// # Errors
    /// When writing or renaming fails. A regular file at the place is then as it was.
    pub(super) fn write(mut self, text: &str) -> Result<(), Failure> {
        let mut write = || {
            self.file.write_all(text.as_bytes())?;
            if let Some(temporary) = &self.temporary {
                fs::rename(temporary, &self.path)?;
            }
            Ok(())
        };
        let written = write().map_err(|error| failure(&self.path, &error));
        if written.is_ok() {
            self.temporary = None;
        }
        written
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // It is ours alone; that it may stay behind harms nobody.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FailureKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            FailureKind::PermissionDenied
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
        _ => FailureKind::Io,
    };
    let path = path.display();
    Failure::new(
        kind,
        format!("the log cannot be written to {path}: {error}; choose another place"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable");
        entries.map(|entry| entry.expect("readable").file_name().display().to_string()).collect()
    }

    #[test]
    fn a_log_appears_as_a_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("log.xml");
        fs::write(&path, "old").expect("written");
        let log = LogFile::create(&path).expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("there"), "old");
        log.write("new").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert_eq!(names(folder.path()), ["log.xml"]);
    }

    #[test]
    fn a_run_that_fails_leaves_the_old_log() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("log.xml");
        fs::write(&path, "old").expect("written");
        drop(LogFile::create(&path).expect("writable"));
        assert_eq!(fs::read_to_string(&path).expect("there"), "old");
        assert_eq!(names(folder.path()), ["log.xml"]);
    }

    #[test]
    fn places_that_cannot_be_written_are_refused_at_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let kind = |path: &Path| LogFile::create(path).expect_err("refused").kind;
        assert_eq!(kind(&folder.path().join("no/such/folder.xml")), FailureKind::NotFound);
        assert_eq!(kind(folder.path()), FailureKind::Io);
        assert_eq!(kind(Path::new("/")), FailureKind::Io);
    }

    #[test]
    fn what_is_no_regular_file_is_written_directly() {
        let log = LogFile::create(Path::new("/dev/null")).expect("writable");
        log.write("anything").expect("written");
        assert!(fs::metadata("/dev/null").is_ok_and(|metadata| !metadata.is_file()));
    }
}
