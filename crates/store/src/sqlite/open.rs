//! Opening: the lock, the settings that durability rests on, and the proof that they took effect.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use control::{StoreError, StoreErrorKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::checkpoint::Checkpointer;
use super::error::{failed, io};
use super::{SqliteConfig, SqliteReader, SqliteStore, disk, schema};

/// The first version without the defect that could damage a database when its log was reset while
/// another connection read it.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// The writer's page cache. Negative counts KiB.
const WRITER_CACHE_KIB: i64 = -16 * 1_024;
const READER_CACHE_KIB: i64 = -4 * 1_024;
/// Distinct statements of one connection.
const STATEMENTS_MAX: usize = 64;
/// How long a connection waits for a lock that another program, such as a backup, holds.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);

pub(super) fn open(config: SqliteConfig) -> Result<SqliteStore, StoreError> {
    let version = rusqlite::version_number();
    if version < SQLITE_VERSION_MIN {
        let text = format!("SQLite {} is too old; 3.51.3 is needed", rusqlite::version());
        return Err(StoreError::new(StoreErrorKind::Version, "open the queue", text));
    }
    let lock = take_lock(&config.path)?;
    let disk = disk::probe(&config.path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(&config.path, flags).map_err(failed("open the queue"))?;
    set_up(&connection)?;
    schema::migrate(&mut connection)?;
    if let Some(bytes) = config.bytes_max {
        bound_size(&connection, bytes)?;
    }
    disk::lay_out_log(&config.path, config.wal_prewarm_bytes)?;
    let checkpointer = Checkpointer::start(&config.path, &mut connection)?;
    let writer = SqliteReader::new(connection, None)?;
    Ok(SqliteStore { writer, config, disk, checkpointer, _lock: lock })
}

/// A lock of the operating system, gone with the process however it ends.
fn take_lock(path: &Path) -> Result<File, StoreError> {
    const WHAT: &str = "lock the queue";
    let name = disk::beside(path, ".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(io(WHAT))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text = format!("another controller has {} open", path.display());
            Err(StoreError::new(StoreErrorKind::Locked, WHAT, text))
        }
        Err(TryLockError::Error(error)) => Err(io(WHAT)(error)),
    }
}

/// What every connection needs.
fn prepare(connection: &Connection, operation: &'static str) -> Result<(), StoreError> {
    connection.busy_timeout(LOCK_WAIT_MAX).map_err(failed(operation))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Plans that hold whatever is bound: without this each statement is compiled anew whenever a
    // bound value might have made another plan better.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
        .map_err(failed(operation))
}

fn set_up(connection: &Connection) -> Result<(), StoreError> {
    const WHAT: &str = "set up the queue's file";
    prepare(connection, WHAT)?;
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, name, value).map_err(failed(WHAT))
    };
    let mode: String = connection
        .query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))
        .map_err(failed(WHAT))?;
    set("synchronous", &"FULL")?;
    set("cache_size", &WRITER_CACHE_KIB)?;
    set("temp_store", &"MEMORY")?;
    set("mmap_size", &0)?;
    let synchronous: i64 =
        connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).map_err(failed(WHAT))?;
    if mode != "wal" || synchronous != 2 {
        let text = format!(
            "durable commits are not to be had here: journal mode {mode}, synchronous \
             {synchronous}; put the file on a local disk"
        );
        return Err(StoreError::new(StoreErrorKind::Io, WHAT, text));
    }
    Ok(())
}

fn bound_size(connection: &Connection, bytes: u64) -> Result<(), StoreError> {
    const WHAT: &str = "bound the queue's size";
    let page_bytes: u64 =
        connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(failed(WHAT))?;
    let pages = (bytes / page_bytes.max(1)).clamp(1, u64::from(u32::MAX) - 2);
    connection.pragma_update(None, "max_page_count", pages).map_err(failed(WHAT))
}

pub(super) fn open_reader(path: &Path, time_limit: Duration) -> Result<SqliteReader, StoreError> {
    const WHAT: &str = "open the queue for reading";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed(WHAT))?;
    prepare(&connection, WHAT)?;
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, name, value).map_err(failed(WHAT))
    };
    set("query_only", &true)?;
    set("cache_size", &READER_CACHE_KIB)?;
    set("temp_store", &"MEMORY")?;
    SqliteReader::new(connection, Some(time_limit))
}
