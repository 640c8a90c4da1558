//! Runs of target-quality encoding: what `tune` started, behind the same handles as jobs.
//!
//! Invariants: one run at a time encodes, a bounded number waits, of ended ones the newest are kept;
//! asking again for what runs or has succeeded gives the same run, so that no encode is made twice;
//! a run is cancelled with its callers only when the last of them goes and none was given its handle;
//! a run ends with its process, and what it had measured is on disk where a journal is kept: a file
//! that it had finished is found again by whoever asks the same question.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::{CancelToken, Stop};
use observability::Context;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;
use types::{Failure, FailureKind, JobId, State, Timestamp, TraceId};
use vmafx_tune::{CrfRequest, Environment, Event, Sink, TuneOutcome, TuneRequest};

use crate::claim::Claim;
use crate::clock::{now, random};
use crate::error::{ToolError, hint};

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
    /// Calls that wait for it.
    waiters: usize,
    /// A call was answered with its handle, so that somebody may ask for it at any time.
    is_handed_over: bool,
    /// Its thread works, which goes on for a moment after it was cancelled.
    is_at_work: bool,
}

#[derive(Debug)]
struct Shared {
    env: Environment,
    output_root: Option<PathBuf>,
    slots: Semaphore,
    runs: Mutex<BTreeMap<JobId, Run>>,
    work: TaskTracker,
}

/// What is asked of a run, and what the disk says of it.
struct Asked {
    /// The request and the bytes it is about: a source that was written anew is another question.
    question: String,
    output: Option<PathBuf>,
    /// Something has the output's name.
    is_there: bool,
    /// A file of that name was made by a run of before, perhaps for the same question.
    is_noted: bool,
    /// The output's name, held against others; `None` where there is no output or they hold it.
    claim: Option<Claim>,
}

/// A call that waits for a run. When the last goes, the run is cancelled: nobody would ever ask.
#[derive(Debug)]
pub(crate) struct Waiter {
    shared: Arc<Shared>,
    id: JobId,
}

impl Waiter {
    /// The run's handle goes to the caller: the run is no longer bound to its calls.
    pub fn hand_over(self) {
        if let Some(run) = self.shared.runs().get_mut(&self.id) {
            run.is_handed_over = true;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut runs = self.shared.runs();
        let Some(run) = runs.get_mut(&self.id) else { return };
        run.waiters -= 1;
        if run.waiters == 0 && !run.is_handed_over {
            run.cancel();
        }
    }
}

/// The runs of this process. Dropping it cancels them.
#[derive(Debug)]
pub(crate) struct Tunes(Arc<Shared>);

impl Tunes {
    /// `env` says with what runs are done; finished files go below `output_root`, or are not made.
    /// Runs are carried out within `work`, which is over when all of them have let go.
    pub fn new(env: Environment, output_root: Option<PathBuf>, work: TaskTracker) -> Self {
        let slots = Semaphore::new(TUNES_RUNNING_MAX);
        Self(Arc::new(Shared { env, output_root, slots, runs: Mutex::default(), work }))
    }

    /// Where finished files go.
    pub fn output_root(&self) -> Option<&PathBuf> {
        self.0.output_root.as_ref()
    }

    /// Starts a run, or finds the one that answers the same question, to be waited for. Must be
    /// called in the context that the run belongs to.
    pub async fn start(&self, request: TuneRequest) -> Result<(JobId, Waiter), ToolError> {
        // The disk may hang; neither the runtime nor the other runs wait for it.
        let (shared, looked_at) = (Arc::clone(&self.0), request.clone());
        let look = tokio::task::spawn_blocking(move || shared.look(&looked_at));
        let asked = look.await.unwrap_or_else(|_| Err(ToolError::internal("a thread panicked")))?;
        let mut runs = self.0.runs();
        let alike = |run: &&Run| run.question == asked.question && run.is_of_use(&asked);
        let known = runs.values().rev().find(alike).map(|run| run.view.id);
        let id = match known {
            Some(id) => id,
            None => {
                check_room(&runs, &asked)?;
                self.0.begin(&mut runs, asked, request)
            }
        };
        if let Some(run) = runs.get_mut(&id) {
            run.waiters += 1;
        }
        drop(runs);
        Ok((id, Waiter { shared: Arc::clone(&self.0), id }))
    }

    /// A run; `None` where the handle is none of a run.
    pub fn view(&self, id: JobId) -> Option<TuneView> {
        self.0.runs().get(&id).map(|run| run.view.clone())
    }

