//! `ScoreStream`: frames in, each frame's scores out as soon as they are final, the aggregate last.
//!
//! Two tasks serve a stream. The intake takes what the caller sends, at the pace of the scorer; the
//! answers are the response's body. They do not wait for each other, so that a caller that sends
//! everything before it reads anything is served as well as one that waits for every score: what it
//! has not read lies in the table of the run, which the pooled values need anyway. When the caller
//! leaves, the body is dropped and takes the intake and the run with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::LiveFrame;
use media::Stop;
use proto::score::{Scored, StreamStart};
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use proto::scoring::score_stream_response::Message as Said;
use proto::{ApiError, ErrorKind, WireError};
use scoring::{LiveScores, Progress, ScoreRequest, StreamRun};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};
use types::{Failure, FailureKind, FrameTable, PoolingMethod, ScoreReport, TraceId};

use crate::admission::going_down;
use crate::direct::{CancelOnDrop, Direct, OVER, Ran};
use crate::grpc::BoxStream;
use crate::meter::Meter;
use crate::pieces::{Intake, Pieces};

/// How long a new stream may take to say what it is.
pub const FIRST_MESSAGE_WAIT: Duration = Duration::from_secs(10);

/// Frames whose scores are taken from the run at a time.
pub const FRAMES_IN_A_ROW_MAX: usize = 256;

/// Opens a stream: reads its configuration, gets a slot, loads the model, starts the run.
pub(crate) async fn open(
    direct: &Arc<Direct>,
    mut messages: Streaming<pb::ScoreStreamRequest>,
    caller: Option<Duration>,
) -> Result<BoxStream<pb::ScoreStreamResponse>, Status> {
    let start = configuration(&mut messages).await?;
    let arrival = direct.arrived(start.spec.force_trace);
    let deadline = direct.deadline(&arrival, [start.timeout, caller]);
    let admitted = direct.enter(&arrival, deadline).await?;
    let waited = admitted.waited;
    let (stop, progress) = (direct.stop(deadline), Progress::new());
    let cancel = CancelOnDrop(stop.cancel.clone());
    let changed = Arc::new(Notify::new());
    let run = prepare(direct, &start, Arc::clone(&changed)).await?;
    let started = pb::StreamStarted {
        columns: run.column_names().map(str::to_owned).collect(),
        trace_id: arrival.trace.as_ref().map(|t| t.trace_id.to_string()).unwrap_or_default(),
    };
    let (columns, live) = (started.columns.len(), run.live());
    let (intake, pieces) = Intake::new(&start);
    let (run_stop, seen) = (stop.clone(), progress.clone());
    let mut pieces: Pieces = pieces;
    let done = direct.compute(&arrival, Instant::now(), progress.clone(), admitted, move || {
        run.run(&mut pieces, &run_stop, &seen)
    })?;
    let (told, failed) = mpsc::channel(1);
    let taking = take(messages, intake, direct.stream_idle_max, told);
    let answers = Answers {
        direct: Arc::clone(direct),
        live,
        score_column: columns - 1,
        changed,
        next_row: 0,
        done,
        failed,
        deadline,
        pooling: start.pooling,
        waited,
        trace_id: arrival.trace.as_ref().map(|trace| trace.trace_id),
        _meter: Meter::new(direct.telemetry.metrics.direct().clone(), progress),
        _intake: AbortOnDrop(tokio::spawn(observability::with_context(
            observability::Context::current(),
            taking,
        ))),
        _cancel: cancel,
        stop,
    };
    Ok(Box::pin(answers.stream(started)))
}

/// The first message of a stream.
async fn configuration(
    messages: &mut Streaming<pb::ScoreStreamRequest>,
) -> Result<StreamStart, Status> {
    let first = tokio::time::timeout(FIRST_MESSAGE_WAIT, messages.message()).await;
    let first = first.map_err(|_| {
        let text = format!("no configuration came within {FIRST_MESSAGE_WAIT:?}");
        ApiError::new(ErrorKind::DeadlineExceeded, text)
    })?;
    match first?.and_then(|request| request.message) {
        Some(Asked::Config(config)) => {
            Ok(StreamStart::try_from(config).map_err(|error| error.within("config"))?)
        }
        Some(Asked::Frame(_)) => {
            let problem = "must come before the first frame";
            Err(WireError::new("config", problem.to_owned()).into())
        }
        None => Err(WireError::missing("config").into()),
    }
}

/// Loads the model, which may lie in a file.
async fn prepare(
    direct: &Direct,
    start: &StreamStart,
    changed: Arc<Notify>,
) -> Result<StreamRun, ApiError> {
    let request = ScoreRequest::from_job(&start.spec, 0)
        .ok_or_else(|| ApiError::new(ErrorKind::Internal, "no pair in the request"))?;
    let (geometry, run) = (start.geometry, direct.run.clone());
    let prepare =
        move || StreamRun::prepare(&request, geometry, &run, move || changed.notify_one());
    let prepared = tokio::task::spawn_blocking(prepare).await;
    let prepared = prepared.map_err(|error| {
        ApiError::new(ErrorKind::Internal, format!("a defect: the model was not loaded: {error}"))
    })?;
    prepared.map_err(|error| ApiError::from(&error.to_failure()))
}

