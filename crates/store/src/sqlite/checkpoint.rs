//! Writing the log back into the file beside the writer, so that commits go on meanwhile.
//!
//! A thread of its own writes back what the log holds and brings it to the disk, which takes long;
//! what came since then the writer writes back itself, which is little, and with that the log begins
//! anew. Nothing here is needed for durability: a commit is durable in the log.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use control::StoreError;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, OpenFlags};

use super::error::{failed, io};

/// Pages of log after which it is written back: 24 MB.
const LOG_PAGES: u32 = 6_000;
/// Pages of log from which on the writer tries to do all of it itself after every commit: a long read
/// kept the log, or the thread cannot. It does not get the chance while the thread is at it.
const LOG_PAGES_MAX: u32 = 6 * LOG_PAGES;
/// While a read keeps the log from beginning anew, it is written back again after so many pages.
const LOG_PAGES_MORE: u32 = LOG_PAGES / 4;

const WHAT: &str = "write the log back";

/// The thread. Ends when dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread and takes the place of SQLite's own write-back in the writer's commits.
    pub(super) fn start(path: &Path, writer: &mut Connection) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed(WHAT))?;
        // As durable as the writer's own: the log is on disk before the file is written.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed(WHAT))?;
        let file = File::open(path).map_err(io(WHAT))?;
        let (wake, woken) = sync_channel(1);
        let written_back = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&written_back);
        let thread = std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(move || run(&connection, file, &woken, &done))
            .map_err(io(WHAT))?;
        let mut log = Log { wake: wake.clone(), written_back, due_at: LOG_PAGES };
        let hook = move |wal: &mut Wal, pages: i32| {
            log.grown(wal, u32::try_from(pages).unwrap_or(0));
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(failed(WHAT))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Ends the thread. The hook must be gone: it holds the other end.
    pub(super) fn stop(&mut self, writer: &mut Connection) {
        self.wake = None;
        let _ = writer.wal_hook(None::<fn(&mut Wal, i32) -> rusqlite::Result<()>>);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, file: File, woken: &Receiver<()>, done: &AtomicBool) {
    let mut complained = false;
    while woken.recv().is_ok() {
        match write_back(connection, &file) {
            Ok(is_near_the_end) => {
                done.store(is_near_the_end, Ordering::Release);
                complained = false;
            }
            Err(error) if complained => {
                tracing::debug!(%error, "the store's log could not be written back");
            }
            Err(error) => {
                tracing::warn!(%error, "the store's log could not be written back");
                complained = true;
            }
        }
    }
    // Closing any handle of a file takes all locks that the process has on it, SQLite's included,
    // and readers may outlive the writer. So this one stays open as long as the process.
    std::mem::forget(file);
}

/// Writes back what the log holds and brings it to the disk; whether only a little is left. SQLite
/// itself would leave the second to whoever reaches the log's end, which is the writer.
fn write_back(connection: &Connection, file: &File) -> Result<bool, StoreError> {
    // Refused at worst, when another program does the same: the writer asks again.
    let (refused, log, written) = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })
        .map_err(failed(WHAT))?;
    file.sync_data().map_err(io(WHAT))?;
    // A reader may have kept the rest from being written back.
    Ok(!refused && log - written <= i64::from(LOG_PAGES_MORE))
}

/// The log as the writer sees it after each commit.
struct Log {
    wake: SyncSender<()>,
    /// The thread has written back what there was.
    written_back: Arc<AtomicBool>,
    /// The pages at which the log is to be written back next.
    due_at: u32,
}

impl Log {
    fn grown(&mut self, wal: &mut Wal, pages: u32) {
        if pages < LOG_PAGES {
            self.due_at = LOG_PAGES;
            // Said of the log before this one.
            self.written_back.store(false, Ordering::Relaxed);
        } else if self.written_back.swap(false, Ordering::Acquire) || pages >= LOG_PAGES_MAX {
            // What fails here is tried again; a disk that takes no more fails commits, too.
            let _ = wal.checkpoint();
            self.due_at = pages + LOG_PAGES_MORE;
        } else if pages >= self.due_at {
            self.due_at = pages + LOG_PAGES_MORE;
            let _ = self.wake.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Enough for a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Pages of the log that one commit of the test takes.
    const COMMIT_PAGES: u64 = 25;

    fn log_pages(path: &Path) -> u64 {
        let log = super::super::disk::beside(path, "-wal");
        std::fs::metadata(log).map_or(0, |file| file.len()) / 4_096
    }

    #[test]
    fn the_log_begins_anew_while_commits_go_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("store.db");
        let mut writer = Connection::open(&path).expect("opened");
        let mode = writer.query_row("PRAGMA journal_mode=WAL", [], |row| row.get::<_, String>(0));
        assert_eq!(mode.as_deref(), Ok("wal"));
        writer.execute_batch("CREATE TABLE t(body BLOB)").expect("a table");
        let mut checkpointer = Checkpointer::start(&path, &mut writer).expect("started");
        let began = Instant::now();
        let (mut commits, mut largest) = (0, 0);
        // Small ones, as the queue makes: many times what the log holds before it is written back.
        let all = u64::from(LOG_PAGES_MAX);
        while commits * COMMIT_PAGES < all {
            writer.execute("INSERT INTO t VALUES(zeroblob(100000))", []).expect("room");
            commits += 1;
            largest = largest.max(log_pages(&path));
            assert!(began.elapsed() < PATIENCE, "{commits} commits in {PATIENCE:?}");
        }
        assert!(largest < all * 3 / 4, "the log had {largest} pages");
        checkpointer.stop(&mut writer);
        let count = writer.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u64>(0));
        assert_eq!(count, Ok(commits));
    }
}
