//! A job as its callers see it, put together from its parts.

use std::time::Duration;

use control::{PartSnapshot, StoreError, derive_failure, derive_state};
use rusqlite::{Row, params};
use types::{
    AttemptView, EarlierEnd, Fence, JobSummary, JobView, NodeId, PartId, ResultView, SpanId, State,
    Timestamp, TraceId,
};

use super::{JobRow, PartRow, SqliteReader, damaged};
use crate::codec;
use crate::sqlite::schema::outcome_of;

impl SqliteReader {
    pub(super) fn results_of(&self, part: u64) -> Result<Option<Vec<ResultView>>, StoreError> {
        let sql = "SELECT body FROM result WHERE part_id = ?1";
        let read = |row: &Row<'_>| Ok(codec::decode_results(row.get_ref(0)?.as_blob()?));
        self.first(sql, params![part], read)?.transpose()
    }

    pub(super) fn view(&self, row: JobRow) -> Result<JobView, StoreError> {
        let parts = self.part_rows(&row)?;
        let state = derive_state(parts.iter().map(|part| &part.snapshot));
        let attempts = self.attempts(&row)?;
        let earlier_ends = self.earlier_ends(&row)?;
        let results = match state {
            // A job of several parts shows its parts' results once they are merged; until then a
            // job is one part.
            State::Succeeded => self.results_of(row.first)?.unwrap_or_default(),
            _ => Vec::new(),
        };
        let failure = match state {
            State::Failed => derive_failure(parts.iter().map(|part| &part.snapshot)).cloned(),
            _ => None,
        };
        Ok(JobView {
            id: row.uid,
            state,
            spec: codec::decode_spec(&row.spec)?,
            submitted_at: row.submitted_at,
            started_at: attempts.first().map(|attempt| attempt.started_at),
            finished_at: finished_at(state, &parts),
            available_at: available_at(state, &parts),
            trace: row.trace,
            root_span_id: row.root_span_id,
            call: row.call,
            submitted_by: self.commit_of(row.submitted_at)?,
            attempts,
            earlier_ends,
            progress: None,
            results,
            failure,
            waiting_for: None,
            tenant: row.tenant,
        })
    }

    pub(super) fn summarise(&self, row: JobRow) -> Result<JobSummary, StoreError> {
        let parts = self.part_rows(&row)?;
        let state = derive_state(parts.iter().map(|part| &part.snapshot));
        let spec = codec::decode_spec(&row.spec)?;
        let failure = match state {
            State::Failed => derive_failure(parts.iter().map(|part| &part.snapshot)).cloned(),
            _ => None,
        };
        Ok(JobSummary {
            id: row.uid,
            tenant: row.tenant,
            state,
            labels: spec.labels,
            priority: row.priority,
            submitted_at: row.submitted_at,
            finished_at: finished_at(state, &parts),
            attempts: parts.iter().map(|part| part.attempt).sum(),
            score: (state == State::Succeeded).then(|| parts[0].score).flatten(),
            failure,
            trace: row.trace,
            progress: None,
        })
    }

