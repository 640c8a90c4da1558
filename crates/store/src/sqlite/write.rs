//! Transitions as conditional statements.

use std::cell::RefCell;

use control::{
    AttemptEnd, LeaseGrant, NewJob, Next, SessionOpened, StoreError, StoredResult, Transition,
    Verdict,
};
use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Params, Transaction, TransactionBehavior,
    params,
};
use types::{CommitNote, ExportReason, Failure, Fence, PartId, State, Timestamp, TraceId};

use super::error::failed;
use super::schema::{frames_id, outcome_number, reason_number, state_number};
use crate::codec;

const WHAT: &str = "commit to the queue";
/// Rows of earlier commits that go with one job.
const COMMITS_FORGOTTEN_MAX: i64 = 64;
/// Sessions that are over that go with one job.
const SESSIONS_FORGOTTEN_MAX: i64 = 16;

pub(super) fn commit(
    connection: &mut Connection,
    transitions: &[Transition],
) -> Result<Vec<Verdict>, StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed("begin a transaction"))?;
    let write = Write { transaction: &transaction, statements: RefCell::default() };
    let verdicts = transitions.iter().map(|t| write.apply(t)).collect::<Result<_, _>>()?;
    drop(write);
    transaction.commit().map_err(failed(WHAT))?;
    Ok(verdicts)
}

fn one(changed: usize) -> Verdict {
    if changed == 1 { Verdict::Applied } else { Verdict::Refused }
}

/// Takes out idempotency keys that no longer hold, so that they do not pile up.
pub(super) fn forget_expired_keys(
    connection: &Connection,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM idem WHERE expires_us <= ?1";
    connection.execute(sql, [micros(now)]).map(drop).map_err(failed("forget expired keys"))
}

struct Write<'a> {
    transaction: &'a Transaction<'a>,
    /// The statements of this batch, taken once from the connection's cache: a batch runs the same
    /// dozen hundreds of times.
    statements: RefCell<Vec<(&'static str, CachedStatement<'a>)>>,
}

fn micros(at: Timestamp) -> i64 {
    at.unix_micros()
}

