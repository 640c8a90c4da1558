//! How long jobs that have ended are kept.
//!
//! By default for ever. With a rule set, the oldest that it lets go are removed a few at a time, each
//! batch in a commit that others share, with pauses between: whoever submits or reports does not
//! notice. The file does not shrink by it; what is freed is used again.

use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use types::{PartId, Timestamp};

use crate::app::App;
use crate::queue::{Keep, QueueError};
use crate::trace_export::DUE_KEPT;

/// How often it is looked whether there is something to remove.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Jobs that are looked at, and removed, together.
const JOBS_AT_ONCE: usize = 64;
/// The pause after each batch, at least: as long as the batch took.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Which jobs that have ended are kept; a job goes when one of the rules lets it go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Those that ended less than this ago; `None` keeps all.
    pub keep_for: Option<Duration>,
    /// The newest, this many of all jobs; `None` keeps all.
    pub newest: Option<u64>,
}

impl Retention {
    /// Whether any job may go.
    pub(crate) const fn is_on(&self) -> bool {
        self.keep_for.is_some() || self.newest.is_some()
    }
}

/// Works until the controller goes down.
pub(crate) async fn run(app: Weak<App>, rules: Retention, closing: CancellationToken) {
    let work = async {
        loop {
            match forget_old(&app, rules).await {
                Ok(0) => {}
                Ok(jobs) => tracing::info!(jobs, "finished jobs are no longer kept"),
                // What is left is looked at the next time.
                Err(error) => tracing::warn!(%error, "finished jobs cannot be removed"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = closing.cancelled() => {}
    }
}

/// Removes all that the rules let go; answers how many there were.
async fn forget_old(app: &Weak<App>, rules: Retention) -> Result<usize, QueueError> {
    let (mut after, mut count) = (PartId(0), 0);
    let surplus = match (rules.newest, app.upgrade()) {
        (Some(newest), Some(app)) => app.queue.newest_but(newest).await?,
        _ => None,
    };
    while let Some(app) = app.upgrade() {
        // By the clock that all stored times are of.
        let ended_since = rules.keep_for.map(|age| app.queue.now().before(age));
        // What an exporter may still hold is not forgotten before it is a day old.
        let recorded_since = match app.telemetry.tracer.is_enabled() {
            true => {
                let told = app.queue.traces_told().await?.unwrap_or(Timestamp::EPOCH);
                Some(told.max(app.queue.now().before(DUE_KEPT)))
            }
            false => None,
        };
        let keep = Keep { ended_since, after: surplus, recorded_since };
        let began = Instant::now();
        let found = app.queue.forgettable(keep, after, JOBS_AT_ONCE).await?;
        let jobs = found.jobs.len();
        if jobs > 0 {
            app.queue.forget(found.jobs).await?;
            app.telemetry.metrics.queue().forgotten(jobs as u64);
            count += jobs;
        }
        let Some(next) = found.next else { break };
        after = next;
        drop(app);
        tokio::time::sleep(began.elapsed().max(PAUSE_MIN)).await;
    }
    Ok(count)
}
