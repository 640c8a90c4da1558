//! Which jobs need not be kept.

use control::{Forgettable, Keep, StoreError};
use rusqlite::params;
use types::{PartId, Timestamp};

use super::SqliteReader;

/// One of the oldest jobs.
struct Old {
    id: u64,
    submitted_at: Timestamp,
    /// When the last of its parts ended; `None` while one has not.
    ended_at: Option<Timestamp>,
    is_due: bool,
}

pub(super) fn forgettable(
    reader: &SqliteReader,
    keep: &Keep,
    after: PartId,
    limit: usize,
) -> Result<Forgettable, StoreError> {
    // The newest job that is too many.
    let surplus: Option<u64> = match keep.newest {
        Some(newest) => {
            let sql = "SELECT id FROM job ORDER BY id DESC LIMIT 1 OFFSET ?1";
            reader.first(sql, params![newest], |row| row.get(0))?
        }
        None => None,
    };
    let is_surplus = |id| surplus.is_some_and(|surplus| id <= surplus);
    let is_before = |at| keep.ended_since.is_some_and(|since| at < since);
    let mut found = Forgettable::default();
    let oldest = oldest(reader, after, limit)?;
    if oldest.len() == limit {
        found.next = oldest.last().map(|old| PartId(old.id));
    }
    for old in oldest {
        if !is_surplus(old.id) && !is_before(old.submitted_at) {
            // Whatever was submitted later has ended later.
            found.next = None;
            break;
        }
        let is_old = |ended_at| is_surplus(old.id) || is_before(ended_at);
        if !old.is_due && old.ended_at.is_some_and(is_old) {
            found.jobs.push(PartId(old.id));
        }
    }
    Ok(found)
}

fn oldest(reader: &SqliteReader, after: PartId, limit: usize) -> Result<Vec<Old>, StoreError> {
    let sql = "SELECT j.id, j.submitted_us, j.part_count, count(d.part_id), max(d.ended_us),
                      EXISTS(SELECT 1 FROM trace_due t WHERE t.job_id = j.id)
               FROM job j
               LEFT JOIN done d ON d.part_id >= j.id AND d.part_id < j.id + j.part_count
               WHERE j.id > ?1 AND j.id < (SELECT max(id) FROM job)
               GROUP BY j.id ORDER BY j.id LIMIT ?2";
    reader.all(sql, params![after.0, limit], |row| {
        let (parts, ended): (u64, u64) = (row.get(2)?, row.get(3)?);
        let ended_us: Option<i64> = row.get(4)?;
        Ok(Old {
            id: row.get(0)?,
            submitted_at: Timestamp::from_unix_micros(row.get(1)?),
            ended_at: ended_us.filter(|_| parts == ended).map(Timestamp::from_unix_micros),
            is_due: row.get(5)?,
        })
    })
}
