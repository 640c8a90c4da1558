//! Runs of target-quality encoding: what `tune` started, behind the same handles as jobs.
//!
//! Invariants: one run at a time encodes, a bounded number waits, of ended ones the newest are kept;
//! asking again for what runs or has succeeded gives the same run, so that no encode is made twice;
//! a run ends with its process, and what it had measured is on disk where a journal is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::{CancelToken, Stop};
use observability::Context;
use tokio::sync::{Semaphore, watch};
use types::{Failure, FailureKind, JobId, State, Timestamp, TraceId};
use vmafx_tune::{CrfRequest, Environment, Event, Sink, TuneOutcome, TuneRequest};

use crate::clock::{now, random};
use crate::error::ToolError;

/// Runs that encode at once: an encoder takes the whole machine.
pub const TUNES_RUNNING_MAX: usize = 1;
/// Runs that may wait or run.
pub const TUNES_UNENDED_MAX: usize = 8;
/// Ended runs that are kept.
pub const TUNES_KEPT_MAX: usize = 32;

/// A run as its callers see it.
#[derive(Debug, Clone)]
pub(crate) struct TuneView {
    pub id: JobId,
    pub state: State,
    pub submitted_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub trace_id: TraceId,
    /// Parts tried so far.
    pub probes: u64,
    /// How often something happened.
    pub steps: u64,
    /// What happened last.
    pub note: String,
    pub outcome: Option<Arc<TuneOutcome>>,
    pub failure: Option<Failure>,
}

#[derive(Debug)]
struct Run {
    view: TuneView,
    /// What was asked, by which the same question is known again.
    question: String,
    output: Option<PathBuf>,
    cancel: CancelToken,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    env: Environment,
    output_root: Option<PathBuf>,
    slots: Semaphore,
    runs: Mutex<BTreeMap<JobId, Run>>,
}

/// The runs of this process. Dropping it cancels them.
#[derive(Debug)]
pub(crate) struct Tunes(Arc<Shared>);

impl Tunes {
    /// `env` says with what runs are done; finished files go below `output_root`, or are not made.
    pub fn new(env: Environment, output_root: Option<PathBuf>) -> Self {
        let slots = Semaphore::new(TUNES_RUNNING_MAX);
        Self(Arc::new(Shared { env, output_root, slots, runs: Mutex::default() }))
    }

    /// Where finished files go.
    pub fn output_root(&self) -> Option<&PathBuf> {
        self.0.output_root.as_ref()
    }

    /// Starts a run, or finds the one that answers the same question; says which, and whether it is
    /// new. Must be called within a runtime, in the context that the run belongs to.
    pub fn start(&self, request: TuneRequest) -> Result<(JobId, bool), ToolError> {
        let question = question(&request)?;
        let mut runs = self.0.runs();
        let alike = |run: &&Run| run.question == question && run.is_of_use();
        if let Some(run) = runs.values().rev().find(alike) {
            return Ok((run.view.id, false));
        }
        let output = output(&request);
        let is_taken = |run: &Run| !run.view.state.is_terminal() && run.output == output;
        if let Some(path) = &output
            && (path.symlink_metadata().is_ok() || runs.values().any(is_taken))
        {
            let hint = "Choose another name: a file that is there is not replaced.";
            return Err(ToolError::argument("the output's name is taken", hint));
        }
        if runs.values().filter(|run| !run.view.state.is_terminal()).count() >= TUNES_UNENDED_MAX {
            let message = format!("{TUNES_UNENDED_MAX} runs wait or run already");
            let hint = "Wait for one with get_job, or cancel_job one that is not wanted.";
            return Err(ToolError::new("OVERLOADED", message, hint));
        }
        let id = JobId::new(now(), random());
        let trace = observability::current_trace();
        let view = TuneView {
            id,
            state: State::Queued,
            submitted_at: now(),
            finished_at: None,
            trace_id: trace.map_or_else(observability::new_trace_id, |trace| trace.trace_id),
            probes: 0,
            steps: 0,
            note: "waits for its turn".to_owned(),
            outcome: None,
            failure: None,
        };
        let stop = Stop::never();
        let (changes, _) = watch::channel(());
        let cancel = stop.cancel.clone();
        runs.insert(id, Run { view, question, output, cancel, changes });
        forget(&mut runs);
        drop(runs);
        tokio::spawn(Arc::clone(&self.0).carry_out(id, request, stop, Context::current()));
        Ok((id, true))
    }

    /// A run; `None` where the handle is none of a run.
    pub fn view(&self, id: JobId) -> Option<TuneView> {
        self.0.runs().get(&id).map(|run| run.view.clone())
    }

    /// Is told of every change of a run.
    pub fn changes(&self, id: JobId) -> Option<watch::Receiver<()>> {
        self.0.runs().get(&id).map(|run| run.changes.subscribe())
    }

    /// Cancels a run; `None` where the handle is none, else where it stands now and whether
    /// this call did it.
    pub fn cancel(&self, id: JobId) -> Option<(State, bool)> {
        let mut runs = self.0.runs();
        let run = runs.get_mut(&id)?;
        run.cancel.cancel();
        let changed = !run.view.state.is_terminal();
        if changed {
            run.end(State::Cancelled);
        }
        Some((run.view.state, changed))
    }

