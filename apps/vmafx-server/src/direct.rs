//! Direct scoring itself: from a checked request to its answer, whichever face it came through.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use engine::Isa;
use media::{CancelToken, Stop};
use observability::job_trace::{RunResult, run_stages};
use observability::layers::ServerSpan;
use observability::metrics::JobEnd;
use observability::schema::{attr, span_name};
use observability::{
    Context, Origin, SpanKind, SpanRecord, Telemetry, context_of, current_trace, new_span_id,
};
use proto::score::{Score, Scored};
use proto::{ApiError, ErrorKind, MESSAGE_BYTES_MAX};
use scoring::{Progress, RunConfig, ScoreError, ScoreRequest};
use service::{FORCED_PER_MINUTE, ForceBudget, Tokens};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use types::{
    Failure, FailureKind, FrameTable, RunTimings, ScoreReport, Stage, Timestamp, TraceContext,
    Warning,
};

use crate::admission::{Admission, Admitted, RunKind, Slots, going_down};
use crate::meter::Meter;
use crate::unread::{Kept, SMALL_BYTES_MAX, Unread};

/// How much before its caller's a run's deadline lies, so that the answer still arrives; a tenth of
/// the time where that is shorter.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// Per-frame values of one answer over gRPC, frame numbers among them.
pub const FRAME_VALUES_MAX: usize = MESSAGE_BYTES_MAX / 8 - (64 << 10);

/// With what requests are served.
#[derive(Debug, Clone)]
pub struct DirectConfig {
    /// Source rules, decoder, threads of a run.
    pub run: RunConfig,
    /// Places for runs.
    pub slots: Slots,
    /// How many requests may wait for one.
    pub waiting_max: usize,
    /// How long a pair may take, its wait included.
    pub time_max: Duration,
    /// How long a stream may pause.
    pub stream_idle_max: Duration,
    /// Bytes of answers that may lie unread.
    pub unread_bytes_max: NonZeroUsize,
    /// The decoders at hand.
    pub codecs: Vec<String>,
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum Callers {
    /// Whoever presents one of these tokens.
    Known(Tokens),
    /// Anybody.
    Anybody,
}

impl Callers {
    /// The tokens, where there are some.
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        match self {
            Self::Known(tokens) => Some(tokens.clone()),
            Self::Anybody => None,
        }
    }
}

/// Direct scoring, as its faces share it.
#[derive(Debug)]
pub struct Direct {
    pub(crate) run: RunConfig,
    pub(crate) admission: Arc<Admission>,
    time_max: Duration,
    pub(crate) stream_idle_max: Duration,
    unread: Unread,
    pub(crate) codecs: Vec<String>,
    pub(crate) telemetry: Telemetry,
    /// How often whoever calls may force a trace; `None` where callers are known.
    forced: Option<ForceBudget>,
    /// The service goes down soon.
    leaving: AtomicBool,
    /// Cancelled when the service goes down: nobody is let in, streams end.
    pub(crate) closing: CancellationToken,
    /// Ends every run.
    abandon: CancelToken,
}

/// Where and when a request came in.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) instant: Instant,
    pub(crate) at: SystemTime,
    /// The position of its server span.
    pub(crate) trace: Option<TraceContext>,
}

impl Arrival {
    /// The wall clock's time of a moment since.
    fn at(&self, moment: Instant) -> Timestamp {
        let since = moment.saturating_duration_since(self.instant);
        let at = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.after(at + since)
    }
}

/// The trace of the request at hand.
fn trace() -> Option<TraceContext> {
    ServerSpan::current().and_then(|span| span.trace()).or_else(current_trace)
}

/// Ends a run when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(pub(crate) CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What a run gives, from the thread that ran it.
pub(crate) type Ran = Result<ScoreReport, ScoreError>;

impl Direct {
    /// Direct scoring with these settings.
    #[must_use]
    pub fn new(config: DirectConfig, callers: &Callers, telemetry: Telemetry) -> Arc<Self> {
        let closing = CancellationToken::new();
        let metrics = telemetry.metrics.direct().clone();
        let admission = Admission::new(config.slots, config.waiting_max, metrics, closing.clone());
        let forced = match callers {
            Callers::Known(_) => None,
            Callers::Anybody => Some(ForceBudget::new(Instant::now())),
        };
        Arc::new(Self {
            run: config.run,
            admission: Arc::new(admission),
            time_max: config.time_max,
            stream_idle_max: config.stream_idle_max,
            unread: Unread::new(config.unread_bytes_max),
            codecs: config.codecs,
            telemetry,
            forced,
            leaving: AtomicBool::new(false),
            closing,
            abandon: CancelToken::new(),
        })
    }