/// Takes what the caller sends until it ends its side, and says why if that fails.
async fn take(
    mut messages: Streaming<pb::ScoreStreamRequest>,
    mut intake: Intake,
    idle_max: Duration,
    told: mpsc::Sender<Status>,
) {
    let all = async {
        loop {
            let next = tokio::time::timeout(idle_max, messages.message()).await;
            let next = next.map_err(|_| {
                let text = format!("no frame came for {idle_max:?}; a stream may pause for less");
                ApiError::new(ErrorKind::DeadlineExceeded, text)
            })?;
            match next?.map(|request| request.message) {
                Some(Some(Asked::Frame(frame))) => intake.take(frame).await?,
                Some(Some(Asked::Config(_))) => {
                    let problem = "came a second time; open another stream for other settings";
                    return Err(WireError::new("config", problem.to_owned()).into());
                }
                Some(None) => {
                    let problem = "holds neither a configuration nor a frame";
                    return Err(WireError::new("message", problem.to_owned()).into());
                }
                None => return Ok::<_, Status>(intake.end().await?),
            }
        }
    };
    if let Err(status) = all.await {
        // Nobody listens where the run has failed before.
        let _ = told.try_send(status);
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What goes out over a stream.
struct Answers {
    direct: Arc<Direct>,
    live: LiveScores,
    /// The place of the model's score among a frame's values.
    score_column: usize,
    changed: Arc<Notify>,
    /// The first row of the table that has not gone out.
    next_row: usize,
    done: oneshot::Receiver<Ran>,
    /// Why the intake ended, where it could not take everything.
    failed: mpsc::Receiver<Status>,
    deadline: Option<Instant>,
    pooling: PoolingMethod,
    waited: Duration,
    trace_id: Option<TraceId>,
    stop: Stop,
    _meter: Meter,
    _intake: AbortOnDrop,
    _cancel: CancelOnDrop,
}

/// What happened while nothing was ready to go out.
enum Event {
    Changed,
    Done(Box<Result<Ran, oneshot::error::RecvError>>),
    Over(Status),
}

impl Answers {
    fn stream(
        mut self,
        started: pb::StreamStarted,
    ) -> impl futures_core::Stream<Item = Result<pb::ScoreStreamResponse, Status>> + Send {
        async_stream::try_stream! {
            yield said(Said::Started(started));
            let report = loop {
                let frames = self.live.frames(self.next_row, FRAMES_IN_A_ROW_MAX);
                self.next_row += frames.len();
                let is_drained = frames.is_empty();
                for frame in frames {
                    yield said(Said::Frame(self.frame(frame)));
                }
                if !is_drained {
                    continue;
                }
                match self.next().await {
                    Event::Changed => {}
                    Event::Done(ran) => break self.ended(*ran)?,
                    Event::Over(status) => Err(status)?,
                }
            };
            for row in self.next_row..report.frames.frame_count() {
                yield said(Said::Frame(self.frame(row_of(&report.frames, row))));
            }
            yield said(Said::Aggregate(self.aggregate(report)));
        }
    }

    async fn next(&mut self) -> Event {
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Before the run's own end: what stopped it is the reason that counts.
            Some(status) = self.failed.recv() => Event::Over(status),
            () = self.direct.closing.cancelled() => Event::Over(going_down().into()),
            () = late => Event::Over(over()),
            () = self.changed.notified() => Event::Changed,
            ran = &mut self.done => Event::Done(Box::new(ran)),
        }
    }

    /// The report of a run that has ended, or why there is none.
    fn ended(
        &mut self,
        ran: Result<Ran, oneshot::error::RecvError>,
    ) -> Result<ScoreReport, Status> {
        let report = self.direct.judged(ran);
        // The intake's end stops the run; which of the two is heard of first is chance.
        match (report, self.failed.try_recv()) {
            (Err(_), Ok(status)) => Err(status),
            (Err(_), _) if self.stop.check() == Err(media::Stopped::DeadlinePassed) => Err(over()),
            (report, _) => Ok(report?),
        }
    }

    fn frame(&self, frame: LiveFrame) -> pb::FrameScore {
        let LiveFrame { frame_index, values } = frame;
        let score = values.get(self.score_column).copied().unwrap_or(f64::NAN);
        pb::FrameScore { frame_index, score, values }
    }

    fn aggregate(&self, mut report: ScoreReport) -> pb::ScoreResponse {
        let frame_count = report.frames.frame_count() as u64;
        report.frames = FrameTable::default();
        let (pooling, waited, trace_id) = (self.pooling, self.waited, self.trace_id);
        Scored { report, frame_count, pooling, waited, trace_id }.into()
    }
}

fn said(message: Said) -> pb::ScoreStreamResponse {
    pb::ScoreStreamResponse { message: Some(message) }
}

fn over() -> Status {
    ApiError::from(&Failure::new(FailureKind::TimedOut, OVER)).into()
}

fn row_of(table: &FrameTable, row: usize) -> LiveFrame {
    let values = table.columns.iter().map(|column| column.values[row]).collect();
    LiveFrame { frame_index: table.frame_indices[row], values }
}
