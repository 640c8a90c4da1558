//! Small reports go over the work stream while it is open: a message each way instead of a call.
//!
//! The lane promises nothing: where it is closed, has no room, breaks, or the controller wants the
//! report another way, [`deliver`](crate::deliver) calls `ReportResult`, which says why. A report
//! sent both ways is one report.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::Reporter;
use tokio::sync::oneshot;
use types::{AttemptReport, ReportAnswer};

use crate::hands::Key;

/// How long an answer may take until the report is sent by a call.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

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

    /// Sends the report this way and waits for its answer; `None` when it must go another way.
    ///
    /// Cancel safe: the report may then be sent twice.
    pub async fn send(&self, report: &AttemptReport) -> Option<ReportAnswer> {
        if !Reporter::suits(report) {
            return None;
        }
        let key = (report.part, report.fence);
        let answer = {
            let mut open = self.lock();
            let reporter = open.reporter.clone()?;
            let (waiting, answer) = oneshot::channel();
            open.waiting.insert(key, waiting);
            if reporter.offer(Box::new(report.clone())).is_err() {
                open.waiting.remove(&key);
                return None;
            }
            answer
        };
        let answered = tokio::time::timeout(ANSWER_WAIT_MAX, answer).await;
        if answered.is_err() {
            self.lock().waiting.remove(&key);
        }
        answered.ok()?.ok()?
    }
}
