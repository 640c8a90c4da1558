//! Where the time of one job went: a waterfall from what the controller stored, nothing else.
//!
//! The rows are contiguous and in order: each starts where the one before it ended, the first at
//! the submission, the last ends with the job. A job of several parts is explained by the part that
//! ended last, because every part could be leased from the submission on: its timeline is the
//! job's critical path. Time that no row can name is a row of its own, [`RowKind::Unexplained`],
//! so that the sum is honest.
//!
//! Nothing here reads a clock: for a job that still runs, `now` is where the waterfall ends.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::id::JobId;
use crate::state::State;
use crate::time::Timestamp;
use crate::timing::{Stage, StageTimings};
use crate::trace::TraceId;
use crate::view::{AttemptOutcome, AttemptView, JobView};

/// What a stretch of a job's life was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// From the submission's arrival until the part could be leased.
    Accepted,
    /// Ready to run, and no node had a free slot that fits.
    Queued,
    /// The attempt's wall time less what its node measured: lease and report on their way.
    Dispatch,
    /// Within the node, before the first step.
    Start,
    /// Encoding the reference's range.
    Encode,
    /// Checking, probing and opening the inputs.
    Fetch,
    /// Waiting for frames.
    Decode,
    /// Computing features.
    Score,
    /// Temporal features, prediction and pooling.
    Pool,
    /// Writing the result to the node's disk.
    Spool,
    /// From the report's arrival at the controller to its commit.
    Settle,
    /// Waiting for the next attempt's time.
    RetryWait,
    /// An attempt whose node vanished or fell silent.
    Lost,
    /// An attempt that ended without a measurement of its node.
    Attempt,
    /// An attempt that still runs.
    Running,
    /// After the last attempt: merging parts, or waiting for the others.
    Finish,
    /// Time that nobody measured.
    Unexplained,
}

/// One stretch of a job's life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it was spent on.
    pub kind: RowKind,
    /// What people read, such as `score: vif`.
    pub label: String,
    /// The attempt it belongs to, from 1; `None` between attempts.
    pub attempt: Option<u32>,
    /// From the submission to this row's start.
    #[serde(rename = "start_us", serialize_with = "micros")]
    pub start: Duration,
    /// How long it took.
    #[serde(rename = "duration_us", serialize_with = "micros")]
    pub duration: Duration,
    /// The part of the job's wall time, 0 to 1.
    pub share: f64,
    /// More for people: the node, the cause; empty where there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A job's life from its submission to its end, in contiguous rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waterfall {
    /// The job.
    pub job_id: JobId,
    /// Its trace.
    pub trace_id: TraceId,
    /// Where it stands.
    pub state: State,
    /// From the submission to the end, or to now.
    #[serde(rename = "wall_us", serialize_with = "micros")]
    pub wall: Duration,
    /// The part of the wall time that rows other than [`RowKind::Unexplained`] name, 0 to 1.
    pub explained_share: f64,
    /// How many parts have had an attempt; with more than one, the rows show the last to end.
    pub part_count: usize,
    /// The stretches, in order.
    pub rows: Vec<Row>,
}

fn micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// Says where the time of `job` went. `now` ends the waterfall of a job that has not ended.
#[must_use]
pub fn explain(job: &JobView, now: Timestamp) -> Waterfall {
    let end = job.finished_at.unwrap_or(now).max(job.submitted_at);
    let mut timeline = Timeline::new(job.submitted_at, end);
    let (attempts, part_count) = critical_part(&job.attempts);
    for (index, attempt) in attempts.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| attempts[before]);
        timeline.wait_for(attempt, before);
        timeline.attempt(attempt);
    }
    timeline.rest(job, attempts.last().copied());
    timeline.into_waterfall(job, part_count)
}

/// The attempts of the part that ended last, oldest first, and how many parts there are.
fn critical_part(attempts: &[AttemptView]) -> (Vec<&AttemptView>, usize) {
    let mut parts: Vec<_> = attempts.iter().map(|attempt| attempt.part).collect();
    parts.sort_unstable();
    parts.dedup();
    let still_open = Timestamp::from_unix_micros(i64::MAX);
    let last = attempts.iter().max_by_key(|a| (a.ended_at.unwrap_or(still_open), a.fence));
    let mut chosen: Vec<_> = last.map_or_else(Vec::new, |last| {
        attempts.iter().filter(|attempt| attempt.part == last.part).collect()
    });
    chosen.sort_by_key(|attempt| attempt.fence);
    (chosen, parts.len())
}

