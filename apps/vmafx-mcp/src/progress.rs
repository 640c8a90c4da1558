//! Real progress: frames done of all, told no more often than is useful.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RoleServer};

use crate::jobs::Standing;

/// The least time between two notifications of one call. Hosts reset their timeouts with each, and
/// give up after ten seconds at the earliest.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// How long nothing may be told while nothing changes: hosts give up on a call that is silent, and a
/// job may wait for its turn for long.
pub const SILENCE_MAX: Duration = Duration::from_secs(8);

/// What a word that nothing has changed adds to the value told: the protocol wants each to be larger,
/// and a frame is a whole one.
const STILL_STEP: f64 = 1.0 / 1_024.0;

/// How long a notification may take to be handed to the transport; a client that reads nothing
/// holds up no work.
const NOTIFY_WAIT_MAX: Duration = Duration::from_millis(500);

/// Stands for a number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Frames done and, where it can be told, frames there are; written by a thread that works.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<(AtomicU64, AtomicU64)>);

impl Meter {
    /// Nothing done of so many.
    pub fn of(total: Option<u64>) -> Self {
        Self(Arc::new((AtomicU64::new(0), AtomicU64::new(total.unwrap_or(UNKNOWN)))))
    }

    /// One more is done.
    pub fn step(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    /// As many as that will have to be done.
    pub fn set_total(&self, total: u64) {
        self.0.1.store(total, Ordering::Relaxed);
    }

    fn read(&self) -> (u64, Option<u64>) {
        let total = self.0.1.load(Ordering::Relaxed);
        (self.0.0.load(Ordering::Relaxed), Some(total).filter(|total| *total != UNKNOWN))
    }
}

/// Whom to tell.
enum Listener {
    /// Nobody asked.
    Nobody,
    /// The client gave a token with its request.
    Client { peer: Peer<RoleServer>, token: ProgressToken },
}

/// Tells one client how far its call is.
pub struct Reporter {
    listener: Listener,
    began: Instant,
    told: Option<Instant>,
    /// The last value told: the protocol wants each to be larger.
    done: Option<f64>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").field("told", &self.told).finish_non_exhaustive()
    }
}

impl Reporter {
    /// Tells a client, if it gave a token.
    pub fn client(peer: Peer<RoleServer>, token: Option<ProgressToken>) -> Self {
        let listener = match token {
            Some(token) => Listener::Client { peer, token },
            None => Listener::Nobody,
        };
        Self { listener, began: Instant::now(), told: None, done: None }
    }

    /// Tells where a job stands.
    pub(crate) async fn job(&mut self, standing: &Standing) {
        let progress = standing.progress.unwrap_or_default();
        self.tell(standing.state.as_str(), progress.frames_done, progress.frames_total).await;
    }

    /// Tells how far a thread is.
    pub(crate) async fn meter(&mut self, what: &str, meter: &Meter) {
        let (done, total) = meter.read();
        self.tell(what, done, total).await;
    }

    /// Tells what happened last, of work that is not counted in frames; each word once.
    pub(crate) async fn note(&mut self, step: u64, what: &str) {
        self.send(step, None, |_| what.to_owned()).await;
    }

    async fn tell(&mut self, what: &str, done: u64, total: Option<u64>) {
        self.send(done, total, |took| message(what, done, total, took)).await;
    }

    async fn send(
        &mut self,
        done: u64,
        total: Option<u64>,
        message: impl FnOnce(Duration) -> String,
    ) {
        if self.told.is_some_and(|told| told.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        let silent_for = self.told.map_or(Duration::ZERO, |told| told.elapsed());
        let Some(value) = value(self.done, done, silent_for) else { return };
        let message = message(self.began.elapsed());
        match &self.listener {
            Listener::Nobody => return,
            Listener::Client { peer, token } => {
                let mut param =
                    ProgressNotificationParam::new(token.clone(), value).with_message(message);
                if let Some(total) = total {
                    param = param.with_total(total as f64);
                }
                // A client that left, or does not read, misses it.
                let _ = tokio::time::timeout(NOTIFY_WAIT_MAX, peer.notify_progress(param)).await;
            }
        }
        self.told = Some(Instant::now());
        self.done = Some(value);
    }
}

/// The value to tell: what is done, or a little more than was told where that is all there is to say
/// and it was not said for long; `None` where nothing is to be said.
fn value(before: Option<f64>, done: u64, silent_for: Duration) -> Option<f64> {
    let done = done as f64;
    match before {
        Some(before) if done > before => Some(done),
        None => Some(done),
        Some(before) if silent_for >= SILENCE_MAX => {
            // Never as much as the next whole one, which is still to come.
            let still = before + STILL_STEP;
            (still < done + 1.0).then_some(still)
        }
        Some(_) => None,
    }
}

/// `running: 120 of 480 frames, about 6 s left`.
fn message(what: &str, done: u64, total: Option<u64>, took: Duration) -> String {
    match total {
        Some(total) if done > 0 && total > done => {
            let left = took.as_secs_f64() / done as f64 * (total - done) as f64;
            format!("{what}: {done} of {total} frames, about {left:.0} s left")
        }
        Some(total) => format!("{what}: {done} of {total} frames"),
        None => format!("{what}: {done} frames"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_from_the_pace() {
        let text = message("running", 120, Some(480), Duration::from_secs(2));
        assert_eq!(text, "running: 120 of 480 frames, about 6 s left");
        assert_eq!(message("queued", 0, None, Duration::ZERO), "queued: 0 frames");
        assert_eq!(message("running", 9, Some(9), Duration::ZERO), "running: 9 of 9 frames");
    }

    #[test]
    fn a_call_that_waits_is_not_silent_and_each_value_is_larger() {
        let (short, long) = (Duration::from_secs(3), SILENCE_MAX);
        assert_eq!(value(None, 0, Duration::ZERO), Some(0.0));
        assert_eq!(value(Some(0.0), 0, short), None);
        let still = value(Some(0.0), 0, long).expect("a word");
        let again = value(Some(still), 0, long).expect("a word");
        assert!(0.0 < still && still < again && again < 1.0, "{still} {again}");
        assert_eq!(value(Some(again), 1, short), Some(1.0), "the first frame is news");
        assert_eq!(value(Some(5.0), 4, long), None, "a second attempt begins anew");
    }

    #[test]
    fn a_meter_counts_and_knows_what_it_does_not_know() {
        let meter = Meter::of(None);
        meter.step();
        assert_eq!(meter.read(), (1, None));
        meter.set_total(5);
        assert_eq!(meter.read(), (1, Some(5)));
    }
}
