//! Who may compute: as many runs as there are slots, and a bounded queue before them.
//!
//! Requests get slots in the order in which they came. Only the first in line asks for a slot, so
//! that whoever shares the slots with direct scoring, such as a node's leased work, waits behind one
//! request at most and not behind all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use observability::metrics::{BusySlot, DirectMetrics, DirectRefusal};
use proto::{ApiError, ErrorKind};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// The least that a caller is told to wait.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// The most that a caller is told to wait.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// What a slot is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// A pair, which takes as long as it takes to compute, and no longer than the server allows.
    Pair,
    /// A stream, which goes on for as long as its caller sends.
    Stream,
}

/// The slots that direct scoring holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// All of them.
    pub runs: usize,
    /// Those of streams, which nothing but their callers ends.
    pub streams: usize,
}

impl Held {
    fn count(&mut self, kind: RunKind, change: impl Fn(&mut usize)) {
        change(&mut self.runs);
        if kind == RunKind::Stream {
            change(&mut self.streams);
        }
    }
}

/// Places for runs, perhaps shared with others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Slots {
    permits: Arc<Semaphore>,
    count: usize,
    /// How many of them direct scoring holds.
    held: watch::Sender<Held>,
}

impl Slots {
    /// This many, for direct scoring alone.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self::shared(Arc::new(Semaphore::new(count)), count)
    }

    /// The permits of others, of which there are `count`: one is held while a run computes.
    #[must_use]
    pub fn shared(permits: Arc<Semaphore>, count: usize) -> Self {
        Self { permits, count, held: watch::Sender::new(Held::default()) }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// What direct scoring holds now.
    #[must_use]
    pub fn held_now(&self) -> Held {
        *self.held.borrow()
    }

    /// What direct scoring holds, now and from now on.
    #[must_use]
    pub fn held(&self) -> watch::Receiver<Held> {
        self.held.subscribe()
    }
}

/// Lets requests in.
#[derive(Debug)]
pub(crate) struct Admission {
    slots: Slots,
    waiting: AtomicUsize,
    waiting_max: usize,
    /// Held by the first in line; the lock hands itself on in order.
    first_in_line: Mutex<()>,
    /// How long the last runs took, as a moving mean in microseconds.
    run_us: AtomicU64,
    metrics: DirectMetrics,
    closing: CancellationToken,
}

/// A slot, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// How long it was waited for.
    pub waited: Duration,
    _permit: OwnedSemaphorePermit,
    _busy: BusySlot,
    kind: RunKind,
    held: watch::Sender<Held>,
    began: Instant,
    admission: Arc<Admission>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // The pace of a stream is its caller's: it says nothing of how long others wait.
        if self.kind == RunKind::Pair {
            self.admission.learn(self.began.elapsed());
        }
        self.held.send_modify(|held| held.count(self.kind, |count| *count -= 1));
    }
}

/// Counts a request as waiting while it does, and as left when it is dropped before it is told
/// how its wait ended.
struct Waiting<'a> {
    admission: &'a Admission,
    is_over: bool,
    _gauge: BusySlot,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.waiting.fetch_sub(1, Ordering::AcqRel);
        if !self.is_over {
            self.admission.metrics.refused(DirectRefusal::Left);
        }
    }
}

impl Admission {
    pub(crate) fn new(
        slots: Slots,
        waiting_max: usize,
        metrics: DirectMetrics,
        closing: CancellationToken,
    ) -> Self {
        metrics.add_slots(slots.count);
        Self {
            slots,
            waiting: AtomicUsize::new(0),
            waiting_max,
            first_in_line: Mutex::new(()),
            run_us: AtomicU64::new(0),
            metrics,
            closing,
        }
    }

    /// How many slots there are, how many direct scoring holds, how many requests wait, and how
    /// many may.
    pub(crate) fn load(&self) -> (usize, usize, usize, usize) {
        let held = self.slots.held_now().runs;
        (self.slots.count, held, self.waiting.load(Ordering::Acquire), self.waiting_max)
    }

    /// Waits until direct scoring holds no slot.
    pub(crate) async fn idle(&self) {
        // The sender lives as long as `self`.
        let _ = self.slots.held().wait_for(|held| held.runs == 0).await;
    }