/// Rows in the making. The cursor only moves forward and never beyond the end.
struct Timeline {
    origin: Timestamp,
    cursor: Timestamp,
    end: Timestamp,
    attempt: Option<u32>,
    rows: Vec<Row>,
}

impl Timeline {
    fn new(origin: Timestamp, end: Timestamp) -> Self {
        Self { origin, cursor: origin, end, attempt: None, rows: Vec::new() }
    }

    /// Adds the stretch from the cursor to `until`; nothing when there is none.
    fn push_until(&mut self, kind: RowKind, label: &str, until: Timestamp, note: &str) {
        let until = until.min(self.end);
        let duration = until.since(self.cursor);
        if duration.is_zero() {
            return;
        }
        self.rows.push(Row {
            kind,
            label: printable(label),
            attempt: self.attempt,
            start: self.cursor.since(self.origin),
            duration,
            share: 0.0,
            note: printable(note),
        });
        self.cursor = until;
    }

    fn push(&mut self, kind: RowKind, label: &str, duration: Duration, note: &str) {
        self.push_until(kind, label, self.cursor.after(duration), note);
    }

    /// The time before an attempt: accepted or waiting for the retry, then queued.
    fn wait_for(&mut self, attempt: &AttemptView, before: Option<&AttemptView>) {
        self.attempt = None;
        match before {
            None => self.push_until(RowKind::Accepted, "accepted", attempt.available_at, ""),
            Some(before) => {
                let note = format!("after attempt {}: {}", before.attempt, ending(before));
                let until = attempt.available_at;
                self.push_until(RowKind::RetryWait, "wait before retry", until, &note);
            }
        }
        self.push_until(RowKind::Queued, "queued", attempt.started_at, "");
    }

    /// The time of an attempt, as far as anybody measured it.
    fn attempt(&mut self, attempt: &AttemptView) {
        self.attempt = Some(attempt.attempt);
        let Some(ended_at) = attempt.ended_at else {
            let note = format!("on {}", attempt.node);
            self.push_until(RowKind::Running, "running", self.end, &note);
            return;
        };
        let mut note = format!("on {}: {}", attempt.node, ending(attempt));
        if let Some(trace_id) = attempt.trace_id {
            note = format!("trace {trace_id} {note}");
        }
        match (&attempt.timings, attempt.outcome) {
            (_, Some(AttemptOutcome::Lost)) => {
                self.push_until(RowKind::Lost, "lost attempt", ended_at, &note);
            }
            (Some(timings), _) if !timings.wall.is_zero() => {
                self.measured(attempt, timings, ended_at, &note);
            }
            _ => self.push_until(RowKind::Attempt, "attempt", ended_at, &note),
        }
    }

    /// An attempt whose node told its times. What the node did not see of it is dispatch; should
    /// the node claim more than there was, its times are shrunk to fit.
    fn measured(
        &mut self,
        attempt: &AttemptView,
        timings: &StageTimings,
        ended_at: Timestamp,
        note: &str,
    ) {
        let wall = ended_at.min(self.end).since(self.cursor);
        let settle = attempt.settle.unwrap_or_default().min(wall);
        let for_node = wall - settle;
        let staged: Duration = timings.stages.iter().map(|(_, duration)| *duration).sum();
        let node = timings.wall.max(staged);
        let scale = if node > for_node { for_node.as_secs_f64() / node.as_secs_f64() } else { 1.0 };
        let mut shrunk = note.to_owned();
        if scale < 1.0 {
            let _ = write!(shrunk, "; the node says {}, shown to scale", human(node));
        }
        let first_row = self.rows.len();
        self.push(RowKind::Dispatch, "dispatch", for_node.saturating_sub(node), "");
        for stage in Stage::ALL {
            self.stage(timings, stage, scale);
        }
        let settle_from = Timestamp::from_unix_micros(
            ended_at.min(self.end).unix_micros() - i64::try_from(settle.as_micros()).unwrap_or(0),
        );
        let inside = if staged.is_zero() { RowKind::Attempt } else { RowKind::Unexplained };
        // Rounding to whole microseconds leaves less than one per row; that is no finding.
        let rounding = Duration::from_micros(16);
        if settle_from.since(self.cursor) > rounding || inside == RowKind::Attempt {
            self.push_until(inside, "within the node", settle_from, note);
        }
        self.push_until(RowKind::Settle, "report and settle", ended_at, "");
        // Who ran it stands beside the attempt's first row, whichever that is.
        if let Some(row) = self.rows.get_mut(first_row) {
            row.note = printable(&shrunk);
        }
    }

