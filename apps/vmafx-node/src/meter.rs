//! What an attempt costs, counted while it works, so that rates are true of long attempts too.

use std::future::Future;
use std::time::{Duration, Instant};

use observability::metrics::NodeMetrics;

use crate::worker::PartProgress;

/// How often a working attempt is counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Counts one attempt's frames, bytes and time, each once.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    metrics: &'a NodeMetrics,
    progress: &'a PartProgress,
    frames: u64,
    bytes: u64,
    cpu: Duration,
    at: Instant,
}

impl<'a> Meter<'a> {
    /// Begins to count; what was before now is none of this attempt.
    pub fn new(metrics: &'a NodeMetrics, progress: &'a PartProgress) -> Self {
        Self { metrics, progress, frames: 0, bytes: 0, cpu: Duration::ZERO, at: Instant::now() }
    }

    /// Waits for the work's end and counts until then.
    pub async fn follow<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                worked = &mut work => {
                    self.count();
                    return worked;
                }
                _ = ticks.tick() => self.count(),
            }
        }
    }

    /// Adds what has come since the last time.
    fn count(&mut self) {
        let (frames, bytes) = (self.progress.frames_done(), self.progress.bytes_read());
        let (cpu, now) = (self.progress.cpu_time(), Instant::now());
        self.metrics.frames().add(frames - self.frames);
        self.metrics.bytes_read().add(bytes - self.bytes);
        self.metrics.cpu_time().add(cpu - self.cpu);
        self.metrics.work_time().add(now - self.at);
        (self.frames, self.bytes, self.cpu, self.at) = (frames, bytes, cpu, now);
    }
}
