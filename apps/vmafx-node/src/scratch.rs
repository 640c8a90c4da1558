//! Where encodes lie while they are scored: one file an attempt, bounded, gone with the attempt.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use media::{EncodeProgress, Stop};
use scoring::{Progress, RunConfig, Trial, TrialProgress, try_out};
use types::{EncodeRequest, Failure, FailureKind, JobSpec, ScoreReport};

use crate::config::Config;

/// What the files' names begin with: nothing else in the folder is ever touched.
const PREFIX: &str = "vmafx-encode-";

/// A folder for encodes.
#[derive(Debug, Clone)]
pub(crate) struct Scratch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    /// Bytes of one file.
    bytes_max: u64,
    /// Tells this node's files from those of others in the same folder.
    owner: String,
    next: AtomicU64,
}

/// A file that is removed when its attempt lets go of it.
struct Held(PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Scratch {
    /// The folder as configured. Files that a process of the same node left when it was killed are
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
        Held(dir.join(format!("{PREFIX}{owner}.{pid}-{number}.mkv")))
    }

    /// Encodes the job's range, scores it, and removes the file.
    pub(crate) fn try_out(
        &self,
        spec: &JobSpec,
        request: &EncodeRequest,
        run: &RunConfig,
        stop: &Stop,
        progress: Progress,
    ) -> Result<ScoreReport, Failure> {
        std::fs::create_dir_all(&self.0.dir).map_err(|error| {
            let dir = self.0.dir.display();
            Failure::new(
                FailureKind::Io,
                format!("the scratch folder {dir} cannot be made: {error}"),
            )
        })?;
        let file = self.hold();
        let bytes_max = Some(self.0.bytes_max);
        let trial = Trial { spec, request, output: &file.0, bytes_max };
        let progress = TrialProgress { encode: EncodeProgress::default(), score: progress };
        try_out(&trial, run, stop, &progress).map_err(|error| error.to_failure())
    }
}

fn remove_leftovers(dir: &Path, prefix: &str) {
    let own = format!("{prefix}{}-", std::process::id());
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A node in the same process may have files there that are in use.
        if name.starts_with(prefix) && !name.starts_with(&own) {
            // Somebody else may be faster.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
