//! Small reports go over the work stream while it is open: a message each way instead of a call. Of a
//! recorded job that is a span, which the controller's continues.
//!
//! The lane promises nothing: where it is closed, has no room, breaks, or the controller wants the
//! report another way, [`deliver`](crate::deliver) calls `ReportResult`, which says why. A report
//! sent both ways is one report.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::Reporter;
use observability::job_trace::ReportSpan;
use proto::rpc::StreamedReport;
use tokio::sync::oneshot;
use tonic::Code;
use types::{AttemptReport, ReportAnswer};

use crate::hands::Key;

/// How long an answer may take until the report is sent by a call.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Where an answer comes; `None` of a report that was not taken.
type Answer = oneshot::Receiver<Option<ReportAnswer>>;

/// The lane of the present work stream.
#[derive(Debug, Default)]
pub(crate) struct ReportLane(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    reporter: Option<Reporter>,
    waiting: HashMap<Key, oneshot::Sender<Option<ReportAnswer>>>,
}

impl ReportLane {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A work stream is open.
    pub fn open(&self, reporter: Reporter) {
        *self.lock() = Open { reporter: Some(reporter), waiting: HashMap::new() };
    }

    /// It is over: whoever waits for an answer calls.
    pub fn close(&self) {
        *self.lock() = Open::default();
    }

    /// An answer has come; `None` when the report was not taken.
    pub fn answered(&self, key: Key, answer: Option<ReportAnswer>) {
        if let Some(waiting) = self.lock().waiting.remove(&key) {
            let _ = waiting.send(answer);
        }
    }

    /// Sends the report this way and waits for its answer; `None` when it must go another way. `begin`
    /// makes the span of it, where the job is recorded, once it is certain that the report leaves.
    ///
    /// Cancel safe: the report may then be sent twice.
    pub async fn send(
        &self,
        report: &AttemptReport,
        begin: impl FnOnce() -> Option<ReportSpan>,
    ) -> Option<ReportAnswer> {
        if !Reporter::suits(report) {
            return None;
        }
        let key = (report.part, report.fence);
        let (span, answer) = self.put(key, report, begin)?;
        let (code, answer) = match tokio::time::timeout(ANSWER_WAIT_MAX, answer).await {
            Ok(Ok(Some(answer))) => (Code::Ok, Some(answer)),
            Ok(Ok(None)) => (Code::ResourceExhausted, None),
            // The stream is over.
            Ok(Err(_)) => (Code::Unavailable, None),
            Err(_) => {
                self.lock().waiting.remove(&key);
                (Code::DeadlineExceeded, None)
            }
        };
        if let Some(span) = span {
            span.end(code);
        }
        answer
    }

    /// Puts a report onto the stream, if it is open and has room: its span, and where the answer will
    /// come.
    fn put(
        &self,
        key: Key,
        report: &AttemptReport,
        begin: impl FnOnce() -> Option<ReportSpan>,
    ) -> Option<(Option<ReportSpan>, Answer)> {
        let mut open = self.lock();
        let room = open.reporter.as_ref()?.room()?;
        let (waiting, answer) = oneshot::channel();
        open.waiting.insert(key, waiting);
        let span = begin();
        let trace = span.as_ref().and_then(ReportSpan::trace);
        room.put(StreamedReport { report: Box::new(report.clone()), trace });
        Some((span, answer))
    }
}
