//! The embedded store: one file, one writer, every commit on disk before it is answered.
//!
//! Each part is in exactly one of the tables `ready`, `lease` and `done`; no table has a state
//! column that every transition would rewrite. `job`, `part`, `attempt`, `result` and `frames` are
//! only ever added to.

mod checkpoint;
mod disk;
mod error;
mod load;
mod open;
mod read;
mod schema;
mod write;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use control::{Read, Store, StoreError, Stored, Transition, Verdict};
use types::Timestamp;

use checkpoint::Checkpointer;
pub use disk::DiskTimes;
pub use read::SqliteReader;

/// How the file is opened.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The database file. `-wal`, `-shm` and `.lock` stand beside it.
    pub path: PathBuf,
    /// How much write-ahead log is laid out at start, so that commits overwrite instead of append.
    pub wal_prewarm_bytes: u64,
    /// How large the file may grow; `None` leaves it to the disk. What does not fit is refused like
    /// on a full disk.
    pub bytes_max: Option<u64>,
}

impl SqliteConfig {
    /// The defaults, on the given file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), wal_prewarm_bytes: 32 << 20, bytes_max: None }
    }
}

/// The one write connection, and the lock that keeps it the only one.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqliteReader,
    config: SqliteConfig,
    disk: DiskTimes,
    checkpointer: Checkpointer,
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// When another controller has it open, when it is damaged or written by a newer version, when
    /// SQLite is too old to be trusted with a write-ahead log, or when durable commits are not to
    /// be had.
    pub fn open(config: SqliteConfig) -> Result<Self, StoreError> {
        open::open(config)
    }

    /// Opens a read-only connection whose questions take at most `time_limit` each.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open_reader(&self, time_limit: Duration) -> Result<SqliteReader, StoreError> {
        open::open_reader(&self.config.path, time_limit)
    }

    /// How fast the disk made 4 KiB durable when the store was opened.
    #[must_use]
    pub fn disk_times(&self) -> DiskTimes {
        self.disk
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.checkpointer.stop(&mut self.writer.connection);
    }
}

impl Store for SqliteStore {
    fn load(&mut self, now: Timestamp, each: &mut dyn FnMut(Stored<'_>)) -> Result<(), StoreError> {
        write::forget_expired_keys(&self.writer.connection, now)?;
        load::load(&self.writer.connection, each)
    }

    fn commit(&mut self, transitions: &[Transition]) -> Result<Vec<Verdict>, StoreError> {
        write::commit(&mut self.writer.connection, transitions)
    }

    fn reader(&mut self) -> &mut dyn Read {
        &mut self.writer
    }
}
