//! How often an untrusted caller may have a trace recorded whatever the ratio.
//!
//! A token bucket: [`FORCED_BURST`] at once, [`FORCED_PER_MINUTE`] in the long run. Beyond that the
//! wish is ignored, never the job.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Forced traces granted a minute in the long run.
pub const FORCED_PER_MINUTE: u32 = 60;
/// Forced traces granted at once after a quiet time.
pub const FORCED_BURST: u32 = 60;

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Instant,
}

/// Grants forced traces, and others that are limited alike.
#[derive(Debug)]
pub struct ForceBudget {
    per_minute: f64,
    level: Mutex<Level>,
}

impl ForceBudget {
    /// A full bucket of forced traces.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        const _: () = assert!(FORCED_BURST == FORCED_PER_MINUTE);
        Self::per_minute(FORCED_PER_MINUTE, now)
    }

    /// A full bucket that grants this many a minute, and as many at once.
    #[must_use]
    pub fn per_minute(per_minute: u32, now: Instant) -> Self {
        let per_minute = f64::from(per_minute);
        Self { per_minute, level: Mutex::new(Level { tokens: per_minute, at: now }) }
    }

    /// Takes one grant, if there is one.
    pub fn take(&self, now: Instant) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = now.checked_duration_since(level.at).unwrap_or(Duration::ZERO);
        let refilled = level.tokens + waited.as_secs_f64() * self.per_minute / 60.0;
        level.tokens = refilled.min(self.per_minute);
        level.at = level.at.max(now);
        let granted = level.tokens >= 1.0;
        if granted {
            level.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_granted_then_one_a_second() {
        let start = Instant::now();
        let budget = ForceBudget::new(start);
        let granted = (0..100).filter(|_| budget.take(start)).count();
        assert_eq!(granted, FORCED_BURST as usize);
        assert!(!budget.take(start + Duration::from_millis(900)));
        assert!(budget.take(start + Duration::from_millis(1_100)));
        assert!(!budget.take(start + Duration::from_millis(1_200)));
        let later = start + Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), FORCED_BURST as usize);
    }
}
