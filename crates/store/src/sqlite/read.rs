//! Questions, answered from committed data.

mod commits;
mod page;
mod retention;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use control::{
    AttemptRecord, AttemptSpan, DueTrace, FailedPart, Forgettable, IdempotencyRecord, JobHead,
    JobRef, Keep, PartSnapshot, Read, StoreError, StoreErrorKind, derive_state,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};
use types::{
    Fence, FrameTable, JobFilter, JobId, JobPage, JobSummary, JobView, PartId, ResultView, SpanId,
    State, SubmitCall, Timestamp, TraceContext, TraceId,
};

use super::error::failed;
use super::schema::{frames_id, outcome_of, reason_of, state_of};
use crate::codec;

const WHAT: &str = "read the queue";
/// Ends of parts among which those of recorded jobs are looked for.
const ENDS_LOOKED_AT_MAX: usize = 100_000;
/// Steps of SQLite's machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: std::ffi::c_int = 10_000;

/// How far apart parts may lie, by their number, whose jobs are read in one walk.
const HEADS_SPAN_MAX: u64 = 4;

/// A connection that answers questions.
pub struct SqliteReader {
    pub(super) connection: Connection,
    limit: Option<Limit>,
}

impl std::fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteReader").finish_non_exhaustive()
    }
}

/// The time after which the running question is broken off.
struct Limit {
    time: Duration,
    started: Instant,
    /// Microseconds since `started`.
    deadline: Arc<AtomicU64>,
}

/// A job's row without its spec.
pub(super) struct JobRow {
    pub first: u64,
    pub uid: JobId,
    pub part_count: u16,
    pub tenant: String,
    pub priority: u8,
    pub needs: String,
    pub errors_max: u16,
    pub submitted_at: Timestamp,
    pub spec: Vec<u8>,
    pub trace: TraceContext,
    pub root_span_id: SpanId,
    pub call: Option<SubmitCall>,
}

impl JobRow {
    pub(super) fn parts(&self) -> impl Iterator<Item = u64> + use<> {
        self.first..self.first + u64::from(self.part_count)
    }

    fn reference(&self) -> Result<JobRef, StoreError> {
        Ok(JobRef {
            job: self.uid,
            first_part: PartId(self.first),
            part_count: self.part_count,
            tenant: self.tenant.as_str().into(),
            priority: self.priority,
            requirements: codec::decode_needs(&self.needs)?,
        })
    }
}

/// Where one part stands, with what its table says.
pub(super) struct PartRow {
    pub snapshot: PartSnapshot,
    pub fence: Fence,
    /// Attempts, a running one included.
    pub attempt: u32,
    pub available_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub score: Option<f64>,
}

impl SqliteReader {
    pub(super) fn new(
        mut connection: Connection,
        time: Option<Duration>,
    ) -> Result<Self, StoreError> {
        let limit = time.map(|time| {
            let deadline = Arc::new(AtomicU64::new(u64::MAX));
            Limit { time, started: Instant::now(), deadline }
        });
        if let Some(Limit { started, deadline, .. }) = &limit {
            let (started, deadline) = (*started, Arc::clone(deadline));
            let late = move || {
                let now = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                now > deadline.load(Ordering::Relaxed)
            };
            connection
                .progress_handler(STEPS_BETWEEN_LOOKS, Some(late))
                .map_err(failed("limit a read's time"))?;
        }
        Ok(Self { connection, limit })
    }

    /// Starts the time of one question.
    fn begin(&self) {
        if let Some(limit) = &self.limit {
            let until = limit.started.elapsed() + limit.time;
            let until = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
            limit.deadline.store(until, Ordering::Relaxed);
        }
    }

