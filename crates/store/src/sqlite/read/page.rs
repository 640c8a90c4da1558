//! Lists of jobs, newest first.
//!
//! Candidates come from where the filter's states are kept: the live tables when only live jobs
//! are wanted, the index of parts without a result when only failed or cancelled ones are, all
//! jobs otherwise. Each candidate is then looked at in full, so that the filter has the last word.

use control::StoreError;
use rusqlite::params;
use types::{JobFilter, JobId, JobPage, State};

use super::SqliteReader;
use crate::sqlite::schema::state_number;

/// Candidates looked up at a time.
const CHUNK: usize = 256;
/// Candidates looked at for one page. A filter that takes few of many jobs gives short pages rather
/// than one that holds its reader for seconds: the next goes on from there.
pub(in crate::sqlite) const LOOKED_AT_MAX: usize = 4_096;

/// Where candidates are found, each newest first. `?1` is the bound, which they stay below.
fn sources(states: &[State]) -> Vec<String> {
    let only = |allowed: &[State]| {
        !states.is_empty() && states.iter().all(|state| allowed.contains(state))
    };
    let live = |table: &str| {
        format!(
            "SELECT DISTINCT p.job_id FROM {table} t JOIN part p ON p.id = t.part_id
             WHERE t.part_id < ?1 AND p.job_id < ?1 ORDER BY t.part_id DESC LIMIT ?2"
        )
    };
    let done = |state: State| {
        // A job of several parts may have ended in one state and hold parts of others, so each of
        // its parts makes it a candidate.
        format!(
            "SELECT DISTINCT p.job_id FROM done d JOIN part p ON p.id = d.part_id
             WHERE d.state = {} AND d.state <> 2 AND d.part_id < ?1 AND p.job_id < ?1
             ORDER BY d.part_id DESC LIMIT ?2",
            state_number(state)
        )
    };
    if only(&[State::Queued, State::Running]) {
        // A job with a finished and a waiting part counts as running.
        vec![live("lease"), live("ready")]
    } else if only(&[State::Failed, State::Cancelled]) {
        vec![done(State::Failed), done(State::Cancelled)]
    } else {
        vec!["SELECT id FROM job WHERE id < ?1 ORDER BY id DESC LIMIT ?2".to_owned()]
    }
}

impl SqliteReader {
    pub(super) fn page_of(
        &self,
        filter: &JobFilter,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<JobPage, StoreError> {
        let mut below = match after {
            None => i64::MAX,
            Some(after) => {
                let sql = "SELECT id FROM job WHERE uid >= ?1 ORDER BY uid LIMIT 1";
                let found = self.first(sql, params![after.to_bytes()], |row| row.get(0))?;
                found.unwrap_or(i64::MAX)
            }
        };
        let sources = sources(&filter.states);
        let mut page = JobPage { jobs: Vec::new(), next: None };
        let (mut looked_at, mut last_seen) = (0, None);
        loop {
            let candidates = self.candidates(&sources, below)?;
            let Some(last) = candidates.last() else { return Ok(page) };
            below = *last;
            for candidate in candidates {
                let Some(row) = self.job_row_at(candidate.cast_unsigned())? else { continue };
                if looked_at == LOOKED_AT_MAX {
                    page.next = last_seen;
                    return Ok(page);
                }
                looked_at += 1;
                last_seen = Some(row.uid);
                let summary = self.summarise(row)?;
                if !filter.takes(&summary) {
                    continue;
                }
                if page.jobs.len() == limit {
                    page.next = page.jobs.last().map(|job| job.id);
                    return Ok(page);
                }
                page.jobs.push(summary);
            }
        }
    }

    /// The next candidates of all sources, newest first, each once.
    fn candidates(&self, sources: &[String], below: i64) -> Result<Vec<i64>, StoreError> {
        let mut found: Vec<i64> = Vec::new();
        let mut complete_down_to = i64::MIN;
        for sql in sources {
            let some = self.all(sql, params![below, CHUNK], |row| row.get(0))?;
            if some.len() == CHUNK {
                // Below this source's last row there may be more of it.
                complete_down_to = complete_down_to.max(some.last().copied().unwrap_or(i64::MIN));
            }
            found.extend(some);
        }
        found.retain(|job| *job >= complete_down_to);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        Ok(found)
    }
}
