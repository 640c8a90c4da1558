//! What goes out over a stream, on a task of its own.
//!
//! The task and not the response's body owns the table of the run and what ends it. So the deadline,
//! the end of the run and the end of the service are seen also while the caller does not read, and
//! what nobody reads is given up after the time that a stream may pause. The body of a caller that
//! never reads holds [`ANSWERS_WAITING_MAX`] messages and the reason of the end, and nothing else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::LiveFrame;
use media::Stop;
use proto::score::Scored;
use proto::scoring as pb;
use proto::scoring::score_stream_response::Message as Said;
use proto::{ApiError, ErrorKind};
use scoring::LiveScores;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::Status;
use types::{Failure, FailureKind, FrameTable, PoolingMethod, ScoreReport, TraceId};

use crate::admission::going_down;
use crate::direct::{CancelOnDrop, Direct, OVER, Ran};
use crate::grpc::BoxStream;

/// Frames whose scores are taken from the run at a time.
pub const FRAMES_IN_A_ROW_MAX: usize = 256;

/// Answers that wait for the connection to take them.
const ANSWERS_WAITING_MAX: usize = 32;

/// Ends a task when nobody needs it any more.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(pub(crate) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type RanOrLost = Result<Ran, oneshot::error::RecvError>;

/// What goes out over a stream.
pub(crate) struct Answers {
    pub direct: Arc<Direct>,
    pub live: LiveScores,
    /// The place of the model's score among a frame's values.
    pub score_column: Option<usize>,
    pub changed: Arc<Notify>,
    /// The first row of the table that has not gone out.
    pub next_row: usize,
    /// What the run gives. Counts what it does while it is waited for.
    pub done: Pin<Box<dyn Future<Output = RanOrLost> + Send>>,
    /// The report of the run and when it was there.
    pub ended: Option<(Instant, ScoreReport)>,
    /// Why the intake ended, where it could not take everything.
    pub failed: mpsc::Receiver<Status>,
    pub deadline: Option<Instant>,
    pub pooling: PoolingMethod,
    pub waited: Duration,
    pub trace_id: Option<TraceId>,
    pub stop: Stop,
    pub _intake: AbortOnDrop,
    pub _cancel: CancelOnDrop,
}

type Out = mpsc::Sender<pb::ScoreStreamResponse>;

impl Answers {
    /// Starts the task and gives the body that it fills.
    pub fn body(self, started: pb::StreamStarted) -> BoxStream<pb::ScoreStreamResponse> {
        let (out, mut said) = mpsc::channel(ANSWERS_WAITING_MAX);
        let (why, end) = oneshot::channel();
        let telling = async move {
            if let Err(status) = self.tell(started, &out).await {
                // Nobody listens where the caller has left.
                let _ = why.send(status);
            }
        };
        tokio::spawn(observability::with_context(observability::Context::current(), telling));
        Box::pin(async_stream::try_stream! {
            while let Some(message) = said.recv().await {
                yield message;
            }
            if let Ok(status) = end.await {
                Err(status)?;
            }
        })
    }

    async fn tell(mut self, started: pb::StreamStarted, out: &Out) -> Result<(), Status> {
        self.say(Said::Started(started), out).await?;
        while self.ended.is_none() {
            let frames = self.live.frames(self.next_row, FRAMES_IN_A_ROW_MAX);
            self.next_row += frames.len();
            if frames.is_empty() {
                self.event(out, Instant::now()).await?;
            }
            for frame in frames {
                let frame = self.frame(frame);
                self.say(Said::Frame(frame), out).await?;
            }
        }
        while let Some(frame) = self.left(self.next_row) {
            self.next_row += 1;
            let frame = self.frame(frame);
            self.say(Said::Frame(frame), out).await?;
        }
        if let Some(aggregate) = self.aggregate() {
            self.say(Said::Aggregate(aggregate), out).await?;
        }
        Ok(())
    }

    /// Hands an answer over, as soon as the caller has read enough of those before.
    async fn say(&mut self, said: Said, out: &Out) -> Result<(), Status> {
        let since = Instant::now();
        loop {
            tokio::select! {
                biased;
                event = self.event(out, since) => event?,
                permit = out.reserve() => {
                    let permit = permit.map_err(|_| left())?;
                    permit.send(pb::ScoreStreamResponse { message: Some(said) });
                    return Ok(());
                }
            }
        }
    }

    /// Waits until something happens; an error is the stream's end. What is to go out has waited
    /// `since` then.
    ///
    /// Cancel safe.
    async fn event(&mut self, out: &Out, since: Instant) -> Result<(), Status> {
        let late = until(self.deadline);
        let idle_max = self.direct.stream_idle_max;
        let unread = until(self.ended.as_ref().map(|(at, _)| since.max(*at) + idle_max));
        let is_on = self.ended.is_none();
        tokio::select! {
            biased;
            // Before the run's own end: what stopped it is the reason that counts.
            Some(status) = self.failed.recv(), if is_on => Err(status),
            () = self.direct.closing.cancelled(), if is_on => Err(going_down().into()),
            () = late => Err(over()),
            () = out.closed() => Err(left()),
            () = unread => {
                let text = format!("nothing was read for {idle_max:?}; the scores are given up");
                Err(ApiError::new(ErrorKind::DeadlineExceeded, text).into())
            }
            ran = &mut self.done, if is_on => {
                self.ended = Some((Instant::now(), self.report(ran)?));
                Ok(())
            }
            () = self.changed.notified(), if is_on => Ok(()),
        }
    }

    /// The report of a run that has ended, or why there is none.
    fn report(&mut self, ran: RanOrLost) -> Result<ScoreReport, Status> {
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
        let score =
            self.score_column.and_then(|column| values.get(column).copied()).unwrap_or(f64::NAN);
        pb::FrameScore { frame_index, score, values }
    }

    /// A row of the report.
    fn left(&self, row: usize) -> Option<LiveFrame> {
        let table = &self.ended.as_ref()?.1.frames;
        let frame_index = *table.frame_indices.get(row)?;
        let values = table.columns.iter().map(|column| column.values[row]).collect();
        Some(LiveFrame { frame_index, values })
    }

    fn aggregate(&mut self) -> Option<pb::ScoreResponse> {
        let report = &mut self.ended.as_mut()?.1;
        let frame_count = report.frames.frame_count() as u64;
        report.frames = FrameTable::default();
        let (report, pooling) = (report.clone(), self.pooling);
        let (waited, trace_id) = (self.waited, self.trace_id);
        Some(Scored { report, frame_count, pooling, waited, trace_id }.into())
    }
}

/// Waits until then, for ever where there is no such time.
pub(crate) async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn over() -> Status {
    ApiError::from(&Failure::new(FailureKind::TimedOut, OVER)).into()
}

/// What nobody hears: the caller has left.
fn left() -> Status {
    Status::cancelled("the caller has left")
}