    /// Cancels everything.
    pub fn cancel_all(&self) {
        let ids: Vec<JobId> = self.0.runs().keys().copied().collect();
        for id in ids {
            self.cancel(id);
        }
    }
}

impl Drop for Tunes {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

impl Run {
    /// It will be an answer, or is one that still holds.
    fn is_of_use(&self) -> bool {
        match self.view.state {
            State::Queued | State::Running => true,
            State::Succeeded => self.output.as_ref().is_none_or(|path| path.exists()),
            State::Failed | State::Cancelled => false,
        }
    }

    fn end(&mut self, state: State) {
        self.view.state = state;
        self.view.finished_at = Some(now());
        self.changes.send_replace(());
    }
}

/// What is asked, and of which bytes: a source that was written anew is another question.
fn question(request: &TuneRequest) -> Result<String, ToolError> {
    let asked =
        serde_json::to_string(request).map_err(|error| ToolError::internal(error.to_string()))?;
    let source = match request {
        TuneRequest::Crf(CrfRequest { source, .. }) => std::fs::metadata(source).ok(),
        _ => None,
    };
    let written = source.map(|file| (file.len(), file.modified().ok()));
    Ok(format!("{asked} {written:?}"))
}

/// The file that a run makes.
fn output(request: &TuneRequest) -> Option<PathBuf> {
    match request {
        TuneRequest::Crf(CrfRequest { output, .. }) => output.clone(),
        _ => None,
    }
}

/// Gives up the runs that ended longest ago beyond the bound.
fn forget(runs: &mut BTreeMap<JobId, Run>) {
    let ended = runs.values().filter_map(|run| Some((run.view.finished_at?, run.view.id)));
    let mut ended: Vec<(Timestamp, JobId)> = ended.collect();
    ended.sort_unstable();
    for (_, id) in ended.iter().take(ended.len().saturating_sub(TUNES_KEPT_MAX)) {
        runs.remove(id);
    }
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, BTreeMap<JobId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to a run that has not ended; says whether there was one.
    fn change(&self, id: JobId, change: impl FnOnce(&mut Run)) -> bool {
        let mut runs = self.runs();
        let run = runs.get_mut(&id).filter(|run| !run.view.state.is_terminal());
        let Some(run) = run else { return false };
        change(run);
        run.changes.send_replace(());
        true
    }

    /// Waits for a slot, runs on a thread of its own, and writes down how it ended.
    async fn carry_out(self: Arc<Self>, id: JobId, request: TuneRequest, stop: Stop, cx: Context) {
        let Ok(_slot) = self.slots.acquire().await else { return };
        if !self.change(id, |run| run.view.state = State::Running) {
            return;
        }
        let told = Arc::clone(&self);
        let work = move || {
            let _within = cx.attach();
            let sink = Told { shared: &told, id };
            vmafx_tune::run(&request, &told.env, &stop, &sink).map_err(|error| error.to_failure())
        };
        let worked = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
            Err(Failure::new(FailureKind::Internal, "the tuning thread panicked"))
        });
        self.change(id, |run| match worked {
            Ok(outcome) => {
                run.view.outcome = Some(Arc::new(outcome));
                run.end(State::Succeeded);
            }
            Err(failure) => {
                tracing::warn!(run = %id, kind = %failure.kind, "tuning failed");
                run.view.failure = Some(failure);
                run.end(State::Failed);
            }
        });
    }
}

/// Writes down what a run tells.
struct Told<'a> {
    shared: &'a Shared,
    id: JobId,
}

impl Sink for Told<'_> {
    fn event(&self, event: &Event) {
        let (note, probed) = match event {
            Event::Analysing { frames_done, frames_total } => {
                let total = frames_total.map_or(String::new(), |total| format!(" of {total}"));
                (format!("reads the source: {frames_done}{total} frames"), 0)
            }
            Event::Analysed { frame_count, shots, .. } => {
                (format!("read the source: {frame_count} frames in {shots} shots"), 0)
            }
            Event::Working { quality, frames_encoded, frames_scored, frames_total } => (
                format!(
                    "tries {quality}: {frames_encoded} of {frames_total} frames encoded, \
                     {frames_scored} scored"
                ),
                0,
            ),
            Event::Probed { quality, score, kilobits_per_second, seconds_left, .. } => {
                let left = seconds_left.map_or(String::new(), |s| format!(", about {s:.0} s left"));
                let text = format!(
                    "tried {quality}: score {score:.2} at {kilobits_per_second:.0} kbit/s{left}"
                );
                (text, 1)
            }
            Event::Found { quality, .. } => (format!("found: {quality}"), 0),
            Event::Widened { samples, .. } => (format!("looks at {samples} samples now"), 0),
            Event::Finishing { quality, round, .. } => {
                (format!("makes the file at {quality}, round {round}"), 0)
            }
            Event::Verified { met, .. } => (
                format!("scored the file in full: target {}", if *met { "met" } else { "missed" }),
                0,
            ),
            Event::Note { message } => (message.clone(), 0),
        };
        self.shared.change(self.id, |run| {
            run.view.probes += probed;
            run.view.steps += 1;
            run.view.note = note;
        });
    }
}
