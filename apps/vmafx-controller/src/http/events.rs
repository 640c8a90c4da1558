//! One job as server-sent events: a snapshot, then every change, until it has ended.
//!
//! Events: `snapshot` with the job as it is, `change` with the job as it has become, `end` when
//! nothing follows. While nothing happens a comment is sent, so that proxies keep the connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use service::http::{Parameters, Problem};
use types::{JobFilter, JobSummary};

use super::query::job_id;
use super::view::SummaryOut;
use crate::app::App;
use crate::queue::WatchEvent;

/// How often a comment is sent while nothing happens.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let id = job_id(&id)?;
    let mut watch = app.queue.watch(JobFilter::default(), Some(id)).await?;
    let closing = app.closing.clone();
    let events = async_stream::stream! {
        let mut kind = "snapshot";
        loop {
            let event = tokio::select! {
                event = watch.next() => event,
                // No `end`: the caller connects again and finds the job as it is then.
                () = closing.cancelled() => break,
            };
            match event {
                Some(WatchEvent::Job(job)) => yield told(kind, job),
                Some(WatchEvent::SnapshotEnd) => kind = "change",
                None if closing.is_cancelled() => break,
                None => {
                    yield Ok(Event::default().event("end").data("{}"));
                    break;
                }
            }
        }
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // Some proxies hold back what they take for a small file.
    let (name, value) = (HeaderName::from_static("x-accel-buffering"), "no");
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    Ok(response)
}

fn told(kind: &str, job: JobSummary) -> Result<Event, Infallible> {
    let data = serde_json::to_string(&SummaryOut::from(job)).unwrap_or_else(|_| "{}".to_owned());
    Ok(Event::default().event(kind).data(data))
}