    /// Lets nobody in any more; who waits is sent away, streams end. Runs go on.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Ends every run.
    pub fn abandon(&self) {
        self.close();
        self.abandon.cancel();
    }

    /// Waits until no run holds a slot.
    pub async fn idle(&self) {
        self.admission.idle().await;
    }

    /// Says of itself that it is not ready. Whoever comes all the same is served.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether requests are welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.closing.is_cancelled() && !self.leaving.load(Ordering::Relaxed)
    }

    /// The instruction set that runs use.
    pub(crate) fn isa(&self) -> Isa {
        Isa::detect(self.run.isa_limit)
    }

    /// Notes a request's arrival.
    pub(crate) fn arrived(&self) -> Arrival {
        Arrival { instant: Instant::now(), at: SystemTime::now(), trace: trace() }
    }

    /// Records the trace of a request that asks for it, where it may.
    pub(crate) fn force_trace(&self, arrival: &mut Arrival) {
        if self.may_force() {
            ServerSpan::current().inspect(ServerSpan::promote);
            arrival.trace = trace();
        }
    }

    fn may_force(&self) -> bool {
        let granted = self.forced.as_ref().is_none_or(|budget| budget.take(Instant::now()));
        if !granted {
            tracing::warn!(
                per_minute = FORCED_PER_MINUTE,
                "too many forced traces: this one follows the sampling ratio"
            );
        }
        granted
    }

    /// When a request's work must have ended: by the earliest of the times that somebody set.
    pub(crate) fn deadline(
        &self,
        arrival: &Arrival,
        timeouts: impl IntoIterator<Item = Option<Duration>>,
    ) -> Option<Instant> {
        let timeout = timeouts.into_iter().flatten().min()?;
        let margin = ANSWER_MARGIN.min(timeout / 10);
        arrival.instant.checked_add(timeout - margin)
    }

    /// What ends a run.
    pub(crate) fn stop(&self, deadline: Option<Instant>) -> Stop {
        Stop { cancel: self.abandon.child(), deadline }
    }

    /// Gets a slot for a request, and writes down the wait for it.
    pub(crate) async fn enter(
        &self,
        kind: RunKind,
        arrival: &Arrival,
        deadline: Option<Instant>,
    ) -> Result<Admitted, ApiError> {
        let until = deadline.unwrap_or_else(|| arrival.instant + self.time_max);
        let result = self.admission.enter(kind, until).await;
        let is_wait = match &result {
            Ok(admitted) => admitted.waited >= Duration::from_millis(1),
            Err(error) => error.kind != ErrorKind::Overloaded,
        };
        if is_wait {
            self.emit_wait(arrival, result.as_ref().err());
        }
        result
    }

    fn emit_wait(&self, arrival: &Arrival, refusal: Option<&ApiError>) {
        let Some(trace) = arrival.trace.as_ref().filter(|trace| trace.flags.is_sampled()) else {
            return;
        };
        let (start, end) = (arrival.at(arrival.instant), arrival.at(Instant::now()));
        let context = trace.with_span(new_span_id());
        let name = span_name::ADMISSION;
        let mut span = SpanRecord::new(context, SpanKind::Internal, name, start, end)
            .child_of(trace.span_id, Origin::Local);
        if let Some(error) = refusal {
            let why = match error.kind {
                ErrorKind::DeadlineExceeded => "timed_out",
                _ => "closing",
            };
            span = span.with(attr::REFUSAL, why).failed(why, "no slot was given");
        }
        self.telemetry.tracer.emit_span(span);
    }

    /// Scores a pair, with the values of its frames where they are wanted, no more than
    /// `values_max`, and fit beside what other callers have not read yet; gives what counts them until they
    /// are read. Dropped, it ends the run.
    pub(crate) async fn score(
        self: &Arc<Self>,
        asked: Score,
        caller: Option<Duration>,
        values_max: usize,
    ) -> Result<(Scored, Option<Kept>), ApiError> {
        let mut arrival = self.arrived();
        if asked.spec.force_trace {
            self.force_trace(&mut arrival);
        }
        let time_max = Some(self.time_max);
        let deadline = self.deadline(&arrival, [asked.timeout, caller, time_max]);
        let admitted = self.enter(RunKind::Pair, &arrival, deadline).await?;
        let waited = admitted.waited;
        let request = ScoreRequest::from_job(&asked.spec, 0)
            .ok_or_else(|| ApiError::new(ErrorKind::Internal, "no pair in the request"))?;
        let (stop, progress) = (self.stop(deadline), Progress::new());
        let _cancel = CancelOnDrop(stop.cancel.clone());
        let began = Instant::now();
        let (run, seen) = (self.run.clone(), progress.clone());
        let ran = self.compute(&arrival, began, progress.clone(), admitted, move || {
            (scoring::run(&request, &run, &stop, &seen), None)
        })?;
        let ran = Meter::new(self.telemetry.metrics.direct().clone(), progress).follow(ran);
        let mut report = self.answered(ran, deadline).await?;
        let frame_count = report.frames.frame_count() as u64;
        keep_frames(&mut report, asked.wants_frames.then_some(values_max));
        let kept = self.count_frames(&mut report, values_max);
        let trace_id = arrival.trace.map(|trace| trace.trace_id);
        Ok((Scored { report, frame_count, pooling: asked.pooling, waited, trace_id }, kept))
    }

    /// Counts the values of the frames among what lies unread, or leaves them out where there is no room.
    fn count_frames(&self, report: &mut ScoreReport, values_max: usize) -> Option<Kept> {
        let bytes = values_of(report) * (MESSAGE_BYTES_MAX / values_max);
        if bytes <= SMALL_BYTES_MAX {
            return None;
        }
        let kept = self.unread.keep(bytes);
        if kept.is_none() {
            report.frames = FrameTable::default();
            let bytes_max = self.unread.bytes_max();
            tracing::warn!(bytes, bytes_max, "frames left out: callers do not read their answers");
            report.warnings.push(Warning {
                code: "frames_left_out".to_owned(),
                message: format!(
                    "the values of the frames take {bytes} bytes, and with what callers have not read yet that is more \
                     than the {bytes_max} that may lie unread; ask for a range of frames, use ScoreStream, or ask again later"
                ),
            });
        }
        kept
    }

    /// Does a run's work on a thread of its own, which holds the slot until it has ended, and writes
    /// down how it went; also when nobody waits for it any more. The work may say what it failed of
    /// where that is not in its error.
    pub(crate) fn compute(
        self: &Arc<Self>,
        arrival: &Arrival,
        began: Instant,
        progress: Progress,
        admitted: Admitted,
        work: impl FnOnce() -> (Ran, Option<FailureKind>) + Send + 'static,
    ) -> Result<oneshot::Receiver<Ran>, ApiError> {
        let (sender, receiver) = oneshot::channel();
        let (this, arrival) = (Arc::clone(self), arrival.clone());
        let body = move || {
            // What is logged here belongs to the request.
            let cx = arrival.trace.as_ref().map(|trace| context_of(trace, Origin::Local));
            let _current = cx.map(Context::attach);
            let (ran, why) = work();
            drop(admitted);
            this.settle(&arrival, began, (&ran, why), &progress);
            // Nobody waits where the caller has left.
            let _ = sender.send(ran);
        };
        let thread = std::thread::Builder::new().name("direct".to_owned()).spawn(body);
        thread.map_err(|error| ApiError::from(&ScoreError::Thread(error).to_failure()))?;
        Ok(receiver)
    }

    /// Waits for what a run gives, until its deadline at most: the caller is answered while it still
    /// listens. The run holds its slot until the frames in hand are finished and its threads have
    /// ended.
    async fn answered(
        &self,
        ran: impl Future<Output = Result<Ran, oneshot::error::RecvError>>,
        deadline: Option<Instant>,
    ) -> Result<ScoreReport, ApiError> {
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ran = ran => self.judged(ran),
            () = late => Err(ApiError::from(&Failure::new(FailureKind::TimedOut, OVER))),
        }
    }

    /// A run's outcome as its caller hears it.
    pub(crate) fn judged(
        &self,
        ran: Result<Ran, oneshot::error::RecvError>,
    ) -> Result<ScoreReport, ApiError> {
        let ran = ran.map_err(|_| {
            ApiError::new(ErrorKind::Internal, "a defect: the work ended without a word")
        })?;
        ran.map_err(|error| match error.kind() {
            FailureKind::TimedOut => ApiError::from(&Failure::new(FailureKind::TimedOut, OVER)),
            FailureKind::Cancelled if self.abandon.is_cancelled() => going_down(),
            _ => ApiError::from(&error.to_failure()),
        })
    }

    /// Writes the spans of a run's stages and counts what it did.
    fn settle(
        &self,
        arrival: &Arrival,
        began: Instant,
        (ran, why): (&Ran, Option<FailureKind>),
        progress: &Progress,
    ) {
        let took = began.elapsed();
        let (direct, engine) = (self.telemetry.metrics.direct(), self.telemetry.metrics.engine());
        let mut failure = None;
        let (timings, result) = match ran {
            Ok(report) => {
                direct.ended(JobEnd::Succeeded, took);
                let frames = report.frames.frame_count() as u64;
                for (feature, cpu) in &report.timings.features {
                    engine.feature(feature, *cpu);
                }
                for model in &report.models {
                    engine.frames(&model.version, frames);
                }
                let types::StageTimings { stages, features, .. } = report.timings.clone();
                let timings = RunTimings { stages, features, ..RunTimings::default() };
                (timings, Some(RunResult::from(report)))
            }
            Err(error) => {
                let kind = why.unwrap_or(error.kind());
                failure = Some(kind);
                let was_stopped = matches!(kind, FailureKind::Cancelled | FailureKind::TimedOut);
                let end = if was_stopped { JobEnd::Cancelled } else { JobEnd::Failed };
                direct.ended(end, took);
                let scored = progress.frames_done() > 0;
                let stage = if scored { Stage::Score } else { Stage::Fetch };
                let stages = vec![(stage, took)];
                (RunTimings { failed: true, stages, ..RunTimings::default() }, None)
            }
        };
        tracing::debug!(
            frames = progress.frames_done(),
            took_ms = took.as_secs_f64() * 1e3,
            failure = failure.map(FailureKind::as_str),
            "direct run ended"
        );
        let Some(trace) = arrival.trace.as_ref().filter(|trace| trace.flags.is_sampled()) else {
            return;
        };
        for span in run_stages(trace, arrival.at(began), &timings, result, failure) {
            self.telemetry.tracer.emit_span(span);
        }
    }
}