    /// Ends the time of a question: what follows may take as long as it does.
    fn lift_limit(&self) {
        if let Some(limit) = &self.limit {
            limit.deadline.store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// Answers a question of several statements from one moment's data.
    fn at_once<V>(
        &self,
        question: impl FnOnce() -> Result<V, StoreError>,
    ) -> Result<V, StoreError> {
        let moment = Moment::begin(self)?;
        self.begin();
        let answer = question()?;
        moment.end()?;
        Ok(answer)
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        self.connection.prepare_cached(sql).map_err(failed(WHAT))
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.prepare(sql)?.execute([]).map(drop).map_err(failed(WHAT))
    }

    fn first<V>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<V>,
    ) -> Result<Option<V>, StoreError> {
        self.prepare(sql)?.query_row(values, read).optional().map_err(failed(WHAT))
    }

    fn all<V>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<V>,
    ) -> Result<Vec<V>, StoreError> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(values, read).map_err(failed(WHAT))?;
        rows.collect::<Result<_, _>>().map_err(failed(WHAT))
    }

    fn job_row(&self, job: JobId) -> Result<Option<JobRow>, StoreError> {
        const SQL: &str = "SELECT id, uid, part_count, tenant, priority, needs, errors_max,
                                  submitted_us, spec, trace, tracestate, root_span, call
                           FROM job WHERE uid = ?1";
        let found = self.first(SQL, params![job.to_bytes()], raw_job)?;
        found.map(finish_job).transpose()
    }

    fn job_row_at(&self, first: u64) -> Result<Option<JobRow>, StoreError> {
        const SQL: &str = "SELECT id, uid, part_count, tenant, priority, needs, errors_max,
                                  submitted_us, spec, trace, tracestate, root_span, call
                           FROM job WHERE id = ?1";
        let found = self.first(SQL, params![first], raw_job)?;
        found.map(finish_job).transpose()
    }

    /// The jobs of these parts, which lie close together: one walk over the jobs from the first
    /// part's to the last one's.
    fn job_heads(&self, parts: &[PartId]) -> Result<Vec<Option<JobHead>>, StoreError> {
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_unstable_by_key(|index| parts[*index]);
        let (Some(first), Some(last)) = (order.first(), order.last()) else {
            return Ok(Vec::new());
        };
        // A job has its first part's id, and the ids of its parts have no gap.
        let sql = "SELECT uid, spec, trace, tracestate, root_span, submitted_us, id, part_count
                   FROM job WHERE id <= ?2
                     AND id >= ifnull((SELECT max(id) FROM job WHERE id <= ?1), ?1)
                   ORDER BY id";
        let mut statement = self.prepare(sql)?;
        let range = params![parts[*first].0, parts[*last].0];
        let mut rows = statement.query(range).map_err(failed(WHAT))?;
        let mut found = vec![None; parts.len()];
        let mut left = order.iter().peekable();
        while let Some(row) = rows.next().map_err(failed(WHAT))? {
            let id: u64 = row.get(6).map_err(failed(WHAT))?;
            let end = id + row.get::<_, u64>(7).map_err(failed(WHAT))?;
            while left.next_if(|index| parts[**index].0 < id).is_some() {}
            let Some(index) = left.next_if(|index| parts[**index].0 < end) else { continue };
            let head = head_of(row).map_err(failed(WHAT))??;
            while let Some(other) = left.next_if(|index| parts[**index].0 < end) {
                found[*other] = Some(head.clone());
            }
            found[*index] = Some(head);
        }
        Ok(found)
    }

    fn part_row(&self, part: u64) -> Result<PartRow, StoreError> {
        let sql = "SELECT fence, attempt, ended_us, state, score, failure
                   FROM done WHERE part_id = ?1";
        let done = self.first(sql, params![part], |row| {
            let state: i64 = row.get(3)?;
            let failure: Option<String> = row.get(5)?;
            let row = PartRow {
                snapshot: PartSnapshot { state: State::Succeeded, failure: None },
                fence: Fence(row.get(0)?),
                attempt: row.get(1)?,
                available_at: None,
                ended_at: Some(Timestamp::from_unix_micros(row.get(2)?)),
                score: row.get(4)?,
            };
            Ok((row, state, failure))
        })?;
        if let Some((mut row, state, failure)) = done {
            row.snapshot.state = state_of(state).ok_or_else(|| damaged("a state"))?;
            row.snapshot.failure = failure.as_deref().map(codec::from_json).transpose()?;
            return Ok(row);
        }
        let live = |state: State| {
            move |row: &Row<'_>| {
                Ok(PartRow {
                    snapshot: PartSnapshot { state, failure: None },
                    fence: Fence(row.get(0)?),
                    attempt: row.get(1)?,
                    available_at: Some(Timestamp::from_unix_micros(row.get(2)?)),
                    ended_at: None,
                    score: None,
                })
            }
        };
        let sql = "SELECT fence, attempt, available_us FROM lease WHERE part_id = ?1";
        if let Some(row) = self.first(sql, params![part], live(State::Running))? {
            return Ok(row);
        }
        let sql = "SELECT fence, attempt, available_us FROM ready WHERE part_id = ?1";
        let row = self.first(sql, params![part], live(State::Queued))?;
        row.ok_or_else(|| damaged("a part that is nowhere"))
    }

    fn part_rows(&self, job: &JobRow) -> Result<Vec<PartRow>, StoreError> {
        job.parts().map(|part| self.part_row(part)).collect()
    }
}

