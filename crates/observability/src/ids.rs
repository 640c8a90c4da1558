//! Random trace and span ids.
//!
//! Ids come from a generator per thread (xoshiro256++) seeded by the operating system: an id costs
//! a few nanoseconds and no lock. The ids are unpredictable enough to be unique, not to be secret.

use std::cell::Cell;

use types::{SpanId, TraceId};

struct Generator([u64; 4]);

impl Generator {
    fn from_os() -> Self {
        let mut state = [0; 4];
        for word in &mut state {
            // Without the system's randomness the address and the clock still keep threads apart.
            *word = getrandom::u64().unwrap_or_else(|_| {
                let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
                (now as u64) ^ (std::ptr::from_ref(word) as u64).rotate_left(32)
            });
        }
        state[0] |= 1; // An all-zero state would stay zero for ever.
        Self(state)
    }

    /// Whether it was never seeded: no step leads to this state.
    #[inline]
    fn is_blank(&self) -> bool {
        self.0.iter().fold(0, |bits, word| bits | word) == 0
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }
}

thread_local! {
    /// The state of a thread's generator; blank until an id is asked for. Plain words without a
    /// destructor: to get at them takes no look at whether they are there, nor is there a moment at
    /// the end of a thread at which they are gone.
    static STATE: Cell<[u64; 4]> = const { Cell::new([0; 4]) };
}

/// Draws from the thread's generator.
#[inline(always)]
fn draw<T>(drawn: impl FnOnce(&mut Generator) -> T) -> T {
    let mut generator = Generator(STATE.get());
    if generator.is_blank() {
        generator = seeded();
    }
    let drawn = drawn(&mut generator);
    STATE.set(generator.0);
    drawn
}

#[cold]
#[inline(never)]
fn seeded() -> Generator {
    Generator::from_os()
}

#[inline(always)]
fn trace_id(generator: &mut Generator) -> TraceId {
    loop {
        let bytes =
            (u128::from(generator.next()) << 64 | u128::from(generator.next())).to_be_bytes();
        if let Some(id) = TraceId::new(bytes) {
            return id;
        }
    }
}

#[inline(always)]
fn span_id(generator: &mut Generator) -> SpanId {
    loop {
        if let Some(id) = SpanId::new(generator.next().to_be_bytes()) {
            return id;
        }
    }
}

/// A trace id that no other trace has.
#[must_use]
pub fn new_trace_id() -> TraceId {
    draw(trace_id)
}

/// A span id that no other span of the trace has. It may be given away before its span starts.
#[inline]
#[must_use]
pub fn new_span_id() -> SpanId {
    draw(span_id)
}

/// The ids of a trace that begins and of its first span.
#[inline(always)]
pub(crate) fn new_ids() -> (TraceId, SpanId) {
    draw(|generator| (trace_id(generator), span_id(generator)))
}

/// A random identity for one run of a process, 32 lower-case hex digits.
pub(crate) fn new_instance_id() -> String {
    new_trace_id().to_string()
}

/// A fraction in `0.0..1.0`, for jitter.
pub(crate) fn random_fraction() -> f64 {
    (draw(Generator::next) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_within_or_across_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..5_000).map(|_| new_span_id()).collect::<Vec<_>>()))
            .collect();
        let all: Vec<_> =
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(all.len(), 20_000);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let traces: HashSet<_> = (0..5_000).map(|_| new_trace_id()).collect();
        assert_eq!(traces.len(), 5_000);
    }
}
