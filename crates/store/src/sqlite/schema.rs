//! The tables, and how an older file is brought up to date.

use control::{StoreError, StoreErrorKind};
use rusqlite::Connection;
use types::{AttemptOutcome, ExportReason, State};

use super::error::failed;

/// What leads from one version of the tables to the next, from an empty file on. A step that was
/// delivered is never changed: files were written by it.
const STEPS: [&str; 5] = [TABLES, TRACES, TOLD, CALLS, SESSIONS];

/// The version of the tables. A file of a newer version is refused.
#[expect(clippy::cast_possible_wrap, reason = "a handful of steps")]
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Version 5: sessions that are over, by the newest part of that moment: no later part was ever leased to
/// them, so that they go with the jobs of their time. Those that another of their node has replaced are over.
const SESSIONS: &str = "
ALTER TABLE session ADD COLUMN last_part INTEGER;
UPDATE session SET last_part = (SELECT coalesce(max(id), 0) FROM part)
  WHERE id NOT IN (SELECT max(id) FROM session GROUP BY node)
    AND id NOT IN (SELECT session FROM lease);
CREATE INDEX session_over ON session(last_part) WHERE last_part IS NOT NULL;
";

/// Version 4: the calls that submitted a job and reported an attempt's end, and how the commits
/// went. A commit's row is written with the next one. It holds all that was decided in the
/// `waited_us` before `start_us`, and is found by that: no other row names it.
const CALLS: &str = "
ALTER TABLE job ADD COLUMN call BLOB;
ALTER TABLE attempt ADD COLUMN report BLOB;
CREATE TABLE commit_note(
  start_us INTEGER PRIMARY KEY,
  waited_us INTEGER NOT NULL,
  took_us INTEGER NOT NULL,
  writes INTEGER NOT NULL
);
";

/// Version 3: until when the spans of recorded jobs are known to have arrived, in one row; and the
/// way from a job that is forgotten to its key.
const TOLD: &str = "
CREATE INDEX idem_job ON idem(job_id);
CREATE TABLE traces_told(
  id INTEGER PRIMARY KEY,
  until_us INTEGER NOT NULL
);
";

/// Version 2: what it takes to tell a job's trace once more. `trace_id` is the trace of an attempt
/// that has one of its own. `earlier_end` keeps when and why a part had failed that was then
/// retried by hand. `trace_due` names jobs that have ended and whose trace is still to be exported.
const TRACES: &str = "
ALTER TABLE lease ADD COLUMN trace_id BLOB;
ALTER TABLE attempt ADD COLUMN trace_id BLOB;
CREATE TABLE earlier_end(
  part_id INTEGER NOT NULL,
  retried_us INTEGER NOT NULL,
  failed_us INTEGER NOT NULL,
  failure TEXT,
  PRIMARY KEY(part_id, retried_us)
) WITHOUT ROWID;
CREATE TABLE trace_due(
  job_id INTEGER PRIMARY KEY,
  reason INTEGER NOT NULL,
  due_us INTEGER NOT NULL
);
";

