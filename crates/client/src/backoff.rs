//! How long to wait between tries.

use std::time::Duration;

/// Exponential waits with full jitter: each lies between zero and a ceiling that doubles.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits of at most `first`, then twice that, up to `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, ceiling: first, max }
    }

    /// The next wait, with randomness from the operating system.
    pub fn next_wait(&mut self) -> Duration {
        // Without randomness the full ceiling is waited: later, never sooner.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        self.wait_of(random)
    }

    /// The next wait for the given random number, which is taken as a fraction of the ceiling.
    pub fn wait_of(&mut self, random: u32) -> Duration {
        let fraction = f64::from(random) / f64::from(u32::MAX);
        let wait = self.ceiling.mul_f64(fraction);
        self.ceiling = (self.ceiling * 2).min(self.max);
        wait
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.ceiling = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(150));
        let mut longest = || backoff.wait_of(u32::MAX).as_millis();
        assert_eq!([longest(), longest(), longest(), longest()], [50, 100, 150, 150]);
        backoff.reset();
        assert_eq!(backoff.wait_of(u32::MAX).as_millis(), 50);
        assert_eq!(backoff.wait_of(0), Duration::ZERO);
    }
}
