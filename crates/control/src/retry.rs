//! What becomes of a part whose attempt did not succeed.

use std::time::Duration;

use types::{FailureKind, Timestamp};

use crate::random::Random;

/// What a part has used up of its budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Attempts that ended in an error.
    pub errors: u16,
    /// Attempts whose worker vanished.
    pub crashes: u16,
    /// Errors at which the part is failed.
    pub errors_max: u16,
}

/// When and how often a part is tried again.
///
/// Errors wait for `first`, doubled for each error before, held at `cap`, and shortened by up to
/// half at random so that parts that failed together do not return together. A vanished worker is
/// no reason to wait the first time; after that the same doubling holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The wait after the first error.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Crashes at which the part is failed, so that a part that kills its worker starves nobody.
    pub crashes_max: u16,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), cap: Duration::from_secs(300), crashes_max: 3 }
    }
}

/// The policy's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryVerdict {
    /// Try again from `available_at` on.
    Again {
        /// When it may be leased again.
        available_at: Timestamp,
        /// The budgets from now on.
        tally: Tally,
    },
    /// The failure is final, or a budget is used up.
    GiveUp,
}

impl RetryPolicy {
    /// Decides after an attempt that ended with a failure of this kind.
    #[must_use]
    pub fn after(
        &self,
        tally: Tally,
        kind: FailureKind,
        now: Timestamp,
        random: &mut Random,
    ) -> RetryVerdict {
        if !kind.is_retryable() {
            return RetryVerdict::GiveUp;
        }
        if kind.is_crash() {
            let crashes = tally.crashes.saturating_add(1);
            if crashes >= self.crashes_max {
                return RetryVerdict::GiveUp;
            }
            let wait = match crashes {
                1 => Duration::ZERO,
                more => self.delay(more - 1, random),
            };
            let tally = Tally { crashes, ..tally };
            return RetryVerdict::Again { available_at: now.after(wait), tally };
        }
        let errors = tally.errors.saturating_add(1);
        if errors >= tally.errors_max {
            return RetryVerdict::GiveUp;
        }
        let tally = Tally { errors, ..tally };
        RetryVerdict::Again { available_at: now.after(self.delay(errors, random)), tally }
    }

    /// The wait after the `count`-th failure, counted from 1.
    fn delay(&self, count: u16, random: &mut Random) -> Duration {
        let doublings = u32::from(count.saturating_sub(1)).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.cap);
        let half_micros = u64::try_from(full.as_micros() / 2).unwrap_or(u64::MAX);
        full.saturating_sub(Duration::from_micros(random.below(half_micros)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_000_000_000);

    fn wait(policy: &RetryPolicy, tally: Tally, kind: FailureKind, seed: u64) -> Option<Duration> {
        match policy.after(tally, kind, NOW, &mut Random::new(seed)) {
            RetryVerdict::Again { available_at, .. } => Some(available_at.since(NOW)),
            RetryVerdict::GiveUp => None,
        }
    }

    #[test]
    fn waits_double_with_jitter_up_to_the_cap() {
        let policy = RetryPolicy::default();
        for seed in 0..50 {
            for (errors, full_s) in [(0, 1), (1, 2), (2, 4), (8, 256), (9, 300), (60, 300)] {
                let tally = Tally { errors, errors_max: 100, ..Tally::default() };
                let got = wait(&policy, tally, FailureKind::Io, seed).expect("budget left");
                let full = Duration::from_secs(full_s);
                assert!(got <= full && got >= full / 2, "after {errors} errors: {got:?}");
            }
        }
    }

    #[test]
    fn the_third_error_of_three_is_final() {
        let policy = RetryPolicy::default();
        let tally = |errors| Tally { errors, errors_max: 3, ..Tally::default() };
        assert!(wait(&policy, tally(1), FailureKind::Io, 1).is_some());
        assert_eq!(wait(&policy, tally(2), FailureKind::Io, 1), None);
    }

    #[test]
    fn crashes_have_a_budget_of_their_own_and_the_first_waits_for_nothing() {
        let policy = RetryPolicy::default();
        let tally = |crashes| Tally { crashes, errors: 2, errors_max: 3 };
        assert_eq!(wait(&policy, tally(0), FailureKind::NodeLost, 1), Some(Duration::ZERO));
        assert!(wait(&policy, tally(1), FailureKind::LeaseExpired, 1).is_some());
        assert_eq!(wait(&policy, tally(2), FailureKind::NodeLost, 1), None);
    }

    #[test]
    fn final_kinds_are_never_tried_again() {
        for kind in FailureKind::ALL.iter().filter(|kind| !kind.is_retryable()) {
            let tally = Tally { errors_max: 100, ..Tally::default() };
            assert_eq!(wait(&RetryPolicy::default(), tally, *kind, 1), None, "{kind}");
        }
    }
}
