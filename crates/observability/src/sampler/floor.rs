//! The traces that a quiet platform yields: of each kind of root, one in a while.
//!
//! A token bucket for each kind, of one token. A recorded root of the kind takes the token, for
//! whatever reason it is recorded; a root that the ratio passes over is recorded if the token is
//! there. So the floor adds nothing where the ratio suffices. Kinds have buckets of their own so
//! that a dashboard that asks for the list of jobs every second leaves submissions their token.
//!
//! A bucket starts empty: commands that live for a second and processes that restart in a loop get
//! no token by that. There are no locks, and no clock is read here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many buckets there are. Kinds beyond that share one.
const KINDS: usize = 64;

/// One bucket for each kind of root.
#[derive(Debug)]
pub(super) struct Floor {
    epoch: Instant,
    /// Nanoseconds in which a token grows; 0 is never.
    interval: AtomicU64,
    /// When the token was taken last, in nanoseconds since `epoch`.
    taken: [AtomicU64; KINDS],
}

impl Floor {
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, interval: AtomicU64::new(0), taken: [const { AtomicU64::new(0) }; KINDS] }
    }

    /// Sets how many tokens grow a minute in each bucket, from now on.
    pub(super) fn set(&self, per_minute: u32) {
        let minute = Duration::from_secs(60).as_nanos() as u64;
        self.interval.store(minute.checked_div(per_minute.into()).unwrap_or(0), Ordering::Relaxed);
    }

    /// Takes the token of this kind, if it is there.
    pub(super) fn admits(&self, kind: u64, now: Instant) -> bool {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return false;
        }
        let (bucket, now) = (&self.taken[kind as usize % KINDS], self.nanos(now));
        let taken = bucket.load(Ordering::Relaxed);
        // Of several at once one wins.
        now.saturating_sub(taken) >= interval
            && bucket.compare_exchange(taken, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether the token of this kind is there.
    #[inline]
    pub(super) fn has_token(&self, kind: u64, now: Instant) -> bool {
        let interval = self.interval.load(Ordering::Relaxed);
        let taken = self.taken[kind as usize % KINDS].load(Ordering::Relaxed);
        interval != 0 && self.nanos(now).saturating_sub(taken) >= interval
    }

    /// Notes that a root of this kind is recorded in any case.
    pub(super) fn recorded(&self, kind: u64, now: Instant) {
        self.taken[kind as usize % KINDS].store(self.nanos(now), Ordering::Relaxed);
    }

    fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(since.subsec_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_token_a_minute_grows_and_none_is_saved_up() {
        let start = Instant::now();
        let floor = Floor::new(start);
        floor.set(1);
        let seconds = |count| start + Duration::from_secs(count);
        for (at, admitted) in
            [(0, false), (59, false), (60, true), (60, false), (119, false), (120, true)]
        {
            assert_eq!(floor.admits(7, seconds(at)), admitted, "{at} s");
        }
        assert!(floor.admits(7, seconds(3_600)), "after an hour of silence");
        assert!(!floor.admits(7, seconds(3_601)), "but only one");
    }

    #[test]
    fn kinds_do_not_take_each_others_tokens() {
        let start = Instant::now();
        let floor = Floor::new(start);
        floor.set(1);
        assert!(floor.admits(1, start + MINUTE));
        assert!(floor.admits(2, start + MINUTE));
        assert!(!floor.admits(1, start + MINUTE));
    }

    #[test]
    fn what_is_recorded_anyway_counts() {
        let start = Instant::now();
        let floor = Floor::new(start);
        floor.set(1);
        floor.recorded(1, start + MINUTE);
        assert!(!floor.admits(1, start + MINUTE + MINUTE / 2));
        assert!(floor.admits(1, start + MINUTE * 2));
    }

    #[test]
    fn it_can_be_switched_off_and_changed_while_it_runs() {
        let start = Instant::now();
        let floor = Floor::new(start);
        assert!(!floor.admits(1, start + MINUTE * 60), "off unless set");
        floor.set(60);
        assert!(floor.admits(1, start + Duration::from_secs(1)));
        floor.set(0);
        assert!(!floor.admits(1, start + MINUTE * 60));
    }

    #[test]
    fn of_many_threads_at_once_one_wins() {
        let start = Instant::now();
        let floor = Floor::new(start);
        floor.set(1);
        let wins = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        let won = floor.admits(3, start + MINUTE);
                        wins.fetch_add(u64::from(won), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(wins.into_inner(), 1);
    }
}