    /// The runs in these states (all where none is named) that were started before one, newest first.
    pub fn list(&self, states: &[State], before: Option<JobId>) -> Vec<TuneView> {
        let runs = self.0.runs();
        let passing = runs.values().rev().map(|run| &run.view).filter(|view| {
            before.is_none_or(|before| view.id < before)
                && (states.is_empty() || states.contains(&view.state))
        });
        passing.cloned().collect()
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
        let changed = run.cancel();
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
    fn is_of_use(&self, asked: &Asked) -> bool {
        match self.view.state {
            State::Queued | State::Running => true,
            State::Succeeded => self.output.is_none() || asked.is_there,
            State::Failed | State::Cancelled => false,
        }
    }

    /// Cancels it; says whether it had not ended.
    fn cancel(&mut self) -> bool {
        self.cancel.cancel();
        let changed = !self.view.state.is_terminal();
        if changed {
            self.end(State::Cancelled);
        }
        changed
    }

    fn end(&mut self, state: State) {
        self.view.state = state;
        self.view.finished_at = Some(now());
        self.changes.send_replace(());
    }
}

/// Whether one more run may begin.
fn check_room(runs: &BTreeMap<JobId, Run>, asked: &Asked) -> Result<(), ToolError> {
    if asked.is_there && !asked.is_noted {
        let hint = "Choose another name: a file that is there is not replaced.";
        return Err(ToolError::argument("the output's name is taken", hint));
    }
    if asked.output.is_some() && asked.claim.is_none() {
        let hint = "Choose another name, or wait until that run has let go of it.";
        return Err(ToolError::argument("the output's name is taken by another run", hint));
    }
    if runs.values().filter(|run| !run.view.state.is_terminal()).count() >= TUNES_UNENDED_MAX {
        let message = format!("{TUNES_UNENDED_MAX} runs wait or run already");
        let hint = "Wait for one with get_job, or cancel_job one that is not wanted.";
        return Err(ToolError::new("OVERLOADED", message, hint));
    }
    Ok(())
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
    let idle = runs.values().filter(|run| !run.is_at_work);
    let ended = idle.filter_map(|run| Some((run.view.finished_at?, run.view.id)));
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

    /// Looks at the disk for what a request is about, the source under the rules for sources. Blocks.
    fn look(&self, request: &TuneRequest) -> Result<Asked, ToolError> {
        let asked = serde_json::to_string(request)
            .map_err(|error| ToolError::internal(error.to_string()))?;
        let source = match request {
            TuneRequest::Crf(CrfRequest { source, .. }) if Path::new(source).is_absolute() => {
                self.env.run.media.policy.open_file(source)?.metadata().ok()
            }
            _ => None,
        };
        let written = source.map(|file| (file.len(), file.modified().ok()));
        let output = output(request);
        let is_there = output.as_ref().is_some_and(|path| path.symlink_metadata().is_ok());
        // Whether it is the answer is for the run to find out, which reads both files and tries nothing.
        let is_noted = match &output {
            Some(path) if is_there => vmafx_tune::is_noted(&self.env, path)
                .map_err(|error| ToolError::from(error.to_failure()))?,
            _ => false,
        };
        let claim = match &output {
            Some(path) if !is_there || is_noted => Claim::take(path).map_err(|error| {
                let message = format!("nothing can be written beside {}: {error}", path.display());
                ToolError::new("io", message, hint(FailureKind::Io))
            })?,
            _ => None,
        };
        let question = format!("{asked} {written:?}");
        Ok(Asked { question, output, is_there, is_noted, claim })
    }

    /// Takes a run in, to be carried out when it is its turn.
    fn begin(
        self: &Arc<Self>,
        runs: &mut BTreeMap<JobId, Run>,
        asked: Asked,
        request: TuneRequest,
    ) -> JobId {
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
        let run = Run {
            view,
            question: asked.question,
            output: asked.output,
            cancel: stop.cancel.clone(),
            changes: watch::channel(()).0,
            waiters: 0,
            is_handed_over: false,
            is_at_work: false,
        };
        runs.insert(id, run);
        forget(runs);
        let (work, claim) = (Arc::clone(self), asked.claim);
        let cx = Context::current();
        self.work.spawn(async move {
            work.carry_out(id, request, stop, cx).await;
            // The file has its name, or the thread that would have made it is gone.
            drop(claim);
        });
        id
    }

    /// Waits until the run has ended or is forgotten.
    async fn ended(&self, id: JobId) {
        let changes = self.runs().get(&id).map(|run| run.changes.subscribe());
        let Some(mut changes) = changes else { return };
        while self.runs().get(&id).is_some_and(|run| !run.view.state.is_terminal()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
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
        let slot = tokio::select! {
            slot = self.slots.acquire() => slot.ok(),
            // Cancelled while it waited.
            () = self.ended(id) => None,
        };
        let start = |run: &mut Run| {
            run.view.state = State::Running;
            run.is_at_work = true;
        };
        if slot.is_none() || !self.change(id, start) {
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
        if let Some(run) = self.runs().get_mut(&id) {
            run.is_at_work = false;
        }
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

#[cfg(test)]
mod tests;