/// Version 1. A job's row is found by its first part's id; its parts' ids follow without a gap.
const TABLES: &str = "
CREATE TABLE job(
  id INTEGER PRIMARY KEY,
  uid BLOB NOT NULL UNIQUE,
  part_count INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  priority INTEGER NOT NULL,
  needs TEXT NOT NULL,
  errors_max INTEGER NOT NULL,
  submitted_us INTEGER NOT NULL,
  spec BLOB NOT NULL,
  trace BLOB NOT NULL,
  tracestate TEXT NOT NULL,
  root_span BLOB NOT NULL
);
CREATE TABLE part(
  id INTEGER PRIMARY KEY,
  job_id INTEGER NOT NULL,
  part_index INTEGER NOT NULL,
  first_frame_index INTEGER,
  frame_count INTEGER
);
CREATE TABLE ready(
  part_id INTEGER PRIMARY KEY,
  part_index INTEGER NOT NULL,
  part_count INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  priority INTEGER NOT NULL,
  needs TEXT NOT NULL,
  available_us INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  crashes INTEGER NOT NULL,
  errors_max INTEGER NOT NULL
);
CREATE TABLE lease(
  part_id INTEGER PRIMARY KEY,
  fence INTEGER NOT NULL,
  session INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  span BLOB NOT NULL,
  available_us INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  crashes INTEGER NOT NULL
);
CREATE TABLE done(
  part_id INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  ended_us INTEGER NOT NULL,
  score REAL,
  failure TEXT
);
CREATE INDEX done_without_result ON done(state, part_id) WHERE state <> 2;
CREATE TABLE attempt(
  part_id INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  session INTEGER NOT NULL,
  span BLOB NOT NULL,
  available_us INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  failure TEXT,
  timings TEXT,
  settle_us INTEGER,
  digest BLOB,
  PRIMARY KEY(part_id, fence)
) WITHOUT ROWID;
CREATE TABLE result(
  part_id INTEGER PRIMARY KEY,
  fence INTEGER NOT NULL,
  digest BLOB NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE frames(
  id INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
CREATE TABLE idem(
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  body_digest BLOB NOT NULL,
  expires_us INTEGER NOT NULL,
  PRIMARY KEY(tenant, key)
) WITHOUT ROWID;
CREATE INDEX idem_expiry ON idem(expires_us);
CREATE TABLE session(
  id INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  incarnation INTEGER NOT NULL,
  capabilities TEXT NOT NULL,
  registered_us INTEGER NOT NULL,
  draining INTEGER NOT NULL
);
";

/// Where one distorted video's frame table is kept.
pub(super) fn frames_id(part: u64, distorted_index: usize) -> Option<i64> {
    const _: () = assert!(types::JobSpec::DISTORTED_MAX <= 1 << DISTORTED_BITS);
    const DISTORTED_BITS: u32 = 6;
    let index = u64::try_from(distorted_index).ok().filter(|i| *i < 1 << DISTORTED_BITS)?;
    i64::try_from(part.checked_mul(1 << DISTORTED_BITS)? | index).ok()
}

pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    const WHAT: &str = "set up the tables";
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed("read the version of the tables"))?;
    match usize::try_from(version) {
        Ok(known) if known <= STEPS.len() => {
            let missing = &STEPS[known..];
            if missing.is_empty() {
                return Ok(());
            }
            let transaction = connection.transaction().map_err(failed(WHAT))?;
            for step in missing {
                transaction.execute_batch(step).map_err(failed(WHAT))?;
            }
            transaction.pragma_update(None, "user_version", VERSION).map_err(failed(WHAT))?;
            transaction.commit().map_err(failed(WHAT))
        }
        _ => Err(StoreError::new(
            StoreErrorKind::Version,
            "read the version of the tables",
            format!(
                "the file has version {version}, this program knows up to {VERSION}; upgrade it"
            ),
        )),
    }
}

/// States as numbers. Part of the file's format: never renumber.
pub(super) const fn state_number(state: State) -> i64 {
    match state {
        State::Queued => 0,
        State::Running => 1,
        State::Succeeded => 2,
        State::Failed => 3,
        State::Cancelled => 4,
    }
}

pub(super) fn state_of(number: i64) -> Option<State> {
    State::ALL.into_iter().find(|state| state_number(*state) == number)
}

/// Outcomes as numbers. Part of the file's format: never renumber.
pub(super) const fn outcome_number(outcome: AttemptOutcome) -> i64 {
    match outcome {
        AttemptOutcome::Succeeded => 0,
        AttemptOutcome::Failed => 1,
        AttemptOutcome::Lost => 2,
        AttemptOutcome::Released => 3,
        AttemptOutcome::Cancelled => 4,
    }
}

pub(super) fn outcome_of(number: i64) -> Option<AttemptOutcome> {
    AttemptOutcome::ALL.into_iter().find(|outcome| outcome_number(*outcome) == number)
}

/// Reasons as numbers. Part of the file's format: never renumber.
pub(super) const fn reason_number(reason: ExportReason) -> i64 {
    match reason {
        ExportReason::Failed => 1,
        ExportReason::Slow => 2,
        ExportReason::Asked => 3,
    }
}

pub(super) fn reason_of(number: i64) -> Option<ExportReason> {
    ExportReason::ALL.into_iter().find(|reason| reason_number(*reason) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number")
    }

    #[test]
    fn a_file_of_every_older_version_is_brought_up_to_date_and_keeps_what_it_holds() {
        for (known, _) in STEPS.iter().enumerate().skip(1) {
            let mut connection = Connection::open_in_memory().expect("memory");
            for step in &STEPS[..known] {
                connection.execute_batch(step).expect("a step");
            }
            connection.pragma_update(None, "user_version", known).expect("set");
            let sql = "INSERT INTO lease(part_id, fence, session, attempt, span, available_us,
                                         started_us, errors, crashes)
                       VALUES(7, 1, 1, 1, x'0102030405060708', 1, 2, 0, 0)";
            connection.execute(sql, []).expect("a lease of an older program");
            migrate(&mut connection).expect("brought up to date");
            assert_eq!(version(&connection), VERSION);
            let kept: (u64, Option<Vec<u8>>) = connection
                .query_row("SELECT part_id, trace_id FROM lease", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .expect("kept");
            assert_eq!(kept, (7, None));
            migrate(&mut connection).expect("nothing left to do");
        }
    }
}
