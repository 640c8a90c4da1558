//! Which commit made something durable.

use control::StoreError;
use rusqlite::params;
use types::{Commit, CommitNote, Timestamp};

use super::SqliteReader;

impl SqliteReader {
    /// The commit of what was decided `at`; `None` where that is not known: it is of an older
    /// program, or was the last of a run that was killed, or nothing has been committed since.
    pub(super) fn commit_of(&self, at: Timestamp) -> Result<Option<Commit>, StoreError> {
        let sql = "SELECT start_us, waited_us, took_us, writes FROM commit_note
                   WHERE start_us >= ?1 ORDER BY start_us LIMIT 1";
        let first = self.first(sql, params![at.unix_micros()], |row| {
            let (start_us, waited_us) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
            let end_us = start_us.saturating_add(row.get(2)?);
            let commit = Commit {
                start: Timestamp::from_unix_micros(start_us),
                end: Timestamp::from_unix_micros(end_us),
                writes: row.get(3)?,
            };
            let since = Timestamp::from_unix_micros(start_us.saturating_sub(waited_us));
            Ok(CommitNote { since, commit })
        })?;
        Ok(first.filter(|note| note.holds(at)).map(|note| note.commit))
    }
}
