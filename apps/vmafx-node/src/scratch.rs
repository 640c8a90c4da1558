//! Where encodes lie while they are scored: a folder an attempt, bounded, gone with the attempt.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use media::{EncodeProgress, Stop};
use scoring::{Progress, RunConfig, Trial, TrialProgress, try_out};
use types::{EncodeRequest, Failure, FailureKind, JobSpec, ScoreReport};

use crate::config::Config;

/// What the folders' names begin with: nothing else in the folder is ever touched.
const PREFIX: &str = "vmafx-encode-";

/// A folder for encodes.
#[derive(Debug, Clone)]
pub(crate) struct Scratch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// Bytes of one file.
    bytes_max: u64,
    /// Tells this node's from those of others in the same place.
    owner: String,
    next: AtomicU64,
}

/// A folder that is removed, with all that an encoder put there, when its attempt lets go of it.
struct Held(PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    /// The place as configured. Folders that a process of the same node left when it was killed are
    /// removed.
    pub(crate) fn new(config: &Config) -> Self {
        let dir = config.scratch_dir.clone().unwrap_or_else(std::env::temp_dir);
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let owner: String = config.node_id.as_str().chars().map(safe).collect();
        let bytes_max = (config.scratch_bytes_max / u64::from(config.slots.get())).max(1);
        remove_leftovers(&dir, &format!("{PREFIX}{owner}."));
        Self(Arc::new(Inner { dir, bytes_max, owner, next: AtomicU64::new(0) }))
    }

    /// A name nobody else has.
    fn hold(&self) -> Held {
        let Inner { dir, owner, next, .. } = &*self.0;
        let (pid, number) = (std::process::id(), next.fetch_add(1, Ordering::Relaxed));
        Held(dir.join(format!("{PREFIX}{owner}.{pid}-{number}")))
    }

    /// Encodes the job's range, scores it, and removes the folder.
    pub(crate) fn try_out(
        &self,
        spec: &JobSpec,
        request: &EncodeRequest,
        run: &RunConfig,
        stop: &Stop,
        progress: Progress,
    ) -> Result<ScoreReport, Failure> {
        let held = self.hold();
        std::fs::create_dir_all(&held.0).map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureKind::DiskFull,
                _ => FailureKind::Io,
            };
            let dir = held.0.display();
            Failure::new(kind, format!("the scratch folder {dir} cannot be made: {error}"))
        })?;
        let file = held.0.join("encode.mkv");
        let bytes_max = Some(self.0.bytes_max);
        let trial = Trial { spec, request, output: &file, bytes_max };
        let progress = TrialProgress { encode: EncodeProgress::default(), score: progress };
        try_out(&trial, run, stop, &progress).map_err(|error| error.to_failure())
    }
}

fn remove_leftovers(dir: &Path, prefix: &str) {
    let own = format!("{prefix}{}-", std::process::id());
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A node in the same process may have folders there that are in use.
        if name.starts_with(prefix) && !name.starts_with(&own) {
            // Somebody else may be faster.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use types::NodeId;

    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_nothing_else_does() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let others = ["vmafx-encode-other.1-0", "films"].map(path);
        let left = path("vmafx-encode-n_1.1-0");
        for dir in others.iter().chain([&left]) {
            std::fs::create_dir(dir).expect("made");
        }
        let config = Config {
            scratch_dir: Some(folder.path().to_owned()),
            scratch_bytes_max: 1_000,
            slots: NonZeroU32::new(4).expect("not zero"),
            ..Config::new("http://127.0.0.1:1", NodeId::new("n.1").expect("a name"))
        };
        let scratch = Scratch::new(&config);
        assert!(!left.exists() && others.iter().all(|dir| dir.exists()));
        assert_eq!(scratch.0.bytes_max, 250, "shared out over the slots");
        let (one, two) = (scratch.hold(), scratch.hold());
        assert_ne!(one.0, two.0);
        std::fs::create_dir(&one.0).expect("made");
        std::fs::write(one.0.join("anything"), b"x").expect("written");
        // Another node of the same name in this process leaves it alone.
        let _ = Scratch::new(&config);
        assert!(one.0.exists());
        let kept = one.0.clone();
        drop(one);
        assert!(!kept.exists());
    }
}
