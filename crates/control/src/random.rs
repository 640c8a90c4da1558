//! Randomness as an argument: a seeded generator, so that a run can be repeated.

use types::{JobId, SpanId, Timestamp, TraceId};

/// A SplitMix64 generator. Good for identifiers and jitter, useless for secrets.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Starts from a seed. The same seed gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but without `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next_u64()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// A span id, never all zero.
    pub fn span_id(&mut self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(self.next_u64().to_be_bytes()) {
                return id;
            }
        }
    }

    /// A trace id, never all zero.
    pub fn trace_id(&mut self) -> TraceId {
        loop {
            let bytes = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
            if let Some(id) = TraceId::new(bytes.to_be_bytes()) {
                return id;
            }
        }
    }

    /// A job id that sorts after `last`.
    ///
    /// Ids of one controller rise strictly, so that the order of ids is the order of submission:
    /// within a millisecond the 12 bits below the time count up, and when those are used up, or
    /// the clock stands behind, the id borrows from the next millisecond.
    pub fn job_id_after(&mut self, last: Option<JobId>, now: Timestamp) -> JobId {
        const SEQUENCE_BITS: u32 = 12;
        const SEQUENCE_MAX: u128 = (1 << SEQUENCE_BITS) - 1;
        let tail = u128::from(self.next_u64());
        let now_ms = now.unix_micros().max(0).cast_unsigned() / 1_000;
        let (ms, sequence) = match last.map(|id| u128::from_be_bytes(id.to_bytes())) {
            Some(last) => {
                let last_ms = u64::try_from(last >> 80).unwrap_or(u64::MAX);
                let sequence = (last >> 64) & SEQUENCE_MAX;
                if now_ms > last_ms {
                    (now_ms, 0)
                } else if sequence < SEQUENCE_MAX {
                    (last_ms, sequence + 1)
                } else {
                    (last_ms + 1, 0)
                }
            }
            None => (now_ms, 0),
        };
        let at = i64::try_from(ms).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
        JobId::new(Timestamp::from_unix_micros(at), sequence << 64 | tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_rise_strictly_within_a_millisecond_and_when_the_clock_goes_back() {
        let mut random = Random::new(7);
        let mut last = None;
        for step in 0..10_000_i64 {
            let now = Timestamp::from_unix_micros(1_700_000_000_000_000 - step);
            let id = random.job_id_after(last, now);
            assert!(last.is_none_or(|last| id > last), "step {step}");
            last = Some(id);
        }
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut random = Random::new(1);
        assert!((0..1_000).all(|_| random.below(3) < 3));
        assert_eq!(random.below(0), 0);
    }
}
