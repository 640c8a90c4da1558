//! Jobs in a controller's queue.

use std::time::Duration;

use client::{Backoff, Client, ClientError};
use proto::rpc::{CancelAnswer, GetFrames, JobEvent, ListJobs, Submit, WatchJobs};
use tokio::time::Instant;
use types::{FrameTable, JobId, JobPage, JobView, NodeView};

use super::{Accepted, Standing};
use crate::clock::random;
use crate::error::ToolError;
use crate::progress::{Reporter, SILENCE_MAX};

/// The first and the longest wait before a broken watch is opened again.
const WATCH_RETRY_FIRST: Duration = Duration::from_millis(100);
const WATCH_RETRY_MAX: Duration = Duration::from_secs(2);

/// Why a watch is over.
enum Watched {
    /// The job has ended.
    Ended,
    /// The controller has closed the stream; the job may go on.
    Closed,
}

/// Jobs of a controller.
#[derive(Debug)]
pub(crate) struct RemoteJobs {
    client: Client,
}

impl RemoteJobs {
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    pub fn address(&self) -> &str {
        self.client.address()
    }

    /// A submission without a key is given one of its own: what was sent and not answered is sent
    /// again, and makes one job all the same.
    pub async fn submit(&self, mut submit: Submit) -> Result<Accepted, ToolError> {
        submit.idempotency_key.get_or_insert_with(|| format!("mcp-{:032x}", random()));
        let submitted = self.client.submit(submit).await?;
        Ok(Accepted {
            job: submitted.job,
            existing: submitted.existing,
            trace_id: submitted.trace_id,
        })
    }

    pub async fn job(&self, id: JobId) -> Result<JobView, ToolError> {
        Ok(self.client.job(id).await?)
    }

    pub async fn list(&self, list: ListJobs) -> Result<JobPage, ToolError> {
        Ok(self.client.jobs(list).await?)
    }

    pub async fn cancel(&self, id: JobId) -> Result<CancelAnswer, ToolError> {
        Ok(self.client.cancel(id).await?)
    }

    pub async fn frames(&self, get: GetFrames) -> Result<FrameTable, ToolError> {
        Ok(self.client.frames(get).await?)
    }

    pub async fn nodes(&self) -> Result<Vec<NodeView>, ToolError> {
        Ok(self.client.nodes().await?)
    }

    /// Watches a job until it has ended or the time is up. A controller that restarts meanwhile is
    /// waited for.
    pub async fn follow(
        &self,
        id: JobId,
        until: Instant,
        reporter: &mut Reporter,
    ) -> Result<(), ToolError> {
        let mut backoff = Backoff::new(WATCH_RETRY_FIRST, WATCH_RETRY_MAX);
        loop {
            let watched = tokio::time::timeout_at(until, self.watch(id, reporter)).await;
            match watched {
                Err(_) | Ok(Ok(Watched::Ended)) => return Ok(()),
                Ok(Err(error)) if !error.is_retryable() => return Err(error.into()),
                // Broken, or ended in good order by a controller that goes down.
                Ok(_) => {
                    let next = until.min(Instant::now() + backoff.next_wait());
                    tokio::time::sleep_until(next).await;
                    if next == until {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn watch(&self, id: JobId, reporter: &mut Reporter) -> Result<Watched, ClientError> {
        let watch = WatchJobs { only: Some(id), ..WatchJobs::default() };
        let mut events = self.client.watch(watch).await?;
        let mut standing = None;
        loop {
            // That nothing has changed is said too: a job may wait for its turn for long.
            if let Ok(event) = tokio::time::timeout(SILENCE_MAX, events.next()).await {
                match event? {
                    Some(JobEvent::Job(job)) => {
                        standing = Some(Standing { state: job.state, progress: job.progress });
                    }
                    Some(JobEvent::SnapshotEnd) => continue,
                    None => return Ok(Watched::Closed),
                }
            }
            if let Some(standing) = &standing {
                reporter.job(standing).await;
                if standing.state.is_terminal() {
                    return Ok(Watched::Ended);
                }
            }
        }
    }
}
