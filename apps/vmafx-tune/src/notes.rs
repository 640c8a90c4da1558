//! Notes of files that were made and verified, so that a run that comes again makes none of them anew.
//!
//! A note counts only for a file that still is what it was, by its hash: what was changed, cut short or
//! replaced since is made again. A line is on the disk before the run says that the file is there.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use media::Stop;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::error::TuneError;
use crate::finish::Verified;
use crate::output::Wanted;
use crate::progress::Event;
use crate::request::CrfRequest;
use crate::session::{Environment, Session};
use crate::source::hash_of;

/// Bytes of the notes that are read, the last ones; a note takes less than a thousand.
const NOTES_BYTES_MAX: u64 = 4 << 20;

/// The notes of single files, in the folder of journals.
const FILES: &str = "files.jsonl";

/// What is known of a file that was made and verified.
pub(crate) trait Made: Clone + Serialize + DeserializeOwned {
    fn output(&self) -> &Path;

    /// The same, under the name by which it is asked for.
    fn named(self, output: PathBuf) -> Self;
}

impl Made for Verified {
    fn output(&self) -> &Path {
        &self.output
    }

    fn named(self, output: PathBuf) -> Self {
        Self { output, ..self }
    }
}

/// A file that was made: a line of the notes.
#[derive(Debug, Serialize, Deserialize)]
struct Note<T> {
    /// What it is, and what it was to reach.
    key: String,
    /// SHA-256 of the file.
    sha256: String,
    verified: T,
}

/// What was made before.
#[derive(Debug)]
pub(crate) struct Notes<T = Verified> {
    path: PathBuf,
    known: Vec<Note<T>>,
    file: File,
}

impl<T: Made> Notes<T> {
    /// Reads what there is. Lines that are no notes, such as one that a crash has cut, are stepped over.
    pub(crate) fn open(path: PathBuf) -> Result<Self, TuneError> {
        let mut text = Vec::new();
        let mut read = || -> io::Result<File> {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)?;
            }
            let mut file = File::options().read(true).append(true).create(true).open(&path)?;
            // A device or a pipe would be read for ever.
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            let bytes = file.seek(SeekFrom::End(0))?;
            file.seek(SeekFrom::Start(bytes.saturating_sub(NOTES_BYTES_MAX)))?;
            (&mut file).take(NOTES_BYTES_MAX).read_to_end(&mut text)?;
            if text.last().is_some_and(|last| *last != b'\n') {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        let file = read().map_err(TuneError::write(&path))?;
        let lines = text.split(|byte| *byte == b'\n');
        let known = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        Ok(Self { path, known, file })
    }

    /// What is noted of this key under this name, where the file has the name and is what it was.
    pub(crate) fn find(&self, key: &str, path: &Path, stop: &Stop) -> Result<Option<T>, TuneError> {
        let noted = self.known.iter().rev().find(|note| note.key == key && note.is_named(path));
        let Some(noted) = noted.filter(|_| path.is_file()) else { return Ok(None) };
        let is_whole = hash_of(path, stop)? == noted.sha256;
        Ok(is_whole.then(|| noted.verified.clone().named(path.to_owned())))
    }

    /// As [`find`](Self::find), and tells that nothing is made.
    pub(crate) fn find_told(
        &self,
        key: &str,
        path: &Path,
        session: &Session<'_>,
    ) -> Result<Option<T>, TuneError> {
        let found = self.find(key, path, &session.stop)?;
        if found.is_some() {
            tell_whole(path, session);
        }
        Ok(found)
    }

    /// Notes a file. When this returns, it is on the disk.
    pub(crate) fn add(&mut self, key: String, made: &T, stop: &Stop) -> Result<(), TuneError> {
        let sha256 = hash_of(made.output(), stop)?;
        let verified = made.clone().named(absolute(made.output()));
        let note = Note { key, sha256, verified };
        let text = serde_json::to_string(&note).map_err(io::Error::from);
        text.and_then(|text| {
            // One call, so that lines of two processes do not mix.
            self.file.write_all((text + "\n").as_bytes())?;
            self.file.sync_data()
        })
        .map_err(TuneError::write(&self.path))?;
        self.known.push(note);
        Ok(())
    }
}

impl Notes {
    /// The notes of single files that an environment keeps; `None` where it remembers nothing.
    pub(crate) fn of_files(env: &Environment) -> Result<Option<Self>, TuneError> {
        env.journal_dir.as_ref().map(|folder| Self::open(folder.join(FILES))).transpose()
    }
}

impl<T: Made> Note<T> {
    fn is_named(&self, path: &Path) -> bool {
        absolute(self.verified.output()) == absolute(path)
    }
}

/// Tells that a file is there already and nothing is made.
pub(crate) fn tell_whole(path: &Path, session: &Session<'_>) {
    let message = format!("{} is there and whole", path.display());
    session.sink.event(&Event::Note { message });
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether a file of this name was made by a run that remembered it. The file may have become another
/// since: only a run that asks the same question can tell.
///
/// # Errors
/// When the notes cannot be read.
pub fn is_noted(env: &Environment, output: &Path) -> Result<bool, TuneError> {
    let Some(notes) = Notes::of_files(env)? else { return Ok(false) };
    Ok(notes.known.iter().any(|note| note.is_named(output)))
}

/// What a finished file is: the bytes of its source, everything that was asked for, and what made it.
pub(crate) fn key_of(
    request: &CrfRequest,
    source_sha256: &str,
    wanted: &Wanted,
    chain: &str,
) -> String {
    // The name is compared by itself; how the source is named makes no difference.
    let text = serde_json::json!({
        "source": source_sha256,
        "encode": request.encode,
        "search": request.search,
        "model": request.search.score.model_sha256(),
        "besides": request.besides,
        "wrap": format!("{:?}", wanted.wrap),
        "chain": chain,
    });
    sha256(text.to_string())
}