    fn stage(&mut self, timings: &StageTimings, stage: Stage, scale: f64) {
        let kind = match stage {
            Stage::Start => RowKind::Start,
            Stage::Encode => RowKind::Encode,
            Stage::Fetch => RowKind::Fetch,
            Stage::Decode => RowKind::Decode,
            Stage::Score => RowKind::Score,
            Stage::Pool => RowKind::Pool,
            Stage::Spool => RowKind::Spool,
        };
        let total = timings.stage(stage).mul_f64(scale);
        let by_feature =
            if stage == Stage::Score { timings.score_by_feature() } else { Vec::new() };
        if by_feature.is_empty() {
            self.push(kind, stage.as_str(), total, "");
            return;
        }
        let until = self.cursor.after(total);
        for (index, (feature, duration)) in by_feature.iter().enumerate() {
            let label = format!("score: {feature}");
            let next = self.cursor.after(duration.mul_f64(scale)).min(until);
            let next = if index + 1 == by_feature.len() { until } else { next };
            self.push_until(kind, &label, next, "");
        }
    }

    /// What follows the last attempt.
    fn rest(&mut self, job: &JobView, last: Option<&AttemptView>) {
        self.attempt = None;
        let waiting = job.waiting_for.as_deref().unwrap_or_default();
        let retry_at = job.available_at.unwrap_or(self.cursor);
        match (job.state, last) {
            (State::Queued, Some(last)) => {
                let note = format!("after attempt {}: {}", last.attempt, ending(last));
                self.push_until(RowKind::RetryWait, "wait before retry", retry_at, &note);
                self.push_until(RowKind::Queued, "queued", self.end, waiting);
            }
            (State::Queued, None) => self.push_until(RowKind::Queued, "queued", self.end, waiting),
            (State::Cancelled, _) => {
                self.push_until(RowKind::Queued, "queued", self.end, "cancelled while it waited");
            }
            (_, Some(_)) => self.push_until(RowKind::Finish, "finish", self.end, ""),
            (_, None) => {
                self.push_until(
                    RowKind::Unexplained,
                    "unexplained",
                    self.end,
                    "no attempt is known",
                );
            }
        }
    }

    fn into_waterfall(mut self, job: &JobView, part_count: usize) -> Waterfall {
        let wall = self.end.since(self.origin);
        let share = |duration: Duration| {
            if wall.is_zero() { 0.0 } else { duration.as_secs_f64() / wall.as_secs_f64() }
        };
        for row in &mut self.rows {
            row.share = share(row.duration);
        }
        let named = self.rows.iter().filter(|row| row.kind != RowKind::Unexplained);
        let explained: Duration = named.map(|row| row.duration).sum();
        Waterfall {
            job_id: job.id,
            trace_id: job.trace.trace_id,
            state: job.state,
            wall,
            explained_share: if wall.is_zero() { 1.0 } else { share(explained) },
            part_count,
            rows: self.rows,
        }
    }
}

/// How an attempt ended, for people.
fn ending(attempt: &AttemptView) -> String {
    match (&attempt.failure, attempt.outcome) {
        (Some(failure), _) => failure.to_string(),
        (None, Some(outcome)) => outcome.as_str().to_owned(),
        (None, None) => State::Running.as_str().to_owned(),
    }
}

/// Text from a node or a caller, safe for a terminal: without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A duration in the unit people read it in, with three or four digits.
fn human(duration: Duration) -> String {
    let us = duration.as_micros();
    match us {
        0..=999 => format!("{us} us"),
        1_000..=999_999 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        1_000_000..=119_999_999 => format!("{:.2} s", duration.as_secs_f64()),
        _ => format!("{:.1} min", duration.as_secs_f64() / 60.0),
    }
}