impl Write<'_> {
    fn apply(&self, transition: &Transition) -> Result<Verdict, StoreError> {
        match transition {
            Transition::Submit(job) => self.submit(job),
            Transition::Lease(lease) => self.lease(lease),
            Transition::End(end) => self.end(end),
            Transition::Drop { part, fence, state, failure, at } => {
                self.drop_queued(*part, *fence, *state, failure.as_ref(), *at)
            }
            Transition::Revive { part, fence, at } => self.revive(*part, *fence, *at),
            Transition::TraceDue { part, reason, at } => self.trace_due(*part, *reason, *at),
            Transition::TraceDone { first_part, due_at } => {
                let sql = "DELETE FROM trace_due WHERE job_id = ?1 AND due_us = ?2";
                let changed = self.execute(sql, params![first_part.0, micros(*due_at)])?;
                Ok(if changed == 1 { Verdict::Applied } else { Verdict::Already })
            }
            Transition::TracesTold { until } => {
                let sql = "INSERT INTO traces_told(id, until_us) VALUES(1, ?1)
                           ON CONFLICT DO UPDATE SET until_us = ?1 WHERE until_us < ?1";
                let changed = self.execute(sql, params![micros(*until)])?;
                Ok(if changed == 1 { Verdict::Applied } else { Verdict::Already })
            }
            Transition::Committed(note) => self.committed(note),
            Transition::Forget { first_part } => self.forget(*first_part),
            Transition::OpenSession(opened) => self.open_session(opened),
            Transition::CloseSession { session } => {
                let sql = "UPDATE session SET last_part = (SELECT coalesce(max(id), 0) FROM part)
                           WHERE id = ?1 AND last_part IS NULL";
                let changed = self.execute(sql, params![session.0])?;
                Ok(if changed == 1 { Verdict::Applied } else { Verdict::Already })
            }
            Transition::Drain { session, draining } => {
                let sql = "UPDATE session SET draining = ?2 WHERE id = ?1";
                Ok(one(self.execute(sql, params![session.0, draining])?))
            }
        }
    }

    fn execute(&self, sql: &'static str, values: impl Params) -> Result<usize, StoreError> {
        let mut statements = self.statements.borrow_mut();
        let known = statements.iter().position(|(known, _)| std::ptr::eq(*known, sql));
        let index = match known {
            Some(index) => index,
            None => {
                let statement = self.transaction.prepare_cached(sql).map_err(failed(WHAT))?;
                statements.push((sql, statement));
                statements.len() - 1
            }
        };
        statements[index].1.execute(values).map_err(failed(WHAT))
    }

    fn exists(&self, sql: &str, values: impl Params) -> Result<bool, StoreError> {
        let mut statement = self.transaction.prepare_cached(sql).map_err(failed(WHAT))?;
        statement.exists(values).map_err(failed(WHAT))
    }

    /// The verdict of a transition whose condition did not hold: done before, or refused.
    fn or_already(&self, sql: &str, values: impl Params) -> Result<Verdict, StoreError> {
        Ok(if self.exists(sql, values)? { Verdict::Already } else { Verdict::Refused })
    }

    fn submit(&self, job: &NewJob) -> Result<Verdict, StoreError> {
        if let Some((key, _)) = &job.idempotency
            && let Some(verdict) = self.key_taken(job, &key.key)?
        {
            return Ok(verdict);
        }
        let (id, spec) = (job.first_part.0, &job.spec);
        let needs = codec::encode_needs(&spec.requirements)?;
        let priority = spec.priority.get();
        let errors_max = u16::try_from(spec.attempts_max.get()).unwrap_or(u16::MAX);
        let at = micros(job.submitted_at);
        let sql = "INSERT INTO job(id, uid, part_count, tenant, priority, needs, errors_max,
                                   submitted_us, spec, trace, tracestate, root_span, call)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                   ON CONFLICT DO NOTHING";
        let part_count = job.parts.len();
        let inserted = self.execute(
            sql,
            params![
                id,
                job.id.to_bytes(),
                part_count,
                &*job.tenant,
                priority,
                needs,
                errors_max,
                at,
                &*job.spec_encoded,
                codec::encode_trace(&job.trace),
                job.trace.tracestate,
                job.root_span_id.to_bytes(),
                job.call.map(|call| codec::encode_submit_call(&call, job.submitted_at))
            ],
        )?;
        if inserted == 0 {
            let sql = "SELECT 1 FROM job WHERE id = ?1 AND uid = ?2";
            return self.or_already(sql, params![id, job.id.to_bytes()]);
        }
        for ((index, part), frames) in job.part_ids().zip(&job.parts) {
            let first = frames.map(|range| range.first_frame_index);
            let count = frames.map(|range| range.frame_count);
            let sql = "INSERT INTO part(id, job_id, part_index, first_frame_index, frame_count)
                       VALUES(?1, ?2, ?3, ?4, ?5)";
            self.execute(sql, params![part.0, id, index, first, count])?;
            let sql = "INSERT INTO ready(part_id, part_index, part_count, tenant, priority, needs,
                                         available_us, fence, attempt, errors, crashes, errors_max)
                       VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0, 0, ?8)";
            let tenant = &*job.tenant;
            self.execute(
                sql,
                params![part.0, index, part_count, tenant, priority, needs, at, errors_max],
            )?;
        }
        if let Some((key, expires_at)) = &job.idempotency {
            let sql = "INSERT INTO idem(tenant, key, job_id, body_digest, expires_us)
                       VALUES(?1, ?2, ?3, ?4, ?5)";
            let expires = micros(*expires_at);
            self.execute(sql, params![&*job.tenant, key.key, id, key.body_digest, expires])?;
        }
        Ok(Verdict::Applied)
    }

    /// Whether another job, or this one, has the key; an expired key is freed.
    fn key_taken(&self, job: &NewJob, key: &str) -> Result<Option<Verdict>, StoreError> {
        let sql = "SELECT job_id, expires_us FROM idem WHERE tenant = ?1 AND key = ?2";
        let mut statement = self.transaction.prepare_cached(sql).map_err(failed(WHAT))?;
        let found: Option<(u64, i64)> = statement
            .query_row(params![&*job.tenant, key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed(WHAT))?;
        match found {
            None => Ok(None),
            Some((id, _)) if id == job.first_part.0 => Ok(Some(Verdict::Already)),
            Some((_, expires)) if expires > micros(job.submitted_at) => Ok(Some(Verdict::Refused)),
            Some(_) => {
                let sql = "DELETE FROM idem WHERE tenant = ?1 AND key = ?2";
                self.execute(sql, params![&*job.tenant, key])?;
                Ok(None)
            }
        }
    }

    fn lease(&self, lease: &LeaseGrant) -> Result<Verdict, StoreError> {
        let (part, fence) = (lease.part.0, lease.fence.0);
        let sql = "DELETE FROM ready WHERE part_id = ?1 AND fence = ?2 - 1";
        if self.execute(sql, params![part, fence])? == 0 {
            let sql = "SELECT 1 FROM lease WHERE part_id = ?1 AND fence = ?2 AND session = ?3";
            return self.or_already(sql, params![part, fence, lease.session.0]);
        }
        let sql = "INSERT INTO lease(part_id, fence, session, attempt, span, available_us,
                                     started_us, errors, crashes, trace_id)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let span = lease.span_id.to_bytes();
        let (available, started) = (micros(lease.available_at), micros(lease.started_at));
        let (errors, crashes) = (lease.tally.errors, lease.tally.crashes);
        let values = params![
            part,
            fence,
            lease.session.0,
            lease.attempt,
            span,
            available,
            started,
            errors,
            crashes,
            lease.trace_id.map(TraceId::to_bytes)
        ];
        self.execute(sql, values)?;
        Ok(Verdict::Applied)
    }

    fn end(&self, end: &AttemptEnd) -> Result<Verdict, StoreError> {
        let lease = &end.lease;
        let (part, fence) = (lease.part.0, lease.fence.0);
        let sql = "DELETE FROM lease WHERE part_id = ?1 AND fence = ?2";
        if self.execute(sql, params![part, fence])? == 0 {
            let sql = "SELECT 1 FROM attempt WHERE part_id = ?1 AND fence = ?2 AND outcome = ?3";
            return self.or_already(sql, params![part, fence, outcome_number(end.outcome)]);
        }
        self.record_attempt(end)?;
        match &end.next {
            Next::Queued { available_at, tally } => {
                let sql = "INSERT INTO ready(part_id, part_index, part_count, tenant, priority,
                                             needs, available_us, fence, attempt, errors, crashes,
                                             errors_max)
                           SELECT ?1, p.part_index, j.part_count, j.tenant, j.priority, j.needs,
                                  ?2, ?3, ?4, ?5, ?6, j.errors_max
                           FROM part p JOIN job j ON j.id = p.job_id WHERE p.id = ?1";
                let (at, attempt) = (micros(*available_at), lease.attempt);
                let values = params![part, at, fence, attempt, tally.errors, tally.crashes];
                Ok(one(self.execute(sql, values)?))
            }
            Next::Done { state, result } => {
                self.done(end, *state, result.as_ref().and_then(|result| result.score))?;
                if let Some(result) = result {
                    self.result(lease, end.digest, result)?;
                }
                Ok(Verdict::Applied)
            }
        }
    }

    fn record_attempt(&self, end: &AttemptEnd) -> Result<(), StoreError> {
        let lease = &end.lease;
        let sql = "INSERT INTO attempt(part_id, fence, attempt, session, span, available_us,
                                       started_us, ended_us, outcome, failure, timings, settle_us,
                                       digest, trace_id, report)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
        let failure = end.failure.as_ref().map(codec::to_json).transpose()?;
        let timings = end.timings.as_ref().map(codec::to_json).transpose()?;
        let settle = end.settle.map(|it| i64::try_from(it.as_micros()).unwrap_or(i64::MAX));
        let values = params![
            lease.part.0,
            lease.fence.0,
            lease.attempt,
            lease.session.0,
            lease.span_id.to_bytes(),
            micros(lease.available_at),
            micros(lease.started_at),
            micros(end.ended_at),
            outcome_number(end.outcome),
            failure,
            timings,
            settle,
            end.digest,
            lease.trace_id.map(TraceId::to_bytes),
            end.report.as_ref().map(codec::encode_report_way)
        ];
        self.execute(sql, values).map(drop)
    }

    fn done(&self, end: &AttemptEnd, state: State, score: Option<f64>) -> Result<(), StoreError> {
        let sql = "INSERT INTO done(part_id, state, fence, attempt, ended_us, score, failure)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (lease, ended) = (&end.lease, micros(end.ended_at));
        // A result's attempt may have no failure; a cancelled part's is its attempt's alone.
        let failed = end.failure.as_ref().filter(|_| state == State::Failed);
        let failure = failed.map(codec::to_json).transpose()?;
        let (part, fence, state) = (lease.part.0, lease.fence.0, state_number(state));
        let attempt = lease.attempt;
        self.execute(sql, params![part, state, fence, attempt, ended, score, failure]).map(drop)
    }

    fn result(
        &self,
        lease: &LeaseGrant,
        digest: Option<[u8; 32]>,
        result: &StoredResult,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO result(part_id, fence, digest, body) VALUES(?1, ?2, ?3, ?4)";
        let digest = digest.unwrap_or_default();
        self.execute(sql, params![lease.part.0, lease.fence.0, digest, result.encoded])?;
        for (index, body) in result.frames.iter().enumerate() {
            let id = frames_id(lease.part.0, index).ok_or_else(|| {
                let kind = control::StoreErrorKind::Internal;
                StoreError::new(kind, WHAT, "more results than a job has distorted videos")
            })?;
            self.execute("INSERT INTO frames(id, body) VALUES(?1, ?2)", params![id, body])?;
        }
        Ok(())
    }

    fn drop_queued(
        &self,
        part: PartId,
        fence: Fence,
        state: State,
        failure: Option<&Failure>,
        at: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let (part, fence) = (part.0, fence.0);
        let failure = failure.map(codec::to_json).transpose()?;
        let sql = "INSERT INTO done(part_id, state, fence, attempt, ended_us, failure)
                   SELECT part_id, ?3, fence, attempt, ?4, ?5 FROM ready
                   WHERE part_id = ?1 AND fence = ?2";
        let state = state_number(state);
        if self.execute(sql, params![part, fence, state, micros(at), failure])? == 0 {
            let sql = "SELECT 1 FROM done WHERE part_id = ?1 AND fence = ?2 AND state = ?3";
            return self.or_already(sql, params![part, fence, state]);
        }
        Ok(one(self.execute("DELETE FROM ready WHERE part_id = ?1", params![part])?))
    }

    fn revive(&self, part: PartId, fence: Fence, at: Timestamp) -> Result<Verdict, StoreError> {
        let (part, fence) = (part.0, fence.0);
        let sql = "INSERT INTO ready(part_id, part_index, part_count, tenant, priority, needs,
                                     available_us, fence, attempt, errors, crashes, errors_max)
                   SELECT d.part_id, p.part_index, j.part_count, j.tenant, j.priority, j.needs,
                          ?3, d.fence, d.attempt, 0, 0, j.errors_max
                   FROM done d JOIN part p ON p.id = d.part_id JOIN job j ON j.id = p.job_id
                   WHERE d.part_id = ?1 AND d.fence = ?2 AND d.state = ?4";
        let failed = state_number(State::Failed);
        if self.execute(sql, params![part, fence, micros(at), failed])? == 0 {
            let sql = "SELECT 1 FROM ready WHERE part_id = ?1 AND fence = ?2 AND available_us = ?3";
            return self.or_already(sql, params![part, fence, micros(at)]);
        }
        let sql = "INSERT INTO earlier_end(part_id, retried_us, failed_us, failure)
                   SELECT part_id, ?2, ended_us, failure FROM done WHERE part_id = ?1
                   ON CONFLICT DO NOTHING";
        self.execute(sql, params![part, micros(at)])?;
        Ok(one(self.execute("DELETE FROM done WHERE part_id = ?1", params![part])?))
    }

    fn trace_due(
        &self,
        part: PartId,
        reason: ExportReason,
        at: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let sql = "INSERT INTO trace_due(job_id, reason, due_us)
                   SELECT job_id, ?2, ?3 FROM part WHERE id = ?1
                   ON CONFLICT DO UPDATE SET reason = ?2, due_us = ?3 WHERE due_us <> ?3";
        let (reason, at) = (reason_number(reason), micros(at));
        if self.execute(sql, params![part.0, reason, at])? == 1 {
            return Ok(Verdict::Applied);
        }
        let sql = "SELECT 1 FROM trace_due d JOIN part p ON p.job_id = d.job_id WHERE p.id = ?1";
        self.or_already(sql, params![part.0])
    }

    fn forget(&self, first_part: PartId) -> Result<Verdict, StoreError> {
        let first = first_part.0;
        let sql = "SELECT part_count,
                          (SELECT count(*) FROM done
                           WHERE part_id >= job.id AND part_id < job.id + job.part_count)
                   FROM job WHERE id = ?1";
        let mut statement = self.transaction.prepare_cached(sql).map_err(failed(WHAT))?;
        let found: Option<(u64, u64)> = statement
            .query_row(params![first], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed(WHAT))?;
        let Some((parts, _)) = found.filter(|(parts, ended)| parts == ended) else {
            return Ok(Verdict::Already);
        };
        let end = first + parts;
        for sql in [
            "DELETE FROM done WHERE part_id >= ?1 AND part_id < ?2",
            "DELETE FROM attempt WHERE part_id >= ?1 AND part_id < ?2",
            "DELETE FROM result WHERE part_id >= ?1 AND part_id < ?2",
            "DELETE FROM earlier_end WHERE part_id >= ?1 AND part_id < ?2",
            "DELETE FROM part WHERE id >= ?1 AND id < ?2",
        ] {
            self.execute(sql, params![first, end])?;
        }
        let (first_frames, end_frames) = (frames_id(first, 0), frames_id(end, 0));
        let sql = "DELETE FROM frames WHERE id >= ?1 AND id < ?2";
        self.execute(sql, params![first_frames, end_frames])?;
        // A key without its job would name nothing, and be in the way of the next.
        self.execute("DELETE FROM idem WHERE job_id = ?1", params![first])?;
        self.execute("DELETE FROM trace_due WHERE job_id = ?1", params![first])?;
        self.forget_commits(first)?;
        let verdict = one(self.execute("DELETE FROM job WHERE id = ?1", params![first])?);
        self.forget_sessions()?;
        Ok(verdict)
    }

    /// Takes out sessions that were over before the oldest job that is left was submitted: none of its
    /// attempts, and of those of later jobs, was theirs. The newest stays, for the next gets the number after.
    fn forget_sessions(&self) -> Result<(), StoreError> {
        let sql = "DELETE FROM session WHERE id IN (
                     SELECT id FROM session
                     WHERE last_part < (SELECT min(id) FROM job)
                       AND id < (SELECT max(id) FROM session)
                     ORDER BY last_part LIMIT ?1)";
        self.execute(sql, params![SESSIONS_FORGOTTEN_MAX]).map(drop)
    }

    /// Takes out how commits went that came before the job that goes: as many as a job may leave
    /// behind, and some more, so that they go with the jobs and no commit takes long by it. An older job
    /// that has not ended does not hold them back; its submission is then told as one of a commit
    /// that nothing is known of.
    fn forget_commits(&self, job: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM commit_note WHERE start_us IN (
                     SELECT start_us FROM commit_note
                     WHERE start_us < (SELECT submitted_us FROM job WHERE id = ?1)
                     ORDER BY start_us LIMIT ?2)";
        self.execute(sql, params![job, COMMITS_FORGOTTEN_MAX]).map(drop)
    }

    fn committed(&self, note: &CommitNote) -> Result<Verdict, StoreError> {
        let sql = "INSERT INTO commit_note(start_us, waited_us, took_us, writes)
                   VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let CommitNote { since, commit } = note;
        let between = |from: Timestamp, to: Timestamp| {
            i64::try_from(to.since(from).as_micros()).unwrap_or(i64::MAX)
        };
        let (waited, took) = (between(*since, commit.start), between(commit.start, commit.end));
        let writes = i64::try_from(commit.writes).unwrap_or(i64::MAX);
        let changed = self.execute(sql, params![micros(commit.start), waited, took, writes])?;
        Ok(if changed == 1 { Verdict::Applied } else { Verdict::Already })
    }

    fn open_session(&self, opened: &SessionOpened) -> Result<Verdict, StoreError> {
        let sql =
            "INSERT INTO session(id, node, incarnation, capabilities, registered_us, draining)
                   VALUES(?1, ?2, ?3, ?4, ?5, 0) ON CONFLICT DO NOTHING";
        let (id, node) = (opened.session.0, opened.node.as_str());
        let incarnation = opened.incarnation.0.cast_signed();
        let capabilities = codec::to_json(&opened.capabilities)?;
        let at = micros(opened.registered_at);
        if self.execute(sql, params![id, node, incarnation, capabilities, at])? == 0 {
            let sql = "SELECT 1 FROM session WHERE id = ?1 AND node = ?2 AND incarnation = ?3";
            return self.or_already(sql, params![id, node, incarnation]);
        }
        Ok(Verdict::Applied)
    }
}
