//! What was measured, kept so that nothing is measured twice: one line a probe, on the disk before
//! it counts.
//!
//! A line is JSON with a key, which says exactly what was measured, and a check sum. Lines that were
//! torn by a crash or written by somebody else are stepped over and counted: a journal can be damaged
//! and costs at most what was damaged. Several processes may add to one file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::finished;
use crate::error::TuneError;
use crate::probe::Probe;

/// Bytes of one line. A sample's frames make the most of it.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// Lines that are read; more are left where they are. A journal holds one source.
const LINES_MAX: usize = 100_000;

/// Digits of a line's check sum.
const SUM_CHARS: usize = 16;

#[derive(Serialize, Deserialize)]
struct Line<P> {
    key: String,
    probe: P,
    /// Over the key and the probe as they are written.
    sum: String,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    known: Mutex<HashMap<String, Probe>>,
    file: Option<(PathBuf, Mutex<File>)>,
    damaged: usize,
}

impl Journal {
    /// Keeps nothing beyond this process.
    pub(crate) fn in_memory() -> Self {
        Self { known: Mutex::default(), file: None, damaged: 0 }
    }

    /// Reads what there is, and is ready to add to it. The folder is made where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, TuneError> {
        let failed = |source| TuneError::Journal { path: path.display().to_string(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file =
            File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
        // A device or a pipe would be read for ever.
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let (known, damaged) = read(&file).map_err(failed)?;
        end_torn_line(&mut file).map_err(failed)?;
        Ok(Self {
            known: Mutex::new(known),
            file: Some((path.to_owned(), Mutex::new(file))),
            damaged,
        })
    }

    /// Lines that were no probes.
    pub(crate) fn damaged(&self) -> usize {
        self.damaged
    }

    /// What is known of a key.
    pub(crate) fn find(&self, key: &str) -> Option<Probe> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Keeps a probe. When this returns, it is on the disk.
    pub(crate) fn add(&self, key: &str, probe: &Probe) -> Result<(), TuneError> {
        if let Some((path, file)) = &self.file {
            let write = || -> io::Result<()> {
                let line = line_of(key, probe)?;
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                // One call, so that lines of two processes do not mix.
                file.write_all(line.as_bytes())?;
                file.sync_data()
            };
            write().map_err(|source| TuneError::Journal {
                path: path.display().to_string(),
                source,
            })?;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.to_owned(), probe.clone());
        Ok(())
    }
}

fn line_of(key: &str, probe: &Probe) -> io::Result<String> {
    let written = serde_json::to_value(probe)?;
    let sum = check_sum(key, &written.to_string());
    let line = serde_json::to_string(&Line { key: key.to_owned(), probe: written, sum })?;
    Ok(line + "\n")
}

fn check_sum(key: &str, probe: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(key.as_bytes());
    hash.update([0]);
    hash.update(probe.as_bytes());
    finished(hash)[..SUM_CHARS].to_owned()
}

fn read(file: &File) -> io::Result<(HashMap<String, Probe>, usize)> {
    let (mut known, mut damaged) = (HashMap::new(), 0);
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    for _ in 0..LINES_MAX {
        line.clear();
        if (&mut reader).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            // Too long or torn: whatever follows up to the line's end is no line of ours either.
            damaged += 1;
            skip_line(&mut reader)?;
            continue;
        }
        match probe_of(&line) {
            Some((key, probe)) => {
                known.insert(key, probe);
            }
            None if line.iter().all(u8::is_ascii_whitespace) => {}
            None => damaged += 1,
        }
    }
    Ok((known, damaged))
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let ready = reader.fill_buf()?;
        if ready.is_empty() {
            return Ok(());
        }
        let end = ready.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(ready.len(), |end| end + 1);
        reader.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn probe_of(line: &[u8]) -> Option<(String, Probe)> {
    let Line { key, probe, sum } = serde_json::from_slice::<Line<serde_json::Value>>(line).ok()?;
    (check_sum(&key, &probe.to_string()) == sum).then_some(())?;
    Some((key, serde_json::from_value(probe).ok()?))
}

/// A line that a crash has cut must not swallow the next one.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" { file.write_all(b"\n") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::probe;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/journal.jsonl");
        (folder, path)
    }

    #[test]
    fn what_is_kept_is_there_when_it_is_opened_again() {
        let (_folder, path) = path();
        let journal = Journal::open(&path).expect("opened");
        journal.add("a", &probe(90.125)).expect("kept");
        journal.add("b", &probe(1.0 / 3.0)).expect("kept");
        drop(journal);
        let again = Journal::open(&path).expect("opened");
        assert_eq!(again.find("a"), Some(probe(90.125)));
        assert_eq!(again.find("b"), Some(probe(1.0 / 3.0)), "to the last bit");
        assert_eq!((again.find("c"), again.damaged()), (None, 0));
    }

    #[test]
    fn torn_and_hostile_lines_cost_themselves_alone() {
        let (_folder, path) = path();
        let journal = Journal::open(&path).expect("opened");
        journal.add("a", &probe(90.0)).expect("kept");
        drop(journal);
        let good = std::fs::read(&path).expect("written");
        let mut bytes = b"not json\n{\"key\":7}\n\n\xff\xfe\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', LINE_BYTES_MAX + 10));
        bytes.push(b'\n');
        bytes.extend_from_slice(&good);
        let changed = String::from_utf8(good.clone()).expect("text");
        bytes.extend(changed.replace("\"a\"", "\"z\"").bytes());
        bytes.extend_from_slice(&good[..good.len() / 2]);
        std::fs::write(&path, &bytes).expect("written");
        let journal = Journal::open(&path).expect("opened");
        assert_eq!(journal.find("a"), Some(probe(90.0)));
        assert_eq!(journal.find("z"), None, "the sum is another's");
        assert_eq!(journal.damaged(), 6);
        journal.add("b", &probe(80.0)).expect("kept");
        let again = Journal::open(&path).expect("opened");
        assert_eq!(again.find("b"), Some(probe(80.0)), "the torn line was ended");
    }

    #[test]
    fn a_cut_at_any_byte_loses_at_most_the_last_line() {
        let (_folder, path) = path();
        let journal = Journal::open(&path).expect("opened");
        journal.add("a", &probe(90.0)).expect("kept");
        let first = std::fs::metadata(&path).expect("there").len() as usize;
        journal.add("b", &probe(80.0)).expect("kept");
        let bytes = std::fs::read(&path).expect("written");
        for length in (first..bytes.len()).step_by(7) {
            std::fs::write(&path, &bytes[..length]).expect("written");
            let journal = Journal::open(&path).expect("opened");
            assert_eq!(journal.find("a"), Some(probe(90.0)), "cut at {length}");
        }
    }

    #[test]
    fn a_device_and_a_full_disk_are_errors_that_say_so() {
        let failure = Journal::open(Path::new("/dev/zero")).expect_err("no file").to_failure();
        assert!(failure.message.contains("/dev/zero"), "{failure}");
        let source = io::ErrorKind::StorageFull.into();
        let full = TuneError::Journal { path: "/x".to_owned(), source }.to_failure();
        assert_eq!(full.kind, types::FailureKind::DiskFull);
    }
}
