//! Submitting, reading and watching jobs.

use std::sync::Arc;

use observability::layers::ServerSpan;
use proto::controller as pb;
use proto::rpc::{GetFrames, JobEvent, Submit, Submitted, WatchJobs};
use tonic::Status;
use types::SubmitMethod;

use super::{BoxStream, going_down, status};
use crate::app::App;
use crate::queue::WatchEvent;

pub(super) async fn submit(
    app: &App,
    method: SubmitMethod,
    jobs: Vec<Submit>,
    span: Option<&ServerSpan>,
) -> Result<Vec<pb::SubmitJobResponse>, Status> {
    let submitted = app.submit(method, jobs, span).await?;
    let answer = |submitted: crate::queue::Submitted| {
        let crate::queue::Submitted { job, existing, trace } = submitted;
        Submitted { job, existing, trace_id: trace.trace_id }.into()
    };
    Ok(submitted.into_iter().map(answer).collect())
}

pub(super) async fn frames(app: &App, get: GetFrames) -> Result<BoxStream<pb::FrameChunk>, Status> {
    let table = app.queue.frames(get.job, get.distorted_index).await.map_err(status)?;
    // Unknown columns are refused before the stream begins.
    drop(proto::frame_chunks(&table, get.frames(), &get.columns)?);
    Ok(Box::pin(async_stream::try_stream! {
        for chunk in proto::frame_chunks(&table, get.frames(), &get.columns)? {
            yield chunk;
        }
    }))
}

pub(super) async fn watch(
    app: &Arc<App>,
    watch: WatchJobs,
) -> Result<BoxStream<pb::JobEvent>, Status> {
    let mut events = app.queue.watch(watch.filter, watch.only).await.map_err(status)?;
    let closing = app.closing.clone();
    Ok(Box::pin(async_stream::stream! {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = closing.cancelled() => None,
            };
            match event {
                Some(WatchEvent::Job(job)) => yield Ok(JobEvent::Job(Box::new(job)).into()),
                Some(WatchEvent::SnapshotEnd) => yield Ok(JobEvent::SnapshotEnd.into()),
                None if closing.is_cancelled() => {
                    yield Err(going_down());
                    break;
                }
                None => break,
            }
        }
    }))
}
