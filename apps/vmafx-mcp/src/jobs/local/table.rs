//! What is known of each job. Every transition is one method here; a job that has ended is never
//! moved again.

use std::collections::{BTreeMap, VecDeque};

use media::CancelToken;
use proto::rpc::{GetFrames, ListJobs};
use tokio::sync::watch;
use types::{
    AttemptOutcome, AttemptView, Column, Failure, FailureKind, Fence, FrameTable, JobId, JobPage,
    JobSpec, JobSummary, JobView, NodeId, PartId, ResultView, ScoreReport, SpanId, State,
    Timestamp, TraceContext,
};

use super::run::{RunProgress, Worked};
use super::{KEPT_MAX, VALUES_KEPT_MAX};

/// The name of the one node there is.
const NODE: &str = "local";

/// What belongs to a job beside what callers see.
#[derive(Debug)]
pub(super) struct Extras {
    pub key: Option<String>,
    pub changes: watch::Sender<()>,
    pub cancel: CancelToken,
}

#[derive(Debug)]
struct Entry {
    view: JobView,
    extras: Extras,
    progress: RunProgress,
    /// One a distorted video; empty once they were given up to keep the bound.
    frames: Vec<FrameTable>,
}

/// What a job needs to run.
pub(super) struct Start {
    pub spec: JobSpec,
    pub progress: RunProgress,
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By id, which is by the time of their submission.
    jobs: BTreeMap<JobId, Entry>,
    /// Those that have ended, in the order of their ends: a job that took hours is the newest when
    /// it ends, however many were submitted and ended meanwhile.
    ended: VecDeque<JobId>,
}

/// A job that has just been submitted.
pub(in crate::jobs) fn new_view(
    id: JobId,
    spec: JobSpec,
    at: Timestamp,
    trace: TraceContext,
    root_span_id: SpanId,
) -> JobView {
    JobView {
        id,
        tenant: String::new(),
        state: State::Queued,
        spec,
        submitted_at: at,
        started_at: None,
        finished_at: None,
        available_at: None,
        trace,
        root_span_id,
        call: None,
        submitted_by: None,
        attempts: Vec::new(),
        earlier_ends: Vec::new(),
        progress: None,
        results: Vec::new(),
        failure: None,
        waiting_for: None,
    }
}

impl Table {
    pub fn insert(&mut self, view: JobView, extras: Extras) {
        let entry = Entry { extras, progress: RunProgress::default(), frames: Vec::new(), view };
        self.jobs.insert(entry.view.id, entry);
    }

    /// The job with that key, for as long as it is kept.
    pub fn by_key(&self, key: &str) -> Option<&JobView> {
        let mut entries = self.jobs.values();
        entries.find(|entry| entry.extras.key.as_deref() == Some(key)).map(|entry| &entry.view)
    }

    pub fn view(&self, id: JobId) -> Option<JobView> {
        let entry = self.jobs.get(&id)?;
        Some(JobView { progress: entry.progress(), ..entry.view.clone() })
    }

    pub fn changes(&self, id: JobId) -> Option<watch::Receiver<()>> {
        self.jobs.get(&id).map(|entry| entry.extras.changes.subscribe())
    }

    pub fn unended(&self) -> usize {
        self.unended_ids().len()
    }

    pub fn unended_ids(&self) -> Vec<JobId> {
        let unended = self.jobs.values().filter(|entry| !entry.view.state.is_terminal());
        unended.map(|entry| entry.view.id).collect()
    }

    /// How many jobs run and how many wait.
    pub fn load(&self) -> (usize, usize) {
        let in_state = |state| self.jobs.values().filter(|entry| entry.view.state == state).count();
        (in_state(State::Running), in_state(State::Queued))
    }

    /// Moves a queued job on; `None` where it is not queued any more.
    pub fn start(&mut self, id: JobId, at: Timestamp) -> Option<Start> {
        let entry = self.jobs.get_mut(&id).filter(|entry| entry.view.state == State::Queued)?;
        entry.view.state = State::Running;
        entry.view.started_at = Some(at);
        entry.view.attempts.push(AttemptView {
            part: PartId(0),
            part_index: 0,
            attempt: 1,
            fence: Fence(1),
            node: NodeId::new(NODE).expect("a plain word is a name"),
            span_id: observability::new_span_id(),
            trace_id: None,
            available_at: entry.view.submitted_at,
            started_at: at,
            ended_at: None,
            outcome: None,
            failure: None,
            timings: None,
            settle: None,
            report: None,
            leased_by: None,
            ended_by: None,
        });
        entry.tell();
        Some(Start { spec: entry.view.spec.clone(), progress: entry.progress.clone() })
    }