/// Per-frame values of a report, frame numbers among them.
fn values_of(report: &ScoreReport) -> usize {
    report.frames.frame_count() * (report.frames.columns.len() + 1)
}

/// Leaves the per-frame values in an answer where they are wanted, up to a number, and fit. Where
/// they do not fit, a warning says so: the scores that were waited for are not lost over it.
fn keep_frames(report: &mut ScoreReport, wanted: Option<usize>) {
    let values = values_of(report);
    if wanted.is_some_and(|values_max| values <= values_max) {
        return;
    }
    report.frames = FrameTable::default();
    if let Some(values_max) = wanted {
        report.warnings.push(Warning {
            code: "frames_left_out".to_owned(),
            message: format!(
                "the {values} values of the frames are more than the {values_max} that one \
                 answer holds; ask for a range of frames, or submit a job to a controller"
            ),
        });
    }
}

/// What a caller hears whose time is over.
pub(crate) const OVER: &str = "the time was over before the scores were there";

#[cfg(test)]
mod tests {
    use types::Column;

    use super::*;

    /// A report of so many frames and one column.
    fn report(frames: usize) -> ScoreReport {
        let columns = vec![Column { name: "vmaf".to_owned(), values: vec![1.0; frames] }];
        let frames = FrameTable { frame_indices: (0..frames as u64).collect(), columns };
        ScoreReport {
            encoded: None,
            width: 2,
            height: 2,
            models: Vec::new(),
            pooled: Vec::new(),
            aggregates: Vec::new(),
            frames,
            warnings: Vec::new(),
            provenance: types::Provenance::default(),
            timings: types::StageTimings::default(),
            digest: String::new(),
        }
    }

    #[test]
    fn frames_stay_where_they_are_wanted_and_fit() {
        for (frames, are_wanted, kept, warnings) in [
            (3, true, 3, 0),
            (3, false, 0, 0),
            (FRAME_VALUES_MAX / 2, true, FRAME_VALUES_MAX / 2, 0),
            (FRAME_VALUES_MAX / 2 + 1, true, 0, 1),
            (FRAME_VALUES_MAX / 2 + 1, false, 0, 0),
        ] {
            let mut report = report(frames);
            keep_frames(&mut report, are_wanted.then_some(FRAME_VALUES_MAX));
            assert_eq!((report.frames.frame_count(), report.warnings.len()), (kept, warnings));
        }
    }
}
