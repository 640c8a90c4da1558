//! `ScoreStream`: frames in, each frame's scores out as soon as they are final, the aggregate last.
//!
//! Two tasks serve a stream. The intake takes what the caller sends, at the pace of the scorer; the
//! answers go into the response's body. They do not wait for each other, so that a caller that sends
//! everything before it reads anything is served as well as one that waits for every score: what it
//! has not read lies in the table of the run, which the pooled values need anyway. When the caller
//! leaves, the body is dropped, the answers see it, and take the intake and the run with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::score::StreamStart;
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use proto::{ApiError, ErrorKind, WireError};
use scoring::{Progress, ScoreError, ScoreRequest, StreamRun};
use tokio::sync::{Notify, mpsc, oneshot};
use tonic::{Status, Streaming};

use crate::admission::{RunKind, going_down};
use crate::answers::{AbortOnDrop, Answers, over, until};
use crate::direct::{CancelOnDrop, Direct, Ran};
use crate::grpc::BoxStream;
use crate::meter::Meter;
use crate::pieces::Intake;

/// How long a new stream may take to say what it is.
pub const FIRST_MESSAGE_WAIT: Duration = Duration::from_secs(10);

/// Opens a stream: reads its configuration, gets a slot, loads the model, starts the run.
pub(crate) async fn open(
    direct: &Arc<Direct>,
    mut messages: Streaming<pb::ScoreStreamRequest>,
    caller: Option<Duration>,
) -> Result<BoxStream<pb::ScoreStreamResponse>, Status> {
    let mut arrival = direct.arrived();
    let start = configuration(&mut messages).await?;
    if start.spec.force_trace {
        direct.force_trace(&mut arrival);
    }
    // The caller's own clock runs since the call, the stream's since its configuration.
    let own = start.timeout.map(|timeout| timeout.saturating_add(arrival.instant.elapsed()));
    let deadline = direct.deadline(&arrival, [own, caller]);
    let admitted = direct.enter(RunKind::Stream, &arrival, deadline).await?;
    let waited = admitted.waited;
    let (stop, progress) = (direct.stop(deadline), Progress::new());
    let cancel = CancelOnDrop(stop.cancel.clone());
    let changed = Arc::new(Notify::new());
    let (intake, mut pieces) = Intake::new(&start);
    let (loading, loaded) = oneshot::channel();
    let prepare = prepare(direct, &start, Arc::clone(&changed))?;
    let (run_stop, seen, refused) = (stop.clone(), progress.clone(), intake.refused());
    let work = move || {
        let ran = prepare().and_then(|run| {
            let columns: Vec<String> = run.column_names().map(str::to_owned).collect();
            // Nobody waits where the caller has left: the run is stopped then.
            let _ = loading.send((columns, run.headline_column(), run.live()));
            run.run(&mut pieces, &run_stop, &seen)
        });
        (ran, refused.get().copied())
    };
    let done = direct.compute(&arrival, Instant::now(), progress.clone(), admitted, work)?;
    let (columns, score_column, live) = tokio::select! {
        loaded = loaded => match loaded {
            Ok(loaded) => loaded,
            Err(_) => return Err(not_loaded(direct, done).await.into()),
        },
        () = direct.closing.cancelled() => return Err(going_down().into()),
        () = until(deadline) => return Err(over()),
    };
    let trace_id = arrival.trace.as_ref().map(|t| t.trace_id.to_string()).unwrap_or_default();
    let started = pb::StreamStarted { columns, trace_id };
    let (told, failed) = mpsc::channel(1);
    let taking = take(messages, intake, direct.stream_idle_max, told);
    let taking = observability::with_context(observability::Context::current(), taking);
    let meter = Meter::new(direct.telemetry.metrics.direct().clone(), progress);
    let answers = Answers {
        direct: Arc::clone(direct),
        live,
        score_column,
        changed,
        next_row: 0,
        done: Box::pin(meter.follow(done)),
        ended: None,
        failed,
        deadline,
        pooling: start.pooling,
        waited,
        trace_id: arrival.trace.as_ref().map(|trace| trace.trace_id),
        stop,
        _intake: AbortOnDrop(tokio::spawn(taking)),
        _cancel: cancel,
    };
    Ok(answers.body(started))
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

/// What loads the model. That may lie in a file on a disk that hangs, so it is loaded on the thread
/// that holds the slot, and waited for no longer than the run is.
fn prepare(
    direct: &Direct,
    start: &StreamStart,
    changed: Arc<Notify>,
) -> Result<impl FnOnce() -> Result<StreamRun, ScoreError> + Send + 'static, ApiError> {
    let request = ScoreRequest::from_job(&start.spec, 0)
        .ok_or_else(|| ApiError::new(ErrorKind::Internal, "no pair in the request"))?;
    let (geometry, run) = (start.geometry, direct.run.clone());
    Ok(move || StreamRun::prepare(&request, geometry, &run, move || changed.notify_one()))
}

/// Why a run ended before its model was loaded.
async fn not_loaded(direct: &Direct, done: oneshot::Receiver<Ran>) -> ApiError {
    let defect = || ApiError::new(ErrorKind::Internal, "a defect: the model was not loaded");
    direct.judged(done.await).err().unwrap_or_else(defect)
}

/// Takes what the caller sends until it ends its side, and says why if that fails.
async fn take(
    messages: Streaming<pb::ScoreStreamRequest>,
    mut intake: Intake,
    idle_max: Duration,
    told: mpsc::Sender<Status>,
) {
    if let Err(status) = take_all(messages, &mut intake, idle_max).await {
        // Before the intake is dropped, which ends the run: whoever hears of that finds the reason.
        intake.refuse(&ApiError::from_status(&status));
        let _ = told.try_send(status);
    }
    drop(intake);
}

/// Takes messages until there are no more, or nobody takes frames any more: the run has ended then,
/// and says why itself.
async fn take_all(
    mut messages: Streaming<pb::ScoreStreamRequest>,
    intake: &mut Intake,
    idle_max: Duration,
) -> Result<(), Status> {
    loop {
        let next = tokio::time::timeout(idle_max, messages.message()).await;
        let next = next.map_err(|_| {
            let text = format!(
                "no whole message came for {idle_max:?}; a stream may pause for less, and a \
                 message that takes longer is better sent in pieces"
            );
            ApiError::new(ErrorKind::DeadlineExceeded, text)
        })?;
        let is_wanted = match next?.map(|request| request.message) {
            Some(Some(Asked::Frame(frame))) => intake.take(frame).await?,
            Some(Some(Asked::Config(_))) => {
                let problem = "came a second time; open another stream for other settings";
                return Err(WireError::new("config", problem.to_owned()).into());
            }
            Some(None) => {
                let problem = "holds neither a configuration nor a frame";
                return Err(WireError::new("message", problem.to_owned()).into());
            }
            None => return Ok(intake.end().await?),
        };
        if !is_wanted {
            return Ok(());
        }
    }
}