/// A transaction that only reads: what it sees is of one moment. Its statements are compiled once. They
/// have no limit of time: a question that took too long must not leave its transaction open.
struct Moment<'r>(&'r SqliteReader);

impl<'r> Moment<'r> {
    fn begin(reader: &'r SqliteReader) -> Result<Self, StoreError> {
        reader.lift_limit();
        reader.run("BEGIN")?;
        Ok(Self(reader))
    }

    fn end(self) -> Result<(), StoreError> {
        self.0.lift_limit();
        self.0.run("COMMIT")
    }
}

impl Drop for Moment<'_> {
    /// After a question that failed.
    fn drop(&mut self) {
        if !self.0.connection.is_autocommit() {
            self.0.lift_limit();
            if let Err(error) = self.0.run("ROLLBACK") {
                tracing::error!(%error, "a reading transaction cannot be ended");
            }
        }
    }
}

pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, WHAT, format!("the file holds {what}"))
}

/// The head in the first six columns of a row; an error of its own where what they hold is damaged.
fn head_of(row: &Row<'_>) -> rusqlite::Result<Result<JobHead, StoreError>> {
    let (job, root) = (JobId::from_bytes(row.get(0)?), row.get::<_, [u8; 8]>(4)?);
    let submitted_at = Timestamp::from_unix_micros(row.get(5)?);
    let spec = codec::decode_spec(row.get_ref(1)?.as_blob()?);
    let trace = codec::decode_trace(row.get_ref(2)?.as_blob()?, row.get(3)?);
    let root_span_id = SpanId::new(root).ok_or_else(|| damaged("a span id of zero"));
    let head = move || {
        let (spec, trace, root_span_id) = (Arc::new(spec?), trace?, root_span_id?);
        Ok(JobHead { job, spec, trace, root_span_id, submitted_at })
    };
    Ok(head())
}

type RawJob = (JobRow, Vec<u8>, String, Option<Vec<u8>>);

fn raw_job(row: &Row<'_>) -> rusqlite::Result<RawJob> {
    let nothing = SpanId::new([1; 8]).zip(TraceId::new([1; 16]));
    let (span_id, trace_id) = nothing.ok_or(rusqlite::Error::InvalidQuery)?;
    let flags = types::TraceFlags::default();
    let placeholder = TraceContext { trace_id, span_id, flags, tracestate: String::new() };
    let root_span_id =
        SpanId::new(row.get(11)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(11, 0))?;
    let job = JobRow {
        first: row.get(0)?,
        uid: JobId::from_bytes(row.get(1)?),
        part_count: row.get(2)?,
        tenant: row.get(3)?,
        priority: row.get(4)?,
        needs: row.get(5)?,
        errors_max: row.get(6)?,
        submitted_at: Timestamp::from_unix_micros(row.get(7)?),
        spec: row.get(8)?,
        trace: placeholder,
        root_span_id,
        call: None,
    };
    Ok((job, row.get(9)?, row.get(10)?, row.get(12)?))
}

fn finish_job((job, trace, tracestate, call): RawJob) -> Result<JobRow, StoreError> {
    let call = call.map(|call| codec::decode_submit_call(&call, job.submitted_at)).transpose()?;
    Ok(JobRow { trace: codec::decode_trace(&trace, tracestate)?, call, ..job })
}

impl Read for SqliteReader {
    fn head(&mut self, part: PartId) -> Result<Option<JobHead>, StoreError> {
        self.begin();
        Ok(self.job_heads(&[part])?.pop().flatten())
    }

    fn heads(&mut self, parts: &[PartId]) -> Result<Vec<Option<JobHead>>, StoreError> {
        let span = parts.iter().max().zip(parts.iter().min()).map_or(0, |(l, f)| l.0 - f.0);
        let is_dense = span <= HEADS_SPAN_MAX * parts.len() as u64;
        self.at_once(|| {
            if is_dense {
                return self.job_heads(parts);
            }
            let one = |part| Ok(self.job_heads(&[part])?.pop().flatten());
            parts.iter().map(|part| one(*part)).collect()
        })
    }