/// Columns a bar takes in [`Waterfall::render`].
pub const BAR_COLUMNS: usize = 32;
const LABEL_CHARS_MAX: usize = 24;
const NOTE_CHARS_MAX: usize = 100;

impl Waterfall {
    /// The waterfall as text: one line a row with start, duration, share, a bar at the row's place
    /// in time and its label; then the sum.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!(
            "job {} {} {} {}\ntrace {}\n\n",
            self.job_id,
            self.state,
            if self.state.is_terminal() { "after" } else { "for" },
            human(self.wall),
            self.trace_id
        );
        let label_chars = self.rows.iter().map(|row| row.label.chars().count()).max();
        let label_chars = label_chars.unwrap_or(0).min(LABEL_CHARS_MAX);
        for row in &self.rows {
            let line = format!(
                "{:>9} {:>9} {:>5.1} %  {}  {:label_chars$}  {}{}",
                human(row.start),
                human(row.duration),
                row.share * 100.0,
                self.bar(row),
                cut(&row.label, LABEL_CHARS_MAX),
                row.attempt.map(|attempt| format!("attempt {attempt} ")).unwrap_or_default(),
                cut(&row.note, NOTE_CHARS_MAX),
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if self.part_count > 1 {
            let _ = write!(text, "\n{} parts; shown is the last to end.", self.part_count);
        }
        let unexplained = self.wall.mul_f64((1.0 - self.explained_share).clamp(0.0, 1.0));
        let _ = writeln!(
            text,
            "\nexplained {:.1} % of {}, unexplained {}",
            self.explained_share * 100.0,
            human(self.wall),
            human(unexplained)
        );
        text
    }

    /// A bar of [`BAR_COLUMNS`] columns, at its row's place in time to an eighth of a column.
    fn bar(&self, row: &Row) -> String {
        const EIGHTHS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
        let wall = self.wall.as_secs_f64().max(f64::MIN_POSITIVE);
        let columns = BAR_COLUMNS as f64;
        let first = (row.start.as_secs_f64() / wall * columns).floor() as usize;
        let first = first.min(BAR_COLUMNS - 1);
        let eighths = (row.share * columns * 8.0).round().max(1.0) as usize;
        let eighths = eighths.min((BAR_COLUMNS - first) * 8);
        let mut bar = " ".repeat(first);
        bar.extend(std::iter::repeat_n('█', eighths / 8));
        if !eighths.is_multiple_of(8) {
            bar.push(EIGHTHS[eighths % 8]);
        }
        let drawn = bar.chars().count();
        bar.extend(std::iter::repeat_n(' ', BAR_COLUMNS - drawn));
        bar
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, FailureKind};
    use crate::id::{Fence, NodeId, PartId};
    use crate::job::JobSpec;
    use crate::media::MediaRef;
    use crate::trace::{SpanId, TraceContext};

    const T0: i64 = 1_700_000_000_000_000;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_unix_micros(T0 + us)
    }

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn attempt(number: u32, available: i64, started: i64, ended: Option<i64>) -> AttemptView {
        AttemptView {
            part: PartId(1),
            part_index: 0,
            attempt: number,
            fence: Fence(u64::from(number)),
            node: NodeId::new(format!("node-{number}")).expect("a name"),
            span_id: SpanId::new([9; 8]).expect("not zero"),
            trace_id: None,
            available_at: at(available),
            started_at: at(started),
            ended_at: ended.map(at),
            outcome: ended.map(|_| AttemptOutcome::Succeeded),
            failure: None,
            timings: None,
            settle: None,
            report: None,
            leased_by: None,
            ended_by: None,
        }
    }

    fn timings(stages: &[(Stage, u64)]) -> StageTimings {
        let mut timings = StageTimings::default();
        for (stage, duration) in stages {
            timings.add(*stage, us(*duration));
        }
        timings.wall = timings.stages.iter().map(|(_, duration)| *duration).sum();
        timings
    }

    fn job(state: State, attempts: Vec<AttemptView>, finished: Option<i64>) -> JobView {
        JobView {
            id: JobId::new(at(0), 7),
            tenant: String::new(),
            state,
            spec: JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b")),
            submitted_at: at(0),
            started_at: attempts.first().map(|attempt| attempt.started_at),
            finished_at: finished.map(at),
            available_at: None,
            trace: TraceContext::parse(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "",
            )
            .expect("valid"),
            root_span_id: SpanId::new([1; 8]).expect("not zero"),
            call: None,
            submitted_by: None,
            attempts,
            earlier_ends: Vec::new(),
            progress: None,
            results: Vec::new(),
            failure: None,
            waiting_for: None,
        }
    }

    /// Rows as `(label, duration in us)`, after checking that they are contiguous and whole.
    fn rows(waterfall: &Waterfall) -> Vec<(&str, u128)> {
        let mut cursor = Duration::ZERO;
        for row in &waterfall.rows {
            assert_eq!(row.start, cursor, "{row:?}");
            cursor += row.duration;
        }
        assert_eq!(cursor, waterfall.wall, "{waterfall:?}");
        let shares: f64 = waterfall.rows.iter().map(|row| row.share).sum();
        assert!(waterfall.wall.is_zero() || (shares - 1.0).abs() < 1e-9, "{shares}");
        waterfall.rows.iter().map(|row| (&*row.label, row.duration.as_micros())).collect()
    }

    #[test]
    fn a_plain_job_is_explained_from_submission_to_settle() {
        let mut only = attempt(1, 0, 1_000, Some(101_000));
        let mut times = timings(&[
            (Stage::Start, 500),
            (Stage::Fetch, 9_500),
            (Stage::Decode, 20_000),
            (Stage::Score, 60_000),
            (Stage::Pool, 5_000),
            (Stage::Spool, 1_000),
        ]);
        times.features = vec![("vif".into(), us(300)), ("adm".into(), us(100))];
        only.timings = Some(times);
        only.settle = Some(us(1_000));
        let waterfall = explain(&job(State::Succeeded, vec![only], Some(101_000)), at(9_000_000));
        assert_eq!(
            rows(&waterfall),
            [
                ("queued", 1_000),
                ("dispatch", 3_000),
                ("start", 500),
                ("fetch", 9_500),
                ("decode", 20_000),
                ("score: vif", 45_000),
                ("score: adm", 15_000),
                ("pool", 5_000),
                ("spool", 1_000),
                ("report and settle", 1_000),
            ]
        );
        assert!(waterfall.explained_share >= 0.99);
    }

    #[test]
    fn a_lost_attempt_and_its_retry_are_both_shown() {
        let mut lost = attempt(1, 0, 2_000, Some(1_002_000));
        lost.outcome = Some(AttemptOutcome::Lost);
        lost.failure = Some(Failure::new(FailureKind::NodeLost, "its stream ended"));
        let mut second = attempt(2, 2_002_000, 2_005_000, Some(2_105_000));
        second.timings = Some(timings(&[(Stage::Fetch, 10_000), (Stage::Score, 80_000)]));
        let view = job(State::Succeeded, vec![lost, second], Some(2_105_000));
        let waterfall = explain(&view, at(0));
        assert_eq!(
            rows(&waterfall),
            [
                ("queued", 2_000),
                ("lost attempt", 1_000_000),
                ("wait before retry", 1_000_000),
                ("queued", 3_000),
                ("dispatch", 10_000),
                ("fetch", 10_000),
                ("score", 80_000),
            ]
        );
        assert!(waterfall.rows[1].note.contains("node_lost"), "{:?}", waterfall.rows[1]);
        assert!(waterfall.rows[2].note.contains("attempt 1"), "{:?}", waterfall.rows[2]);
        assert_eq!(waterfall.rows[6].attempt, Some(2));
    }

    #[test]
    fn time_the_node_did_not_attribute_is_shown_as_unexplained() {
        let mut only = attempt(1, 0, 0, Some(100_000));
        let mut times = timings(&[(Stage::Score, 60_000)]);
        times.wall = us(90_000);
        only.timings = Some(times);
        let waterfall = explain(&job(State::Succeeded, vec![only], Some(100_000)), at(0));
        assert_eq!(
            rows(&waterfall),
            [("dispatch", 10_000), ("score", 60_000), ("within the node", 30_000)]
        );
        assert!((waterfall.explained_share - 0.7).abs() < 1e-9);
    }

    #[test]
    fn a_node_that_claims_more_time_than_there_was_is_shrunk_to_fit() {
        let mut only = attempt(1, 0, 0, Some(100_000));
        only.timings = Some(timings(&[(Stage::Fetch, 100_000), (Stage::Score, 300_000)]));
        let waterfall = explain(&job(State::Succeeded, vec![only], Some(100_000)), at(0));
        assert_eq!(rows(&waterfall), [("fetch", 25_000), ("score", 75_000)]);
        assert!(waterfall.rows[0].note.contains("400.0 ms"), "{:?}", waterfall.rows[0]);
    }

    #[test]
    fn jobs_that_have_not_ended_are_explained_up_to_now() {
        let queued = explain(&job(State::Queued, Vec::new(), None), at(5_000));
        assert_eq!(rows(&queued), [("queued", 5_000)]);
        let running = job(State::Running, vec![attempt(1, 0, 1_000, None)], None);
        assert_eq!(rows(&explain(&running, at(5_000))), [("queued", 1_000), ("running", 4_000)]);
        let mut failed = attempt(1, 0, 1_000, Some(2_000));
        failed.outcome = Some(AttemptOutcome::Failed);
        let mut waiting = job(State::Queued, vec![failed], None);
        waiting.available_at = Some(at(1_000_000));
        assert_eq!(
            rows(&explain(&waiting, at(5_000))),
            [("queued", 1_000), ("attempt", 1_000), ("wait before retry", 3_000)]
        );
        let cancelled = job(State::Cancelled, Vec::new(), Some(700));
        assert_eq!(rows(&explain(&cancelled, at(5_000))), [("queued", 700)]);
    }

    #[test]
    fn of_several_parts_the_last_to_end_is_shown() {
        let mut other = attempt(1, 0, 500, Some(90_000));
        other.part = PartId(2);
        let view =
            job(State::Succeeded, vec![attempt(1, 0, 1_000, Some(99_000)), other], Some(100_000));
        let waterfall = explain(&view, at(0));
        assert_eq!(waterfall.part_count, 2);
        assert_eq!(rows(&waterfall), [("queued", 1_000), ("attempt", 98_000), ("finish", 1_000)]);
    }

    #[test]
    fn a_clock_that_went_backwards_breaks_nothing() {
        let waterfall =
            explain(&job(State::Succeeded, vec![attempt(1, -5, -3, Some(-1))], Some(-1)), at(0));
        assert_eq!(rows(&waterfall), []);
        assert_eq!(waterfall.explained_share, 1.0);
        assert!(waterfall.render().contains("succeeded after 0 us"));
    }

    #[test]
    fn text_has_one_line_a_row_with_bars_of_equal_width_and_no_control_characters() {
        let mut only = attempt(1, 0, 1_000, Some(101_000));
        only.outcome = Some(AttemptOutcome::Failed);
        only.failure = Some(Failure::new(FailureKind::Io, format!("\u{1b}[2J{}", "ü".repeat(500))));
        let mut times = timings(&[(Stage::Score, 100_000)]);
        times.features = vec![("évif\n".into(), us(3)), ("x".repeat(90), us(1))];
        only.timings = Some(times);
        let waterfall = explain(&job(State::Failed, vec![only], Some(101_000)), at(0));
        let text = waterfall.render();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        let lines: Vec<_> = text.lines().skip(3).take(waterfall.rows.len()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, row) in lines.iter().zip(&waterfall.rows) {
            let bar: String = line.chars().skip(29).take(BAR_COLUMNS).collect();
            assert_eq!(bar, waterfall.bar(row), "{line}");
            assert!(line.chars().count() <= 29 + BAR_COLUMNS + 4 + 24 + 10 + 100, "{line}");
        }
        assert!(text.ends_with("explained 100.0 % of 101.0 ms, unexplained 0 us\n"), "{text}");
    }

    #[test]
    fn json_names_units_and_leaves_out_empty_notes() {
        let view = job(State::Queued, Vec::new(), None);
        let json = serde_json::to_value(explain(&view, at(5_000))).expect("plain data");
        assert_eq!(json["wall_us"], 5_000);
        assert_eq!(json["rows"][0]["kind"], "queued");
        assert_eq!(json["rows"][0]["duration_us"], 5_000);
        assert!(json["rows"][0].get("note").is_none());
    }
}