    /// Waits for a slot, until `until`.
    ///
    /// Cancel safe: dropped, it has taken nothing.
    ///
    /// # Errors
    /// When too many wait already, the time is over, or the service goes down.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        kind: RunKind,
        until: Instant,
    ) -> Result<Admitted, ApiError> {
        let came = Instant::now();
        let line = self.waiting.load(Ordering::Acquire);
        if self.closing.is_cancelled() {
            return Err(self.refuse(DirectRefusal::Closing));
        }
        // Nobody is overtaken: past a line, one waits at its end.
        if line == 0
            && let Ok(permit) = Arc::clone(&self.slots.permits).try_acquire_owned()
        {
            return Ok(self.admitted(kind, permit, came));
        }
        let joined = self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < self.waiting_max).then_some(waiting + 1)
        });
        if joined.is_err() {
            return Err(self.refuse(DirectRefusal::QueueFull));
        }
        let mut waiting =
            Waiting { admission: self, is_over: false, _gauge: self.metrics.waiting() };
        let slot = async {
            let _first = self.first_in_line.lock().await;
            Arc::clone(&self.slots.permits).acquire_owned().await
        };
        let result = tokio::select! {
            biased;
            permit = slot => permit.map_err(|_| DirectRefusal::Closing),
            () = self.closing.cancelled() => Err(DirectRefusal::Closing),
            () = tokio::time::sleep_until(until.into()) => Err(DirectRefusal::TimedOut),
        };
        waiting.is_over = true;
        drop(waiting);
        match result {
            Ok(permit) => Ok(self.admitted(kind, permit, came)),
            Err(why) => Err(self.refuse(why)),
        }
    }

    fn admitted(
        self: &Arc<Self>,
        kind: RunKind,
        permit: OwnedSemaphorePermit,
        came: Instant,
    ) -> Admitted {
        let held = self.slots.held.clone();
        held.send_modify(|held| held.count(kind, |count| *count += 1));
        let began = Instant::now();
        let waited = began - came;
        self.metrics.waited(waited);
        Admitted {
            waited,
            _permit: permit,
            _busy: self.metrics.busy(),
            kind,
            held,
            began,
            admission: Arc::clone(self),
        }
    }

    fn refuse(&self, why: DirectRefusal) -> ApiError {
        self.metrics.refused(why);
        let (slots, _, waiting, waiting_max) = self.load();
        match why {
            DirectRefusal::QueueFull => {
                let text = format!(
                    "every slot ({slots}) is busy and as many requests wait as may \
                     ({waiting_max}); call again later, or submit a job to a controller"
                );
                ApiError::new(ErrorKind::Overloaded, text).retry_after(self.retry_after(waiting))
            }
            DirectRefusal::TimedOut => {
                let text = "the time was over before a slot was free";
                ApiError::new(ErrorKind::DeadlineExceeded, text)
            }
            DirectRefusal::Closing | DirectRefusal::Left => going_down(),
        }
    }

    /// When the line ahead will have been served, at the pace of the last runs.
    fn retry_after(&self, waiting: usize) -> Duration {
        let run = Duration::from_micros(self.run_us.load(Ordering::Relaxed));
        let rounds = (waiting + 1).div_ceil(self.slots.count.max(1));
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        run.saturating_mul(rounds).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
    }

    /// A run took this long.
    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let before = self.run_us.load(Ordering::Relaxed);
        let mean = if before == 0 { took } else { before - before / 4 + took / 4 };
        // A lost update costs nothing but precision.
        self.run_us.store(mean.max(1), Ordering::Relaxed);
    }
}

/// What callers hear when the service goes down.
pub(crate) fn going_down() -> ApiError {
    let text = "the service is shutting down; call again in a moment";
    ApiError::new(ErrorKind::Unavailable, text).retry_after(RETRY_AFTER_MIN)
}

#[cfg(test)]
mod tests {
    use observability::Metrics;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn admission(slots: &Slots, waiting_max: usize) -> Arc<Admission> {
        let metrics = Metrics::new().direct().clone();
        Arc::new(Admission::new(slots.clone(), waiting_max, metrics, CancellationToken::new()))
    }

    fn later() -> Instant {
        Instant::now() + SOON
    }

