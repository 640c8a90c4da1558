//! What a run costs, counted while it works, so that rates are true of long runs too.

use std::future::Future;
use std::time::Duration;

use observability::metrics::DirectMetrics;
use scoring::Progress;

/// How often a run is counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Counts one run's frames and bytes, each once; the rest when it is dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    metrics: DirectMetrics,
    progress: Progress,
    frames: u64,
    bytes: u64,
}

impl Meter {
    pub(crate) fn new(metrics: DirectMetrics, progress: Progress) -> Self {
        Self { metrics, progress, frames: 0, bytes: 0 }
    }

    /// Waits for the run's end and counts until then.
    pub(crate) async fn follow<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                worked = &mut work => return worked,
                _ = ticks.tick() => self.count(),
            }
        }
    }

    /// Adds what has come since the last time.
    fn count(&mut self) {
        let (frames, bytes) = (self.progress.frames_done(), self.progress.bytes_read());
        self.metrics.frames().add(frames - self.frames);
        self.metrics.bytes_read().add(bytes - self.bytes);
        (self.frames, self.bytes) = (frames, bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.count();
    }
}