    fn idempotency(
        &mut self,
        tenant: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        self.begin();
        let sql = "SELECT j.uid, i.body_digest, j.trace, j.tracestate
                   FROM idem i JOIN job j ON j.id = i.job_id
                   WHERE i.tenant = ?1 AND i.key = ?2 AND i.expires_us > ?3";
        let found = self.first(sql, params![tenant, key, now.unix_micros()], |row| {
            let trace = codec::decode_trace(row.get_ref(2)?.as_blob()?, row.get(3)?);
            Ok((JobId::from_bytes(row.get(0)?), row.get(1)?, trace))
        })?;
        let Some((job, body_digest, trace)) = found else { return Ok(None) };
        Ok(Some(IdempotencyRecord { job, body_digest, trace: trace? }))
    }

    fn attempt(&mut self, part: PartId, fence: Fence) -> Result<Option<AttemptRecord>, StoreError> {
        self.begin();
        let sql = "SELECT outcome, digest FROM attempt WHERE part_id = ?1 AND fence = ?2";
        let found = self
            .first(sql, params![part.0, fence.0], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        let Some((outcome, digest)) = found else { return Ok(None) };
        let outcome = outcome_of(outcome).ok_or_else(|| damaged("an unknown outcome"))?;
        Ok(Some(AttemptRecord { outcome, digest }))
    }

    fn attempt_before(
        &mut self,
        part: PartId,
        fence: Fence,
    ) -> Result<Option<AttemptSpan>, StoreError> {
        self.begin();
        let sql = "SELECT span, trace_id FROM attempt WHERE part_id = ?1 AND fence < ?2
                   ORDER BY fence DESC LIMIT 1";
        let found = self.first(sql, params![part.0, fence.0], |row| {
            Ok((row.get::<_, [u8; 8]>(0)?, row.get::<_, Option<[u8; 16]>>(1)?))
        })?;
        let Some((span, trace)) = found else { return Ok(None) };
        let span_id = SpanId::new(span).ok_or_else(|| damaged("a span id of zero"))?;
        Ok(Some(AttemptSpan { span_id, trace_id: trace.and_then(TraceId::new) }))
    }

    fn results(&mut self, part: PartId) -> Result<Option<Vec<ResultView>>, StoreError> {
        self.begin();
        self.results_of(part.0)
    }

    fn locate(&mut self, job: JobId) -> Result<Option<JobRef>, StoreError> {
        self.begin();
        self.job_row(job)?.map(|row| row.reference()).transpose()
    }

    fn state(&mut self, job: JobId) -> Result<Option<State>, StoreError> {
        self.at_once(|| {
            let Some(row) = self.job_row(job)? else { return Ok(None) };
            let parts = self.part_rows(&row)?;
            Ok(Some(derive_state(parts.iter().map(|part| &part.snapshot))))
        })
    }

    fn failed_parts(&mut self, job: JobId) -> Result<Vec<FailedPart>, StoreError> {
        self.at_once(|| {
            let Some(row) = self.job_row(job)? else { return Ok(Vec::new()) };
            let parts = self.part_rows(&row)?;
            if derive_state(parts.iter().map(|part| &part.snapshot)) != State::Failed {
                return Ok(Vec::new());
            }
            let reference = row.reference()?;
            let failed = row.parts().zip(parts).filter(|(_, p)| p.snapshot.state == State::Failed);
            let failed = failed.map(|(part, found)| FailedPart {
                job: reference.clone(),
                part: PartId(part),
                fence: found.fence,
                attempt: found.attempt,
                errors_max: row.errors_max,
            });
            Ok(failed.collect())
        })
    }

    fn job(&mut self, job: JobId) -> Result<Option<JobView>, StoreError> {
        self.at_once(|| self.job_row(job)?.map(|row| self.view(row)).transpose())
    }

    fn jobs(&mut self, jobs: &[JobId]) -> Result<Vec<Option<JobView>>, StoreError> {
        self.at_once(|| {
            let one = |job: &JobId| self.job_row(*job)?.map(|row| self.view(row)).transpose();
            jobs.iter().map(one).collect()
        })
    }

    fn summary(&mut self, job: JobId) -> Result<Option<JobSummary>, StoreError> {
        self.at_once(|| self.job_row(job)?.map(|row| self.summarise(row)).transpose())
    }

    fn job_of(&mut self, part: PartId) -> Result<Option<JobId>, StoreError> {
        self.begin();
        let sql = "SELECT j.uid FROM part p JOIN job j ON j.id = p.job_id WHERE p.id = ?1";
        self.first(sql, params![part.0], |row| Ok(JobId::from_bytes(row.get(0)?)))
    }

    fn due_traces(&mut self, limit: usize) -> Result<(Vec<DueTrace>, u64), StoreError> {
        self.at_once(|| {
            let sql = "SELECT j.uid, d.job_id, d.reason, d.due_us
                       FROM trace_due d JOIN job j ON j.id = d.job_id
                       ORDER BY d.job_id LIMIT ?1";
            let raw = self.all(sql, params![limit], |row| {
                let job = JobId::from_bytes(row.get(0)?);
                Ok((job, row.get(1)?, row.get::<_, i64>(2)?, row.get(3)?))
            })?;
            let due = raw.into_iter().map(|(job, first, reason, due_us)| {
                Ok(DueTrace {
                    job,
                    first_part: PartId(first),
                    reason: reason_of(reason).ok_or_else(|| damaged("an unknown reason"))?,
                    due_at: Timestamp::from_unix_micros(due_us),
                })
            });
            let due = due.collect::<Result<_, StoreError>>()?;
            let count = self.first("SELECT count(*) FROM trace_due", [], |row| row.get(0))?;
            Ok((due, count.unwrap_or(0)))
        })
    }

    fn newest_but(&mut self, newer: u64) -> Result<Option<PartId>, StoreError> {
        self.begin();
        // Ids and numbers were given together; their index is a fraction of the jobs' rows.
        let sql = "SELECT id FROM job ORDER BY uid DESC LIMIT 1 OFFSET ?1";
        let newer = i64::try_from(newer).unwrap_or(i64::MAX);
        self.first(sql, params![newer], |row| Ok(PartId(row.get(0)?)))
    }

    fn forgettable(
        &mut self,
        keep: &Keep,
        after: PartId,
        limit: usize,
    ) -> Result<Forgettable, StoreError> {
        self.at_once(|| retention::forgettable(self, keep, after, limit))
    }

    fn traces_told(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.begin();
        let sql = "SELECT until_us FROM traces_told WHERE id = 1";
        self.first(sql, [], |row| Ok(Timestamp::from_unix_micros(row.get(0)?)))
    }

    fn recorded_since(&mut self, since: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.begin();
        // The last byte of a trace holds the flags. Ends are not in an index, which every commit
        // would pay for: this is asked after trouble only, and looks at the newest.
        let sql = "SELECT DISTINCT j.uid
                   FROM (SELECT part_id, ended_us FROM done ORDER BY part_id DESC LIMIT ?3) d
                   JOIN part p ON p.id = d.part_id JOIN job j ON j.id = p.job_id
                   WHERE d.ended_us >= ?1 AND substr(j.trace, -1) IN (x'01', x'03')
                   ORDER BY j.id DESC LIMIT ?2";
        self.all(sql, params![since.unix_micros(), limit, ENDS_LOOKED_AT_MAX], |row| {
            Ok(JobId::from_bytes(row.get(0)?))
        })
    }

    fn page(
        &mut self,
        filter: &JobFilter,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<JobPage, StoreError> {
        self.at_once(|| self.page_of(filter, after, limit))
    }

    fn frames(
        &mut self,
        job: JobId,
        distorted_index: usize,
    ) -> Result<Option<FrameTable>, StoreError> {
        self.at_once(|| {
            let Some(row) = self.job_row(job)? else { return Ok(None) };
            let mut tables = Vec::with_capacity(usize::from(row.part_count));
            for part in row.parts() {
                let Some(id) = frames_id(part, distorted_index) else { return Ok(None) };
                let sql = "SELECT body FROM frames WHERE id = ?1";
                let read = |row: &Row<'_>| Ok(codec::decode_frames(row.get_ref(0)?.as_blob()?));
                let Some(table) = self.first(sql, params![id], read)? else { return Ok(None) };
                tables.push(table?);
            }
            codec::join_frames(tables).map(Some)
        })
    }
}