    /// Cancels a job that has not ended. One that runs is told to stop, and counts as ended from
    /// here on: what its work still brings is dropped.
    pub fn cancel(&mut self, id: JobId, at: Timestamp) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        entry.extras.cancel.cancel();
        entry.view.progress = entry.progress();
        if let Some(attempt) = entry.view.attempts.last_mut() {
            attempt.ended_at = Some(at);
            attempt.outcome = Some(AttemptOutcome::Cancelled);
        }
        entry.finish(State::Cancelled, at);
        self.keep(id);
    }

    /// Writes down how the work of a job ended; the job as it is then, the first time only or when
    /// it had been cancelled meanwhile, for its spans.
    pub fn end(&mut self, id: JobId, worked: Worked, at: Timestamp) -> Option<JobView> {
        let entry = self.jobs.get_mut(&id)?;
        if entry.view.state == State::Cancelled {
            return Some(entry.view.clone());
        }
        if entry.view.state.is_terminal() {
            return None;
        }
        let attempt = entry.view.attempts.last_mut()?;
        attempt.ended_at = Some(at);
        attempt.timings = Some(worked.timings);
        match worked.outcome {
            Ok(reports) => {
                attempt.outcome = Some(AttemptOutcome::Succeeded);
                for report in reports {
                    let (result, frames) = split(report);
                    entry.view.results.push(result);
                    entry.frames.push(frames);
                }
                entry.finish(State::Succeeded, at);
            }
            Err(failure) => {
                attempt.outcome = Some(AttemptOutcome::Failed);
                attempt.failure = Some(failure.clone());
                entry.fail(failure, at);
            }
        }
        let view = entry.view.clone();
        self.keep(id);
        Some(view)
    }

    pub fn page(&self, list: &ListJobs) -> JobPage {
        let before = |id: &JobId| list.after.is_none_or(|after| *id < after);
        let mut passing = self
            .jobs
            .iter()
            .rev()
            .filter(|(id, _)| before(id))
            .map(|(_, entry)| entry.summary())
            .filter(|job| list.filter.takes(job));
        let jobs: Vec<JobSummary> = passing.by_ref().take(list.limit()).collect();
        let next = if passing.next().is_some() { jobs.last().map(|job| job.id) } else { None };
        JobPage { jobs, next }
    }

    /// A column that is asked for and not there, and those that are.
    pub fn unknown_column(&self, get: &GetFrames) -> Option<(String, Vec<String>)> {
        let table = self.jobs.get(&get.job)?.frames.get(get.distorted_index)?;
        let unknown = get.columns.iter().find(|name| table.column(name).is_none())?;
        let known = table.columns.iter().map(|column| column.name.clone());
        Some((unknown.clone(), known.collect()))
    }

    /// The frames and columns asked for; `None` where there are none (any more).
    pub fn frames(&self, get: &GetFrames) -> Option<FrameTable> {
        let table = self.jobs.get(&get.job)?.frames.get(get.distorted_index)?;
        let wanted = get.frames();
        let from = table.frame_indices.partition_point(|index| *index < wanted.start);
        let to = table.frame_indices.partition_point(|index| *index < wanted.end);
        let columns = table
            .columns
            .iter()
            .filter(|column| get.columns.is_empty() || get.columns.contains(&column.name))
            .map(|column| Column {
                name: column.name.clone(),
                values: column.values[from..to].to_vec(),
            });
        Some(FrameTable {
            columns: columns.collect(),
            frame_indices: table.frame_indices[from..to].to_vec(),
        })
    }

    /// Counts a job that has just ended, and gives up what ended longest ago beyond the bounds. The
    /// newest keeps its frames whatever their number: nothing of it was read yet.
    fn keep(&mut self, id: JobId) {
        self.ended.push_back(id);
        while self.ended.len() > KEPT_MAX {
            let oldest = self.ended.pop_front();
            oldest.and_then(|id| self.jobs.remove(&id));
        }
        let mut values = 0;
        for (age, id) in self.ended.iter().rev().enumerate() {
            let Some(entry) = self.jobs.get_mut(id) else { continue };
            values += entry.value_count();
            if values > VALUES_KEPT_MAX && age > 0 {
                entry.frames.clear();
            }
        }
    }
}

impl Entry {
    fn tell(&self) {
        self.extras.changes.send_replace(());
    }

    fn finish(&mut self, state: State, at: Timestamp) {
        self.view.state = state;
        self.view.finished_at = Some(at);
        self.view.progress = None;
        self.tell();
    }

    fn fail(&mut self, failure: Failure, at: Timestamp) {
        let state = match failure.kind {
            FailureKind::Cancelled => State::Cancelled,
            _ => State::Failed,
        };
        self.view.failure = Some(failure);
        self.finish(state, at);
    }