    /// Waits until so many wait.
    async fn line(admission: &Admission, waiting: usize) {
        let reached = async {
            while admission.load().2 != waiting {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, reached).await.expect("the line has that length");
    }

    #[tokio::test]
    async fn beyond_slots_and_line_callers_are_told_when_to_come_again() {
        let admission = admission(&Slots::new(1), 1);
        let first = admission.enter(RunKind::Pair, later()).await.expect("free");
        let second = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter(RunKind::Pair, later()).await }
        });
        line(&admission, 1).await;
        let error = admission.enter(RunKind::Pair, later()).await.expect_err("full");
        assert_eq!(error.kind, ErrorKind::Overloaded);
        assert_eq!(error.retry_after, Some(RETRY_AFTER_MIN));
        drop(first);
        let second = second.await.expect("no panic").expect("its turn");
        assert_eq!(admission.load(), (1, 1, 0, 1));
        drop(second);
        assert_eq!(admission.load(), (1, 0, 0, 1));
    }

    #[tokio::test]
    async fn who_waits_too_long_leaves_or_finds_the_service_closing_takes_nothing() {
        let admission = admission(&Slots::new(1), 4);
        let held = admission.enter(RunKind::Pair, later()).await.expect("free");
        let soon = Instant::now() + Duration::from_millis(20);
        let error = admission.enter(RunKind::Pair, soon).await.expect_err("too long");
        assert_eq!(error.kind, ErrorKind::DeadlineExceeded);
        let left = tokio::time::timeout(
            Duration::from_millis(20),
            admission.enter(RunKind::Pair, later()),
        )
        .await;
        assert!(left.is_err(), "it left while it waited");
        admission.closing.cancel();
        let error = admission.enter(RunKind::Pair, later()).await.expect_err("closing");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        drop(held);
        assert_eq!(
            (admission.load(), admission.slots.permits.available_permits()),
            ((1, 0, 0, 4), 1)
        );
    }

    #[tokio::test]
    async fn others_who_share_the_slots_wait_behind_one_request_only() {
        let permits = Arc::new(Semaphore::new(1));
        let admission = admission(&Slots::shared(Arc::clone(&permits), 1), 8);
        let held = admission.enter(RunKind::Pair, later()).await.expect("free");
        let queued: Vec<_> = (0..4)
            .map(|_| {
                let admission = Arc::clone(&admission);
                tokio::spawn(async move { admission.enter(RunKind::Pair, later()).await })
            })
            .collect();
        line(&admission, 4).await;
        let lease = tokio::spawn(permits.acquire_owned());
        // The lease is in the semaphore's line too, before the first slot is given back.
        tokio::task::yield_now().await;
        drop(held);
        let mut queued = queued.into_iter();
        let first = queued.next().expect("four").await.expect("no panic").expect("its turn");
        assert_eq!(admission.load().2, 3);
        drop(first);
        let lease = tokio::time::timeout(SOON, lease).await.expect("second in line");
        drop(lease.expect("no panic").expect("open"));
        for next in queued {
            drop(next.await.expect("no panic").expect("its turn"));
        }
    }

    #[tokio::test]
    async fn slots_of_streams_are_told_apart_and_their_pace_teaches_nothing() {
        let admission = admission(&Slots::new(2), 0);
        let pair = admission.enter(RunKind::Pair, later()).await.expect("free");
        let stream = admission.enter(RunKind::Stream, later()).await.expect("free");
        assert_eq!(admission.slots.held_now(), Held { runs: 2, streams: 1 });
        drop(stream);
        assert_eq!(admission.slots.held_now(), Held { runs: 1, streams: 0 });
        assert_eq!(admission.run_us.load(Ordering::Relaxed), 0);
        drop(pair);
        assert_eq!(admission.slots.held_now(), Held::default());
        assert_ne!(admission.run_us.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_time_to_wait_follows_the_line_and_the_pace_within_bounds() {
        let admission = admission(&Slots::new(2), 100);
        admission.learn(Duration::from_secs(4));
        assert_eq!(admission.retry_after(3), Duration::from_secs(8));
        assert_eq!(admission.retry_after(99), RETRY_AFTER_MAX);
        admission.run_us.store(10, Ordering::Relaxed);
        assert_eq!(admission.retry_after(99), RETRY_AFTER_MIN);
    }
}