    /// The failures that were followed by a retry by hand, oldest first.
    fn earlier_ends(&self, row: &JobRow) -> Result<Vec<EarlierEnd>, StoreError> {
        let (first, last) = (row.first, row.first + u64::from(row.part_count) - 1);
        let sql = "SELECT retried_us, failed_us, failure FROM earlier_end
                   WHERE part_id BETWEEN ?1 AND ?2 ORDER BY retried_us, part_id";
        let raw = self.all(sql, params![first, last], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<String>>(2)?))
        })?;
        // The parts of a job are retried together.
        let mut ends = Vec::new();
        for parts in raw.chunk_by(|a, b| a.0 == b.0) {
            let failed_us = parts.iter().map(|part| part.1).max().unwrap_or(parts[0].0);
            let snapshot = |part: &(i64, i64, Option<String>)| {
                let failure = part.2.as_deref().map(codec::from_json).transpose()?;
                Ok(PartSnapshot { state: State::Failed, failure })
            };
            let parts_then = parts.iter().map(snapshot).collect::<Result<Vec<_>, StoreError>>()?;
            ends.push(EarlierEnd {
                failed_at: Timestamp::from_unix_micros(failed_us),
                failure: derive_failure(&parts_then).cloned(),
                retried_at: Timestamp::from_unix_micros(parts[0].0),
            });
        }
        Ok(ends)
    }

    /// Every attempt, oldest first, running ones included.
    fn attempts(&self, row: &JobRow) -> Result<Vec<AttemptView>, StoreError> {
        let (first, last) = (row.first, row.first + u64::from(row.part_count) - 1);
        let sql = "SELECT a.part_id, a.attempt, a.fence, s.node, a.span, a.available_us,
                          a.started_us, a.ended_us, a.outcome, a.failure, a.timings, a.settle_us,
                          a.trace_id, a.report
                   FROM attempt a JOIN session s ON s.id = a.session
                   WHERE a.part_id BETWEEN ?1 AND ?2";
        let mut raw = self.all(sql, params![first, last], RawAttempt::read)?;
        let sql = "SELECT l.part_id, l.attempt, l.fence, s.node, l.span, l.available_us,
                          l.started_us, NULL, NULL, NULL, NULL, NULL, l.trace_id,
                          NULL
                   FROM lease l JOIN session s ON s.id = l.session
                   WHERE l.part_id BETWEEN ?1 AND ?2";
        raw.extend(self.all(sql, params![first, last], RawAttempt::read)?);
        raw.sort_by_key(|attempt| (attempt.started_us, attempt.part, attempt.fence));
        let attempts = raw.into_iter().map(|raw| {
            let mut attempt = raw.finish(first)?;
            attempt.leased_by = self.commit_of(attempt.started_at)?;
            attempt.ended_by = attempt.ended_at.map(|at| self.commit_of(at)).transpose()?.flatten();
            Ok(attempt)
        });
        attempts.collect()
    }
}

fn finished_at(state: State, parts: &[PartRow]) -> Option<Timestamp> {
    state.is_terminal().then(|| parts.iter().filter_map(|part| part.ended_at).max()).flatten()
}

/// For a job that waits for another attempt: from when on.
fn available_at(state: State, parts: &[PartRow]) -> Option<Timestamp> {
    let waiting = parts.iter().filter(|part| part.attempt > 0).filter_map(|part| part.available_at);
    if state == State::Queued { waiting.min() } else { None }
}

struct RawAttempt {
    part: u64,
    attempt: u32,
    fence: u64,
    node: String,
    span: [u8; 8],
    available_us: i64,
    started_us: i64,
    ended_us: Option<i64>,
    outcome: Option<i64>,
    failure: Option<String>,
    timings: Option<String>,
    settle_us: Option<u64>,
    trace_id: Option<[u8; 16]>,
    report: Option<Vec<u8>>,
}

impl RawAttempt {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            part: row.get(0)?,
            attempt: row.get(1)?,
            fence: row.get(2)?,
            node: row.get(3)?,
            span: row.get(4)?,
            available_us: row.get(5)?,
            started_us: row.get(6)?,
            ended_us: row.get(7)?,
            outcome: row.get(8)?,
            failure: row.get(9)?,
            timings: row.get(10)?,
            settle_us: row.get(11)?,
            trace_id: row.get(12)?,
            report: row.get(13)?,
        })
    }

    fn finish(self, first: u64) -> Result<AttemptView, StoreError> {
        let outcome = self
            .outcome
            .map(|number| outcome_of(number).ok_or_else(|| damaged("an unknown outcome")));
        Ok(AttemptView {
            part: PartId(self.part),
            part_index: u32::try_from(self.part - first).unwrap_or(u32::MAX),
            attempt: self.attempt,
            fence: Fence(self.fence),
            node: NodeId::new(self.node).map_err(|_| damaged("a malformed node name"))?,
            span_id: SpanId::new(self.span).ok_or_else(|| damaged("a span id of zero"))?,
            trace_id: self.trace_id.and_then(TraceId::new),
            available_at: Timestamp::from_unix_micros(self.available_us),
            started_at: Timestamp::from_unix_micros(self.started_us),
            ended_at: self.ended_us.map(Timestamp::from_unix_micros),
            outcome: outcome.transpose()?,
            failure: self.failure.as_deref().map(codec::from_json).transpose()?,
            timings: self.timings.as_deref().map(codec::from_json).transpose()?,
            settle: self.settle_us.map(Duration::from_micros),
            report: self.report.as_deref().map(codec::decode_report_way).transpose()?,
            leased_by: None,
            ended_by: None,
        })
    }
}
