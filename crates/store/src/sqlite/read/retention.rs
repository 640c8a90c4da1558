//! Which jobs need not be kept.

use control::{Forgettable, Keep, StoreError};
use rusqlite::params;
use types::{PartId, Timestamp};

use super::SqliteReader;
use crate::sqlite::schema::frames_id;

/// One of the oldest jobs.
struct Old {
    id: u64,
    submitted_at: Timestamp,
    /// When the last of its parts ended; `None` while one has not.
    ended_at: Option<Timestamp>,
    is_due: bool,
    is_recorded: bool,
    end: u64,
}

/// Bytes of results that are removed together: SQLite reads nearly all of a large row to free it, and
/// whoever submits or reports waits meanwhile. One job goes, however large it is.
const BYTES_AT_ONCE: u64 = 4 << 20;

pub(super) fn forgettable(
    reader: &SqliteReader,
    keep: &Keep,
    after: PartId,
    limit: usize,
) -> Result<Forgettable, StoreError> {
    let is_surplus = |id| keep.after.is_some_and(|last| id <= last.0);
    let is_before = |at| keep.ended_since.is_some_and(|since| at < since);
    let mut found = Forgettable::default();
    let oldest = oldest(reader, after, limit)?;
    if oldest.len() == limit {
        found.next = oldest.last().map(|old| PartId(old.id));
    }
    let (mut bytes, mut last_seen) = (0, None);
    for old in oldest {
        if !is_surplus(old.id) && !is_before(old.submitted_at) {
            // Whatever was submitted later has ended later.
            found.next = None;
            break;
        }
        let may_be_on_its_way = |ended_at| {
            old.is_recorded && keep.recorded_since.is_some_and(|since| ended_at >= since)
        };
        let may_go =
            |ended_at| (is_surplus(old.id) || is_before(ended_at)) && !may_be_on_its_way(ended_at);
        if !old.is_due && old.ended_at.is_some_and(may_go) {
            bytes += bytes_of(reader, old.id..old.end)?;
            if bytes > BYTES_AT_ONCE && !found.jobs.is_empty() {
                found.next = last_seen;
                break;
            }
            found.jobs.push(PartId(old.id));
        }
        last_seen = Some(PartId(old.id));
    }
    Ok(found)
}

/// The stored results of a job's parts.
fn bytes_of(reader: &SqliteReader, parts: std::ops::Range<u64>) -> Result<u64, StoreError> {
    let (first, end) = (frames_id(parts.start, 0), frames_id(parts.end, 0));
    // A blob's length stands in its row's head.
    let sql = "SELECT total(length(body)) FROM frames WHERE id >= ?1 AND id < ?2";
    let bytes: Option<f64> = reader.first(sql, params![first, end], |row| row.get(0))?;
    Ok(bytes.unwrap_or(0.0) as u64)
}

fn oldest(reader: &SqliteReader, after: PartId, limit: usize) -> Result<Vec<Old>, StoreError> {
    let sql = "SELECT j.id, j.submitted_us, j.part_count, count(d.part_id), max(d.ended_us),
                      EXISTS(SELECT 1 FROM trace_due t WHERE t.job_id = j.id), j.trace
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
            // The last byte of a trace holds the flags.
            is_recorded: row
                .get_ref(6)?
                .as_blob()?
                .last()
                .is_some_and(|flags| types::TraceFlags(*flags).is_sampled()),
            end: row.get::<_, u64>(0)? + parts,
        })
    })
}