    fn progress(&self) -> Option<types::Progress> {
        (self.view.state == State::Running).then(|| self.progress.read())
    }

    fn value_count(&self) -> usize {
        self.frames.iter().map(|table| table.frame_count() * table.columns.len()).sum()
    }

    fn summary(&self) -> JobSummary {
        let view = &self.view;
        let headline = view.results.first().and_then(|result| result.models.first());
        JobSummary {
            id: view.id,
            tenant: String::new(),
            state: view.state,
            labels: view.spec.labels.clone(),
            priority: view.spec.priority.get(),
            submitted_at: view.submitted_at,
            finished_at: view.finished_at,
            attempts: u32::try_from(view.attempts.len()).unwrap_or(u32::MAX),
            score: headline.map(|model| model.pooled.mean),
            failure: view.failure.clone(),
            trace: view.trace.clone(),
            progress: self.progress(),
        }
    }
}

/// A report as a job shows it, and its frames apart.
fn split(report: ScoreReport) -> (ResultView, FrameTable) {
    let result = ResultView {
        width: report.width,
        height: report.height,
        frame_count: report.frames.frame_count() as u64,
        models: report.models,
        pooled: report.pooled,
        aggregates: report.aggregates,
        warnings: report.warnings,
        provenance: report.provenance,
        digest: report.digest,
        encoded: report.encoded,
    };
    (result, report.frames)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{MediaRef, StageTimings};

    fn queued(table: &mut Table, number: u128) -> JobId {
        let id = JobId::from_bytes(number.to_be_bytes());
        let spec = JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b"));
        let trace = TraceContext {
            trace_id: observability::new_trace_id(),
            span_id: observability::new_span_id(),
            flags: types::TraceFlags::RANDOM,
            tracestate: String::new(),
        };
        let (changes, _) = watch::channel(());
        let extras = Extras { key: None, changes, cancel: CancelToken::default() };
        let view = new_view(id, spec, Timestamp::EPOCH, trace, observability::new_span_id());
        table.insert(view, extras);
        id
    }

    fn succeed(table: &mut Table, id: JobId) {
        table.start(id, Timestamp::EPOCH).expect("queued");
        let worked = Worked { outcome: Ok(Vec::new()), timings: StageTimings::default() };
        table.end(id, worked, Timestamp::EPOCH).expect("known");
    }

    #[test]
    fn a_long_job_is_the_newest_when_it_ends_however_many_ended_meanwhile() {
        let mut table = Table::default();
        let film = queued(&mut table, 0);
        table.start(film, Timestamp::EPOCH).expect("queued");
        let mut first = None;
        for number in 0..KEPT_MAX {
            let id = queued(&mut table, 1 + number as u128);
            table.cancel(id, Timestamp::EPOCH);
            first.get_or_insert(id);
        }
        let worked = Worked { outcome: Ok(Vec::new()), timings: StageTimings::default() };
        table.end(film, worked, Timestamp::EPOCH).expect("known");
        assert_eq!(table.view(film).map(|view| view.state), Some(State::Succeeded));
        assert!(first.and_then(|id| table.view(id)).is_none(), "the bound holds");
    }

    #[test]
    fn a_column_that_is_not_there_is_named_with_those_that_are() {
        let mut table = Table::default();
        let id = queued(&mut table, 1);
        let column = |name: &str| Column { name: name.to_owned(), values: vec![1.0] };
        let frames =
            FrameTable { frame_indices: vec![0], columns: vec![column("vmaf"), column("adm")] };
        table.jobs.get_mut(&id).expect("known").frames.push(frames);
        let get = |columns: &[&str]| GetFrames {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            ..GetFrames::all(id)
        };
        assert_eq!(table.unknown_column(&get(&["adm", "vmaf"])), None);
        let known = vec!["vmaf".to_owned(), "adm".to_owned()];
        assert_eq!(table.unknown_column(&get(&["adm", "vmf"])), Some(("vmf".to_owned(), known)));
    }

    #[test]
    fn the_newest_keeps_its_frames_and_older_ones_give_way() {
        // As many values as are kept and some more, without their memory.
        let column = Column { name: String::new(), values: Vec::new() };
        let side = VALUES_KEPT_MAX.isqrt() + 1;
        let large =
            FrameTable { frame_indices: (0..side as u64).collect(), columns: vec![column; side] };
        let mut table = Table::default();
        let (first, second) = (queued(&mut table, 1), queued(&mut table, 2));
        for id in [second, first] {
            table.jobs.get_mut(&id).expect("known").frames.push(large.clone());
            succeed(&mut table, id);
        }
        assert!(!table.jobs[&first].frames.is_empty(), "it ended last");
        assert!(table.jobs[&second].frames.is_empty());
    }
}
