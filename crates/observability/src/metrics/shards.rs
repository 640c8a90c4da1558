//! The counts of a histogram, in parts by thread.
//!
//! A call's duration is recorded by the thread that serves it. Were the counts shared, every record would
//! lock them on the bus, and the threads of a busy server would take them from each other's caches. So
//! the first [`WRITERS`] threads that live at a time have a part each, to which nobody else writes: they
//! load and store. What further threads record goes to one part that they share, by locked additions.
//! Whoever reads adds up the parts.
//!
//! A thread gives its number back when it ends, and what it has counted stays: the next to get the
//! number goes on from there. The lock through which the number goes orders the two.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Threads that have a part of their own.
const WRITERS: usize = 32;

/// Numbers of a line of the processor's cache.
const LINE: usize = 8;

/// Numbers that no other thread's lie beside.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; LINE]);

/// The sum, as the bits of an `f64`, and then the count of each bucket.
#[derive(Debug)]
struct Part(Box<[Line]>);

impl Part {
    fn new(buckets: usize) -> Self {
        Self((0..(1 + buckets).div_ceil(LINE)).map(|_| Line::default()).collect())
    }

    fn sum(&self) -> &AtomicU64 {
        &self.0[0].0[0]
    }

    fn bucket(&self, bucket: usize) -> &AtomicU64 {
        &self.0[(1 + bucket) / LINE].0[(1 + bucket) % LINE]
    }

    /// Adds a value to a part that this thread alone writes to.
    fn record_alone(&self, bucket: usize, value: f64) {
        let (count, sum) = (self.bucket(bucket), self.sum());
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let more = f64::from_bits(sum.load(Ordering::Relaxed)) + value;
        sum.store(more.to_bits(), Ordering::Relaxed);
    }

    /// Adds a value to a part that others may write to meanwhile.
    fn record_beside_others(&self, bucket: usize, value: f64) {
        self.bucket(bucket).fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // The closure never returns None, so the update cannot fail.
        let _ = self.sum().fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

/// The counts of all buckets and the sum of all values.
#[derive(Debug)]
pub(super) struct Counts {
    buckets: usize,
    /// By number of the thread, each made when it is first needed.
    parts: [OnceLock<Part>; WRITERS],
    shared: Part,
}

impl Counts {
    pub(super) fn new(buckets: usize) -> Self {
        let parts = [const { OnceLock::new() }; WRITERS];
        Self { buckets, parts, shared: Part::new(buckets) }
    }

    /// Counts a value that belongs in `bucket`.
    #[inline]
    pub(super) fn record(&self, bucket: usize, value: f64) {
        match self.parts.get(number_of_thread()) {
            Some(part) => {
                part.get_or_init(|| Part::new(self.buckets)).record_alone(bucket, value);
            }
            None => self.shared.record_beside_others(bucket, value),
        }
    }

    /// The counts by bucket, and the sum.
    pub(super) fn read(&self) -> (Vec<u64>, f64) {
        let (mut counts, mut sum) = (vec![0; self.buckets], 0.0);
        let parts = self.parts.iter().filter_map(OnceLock::get).chain([&self.shared]);
        for part in parts {
            for (bucket, count) in counts.iter_mut().enumerate() {
                *count += part.bucket(bucket).load(Ordering::Relaxed);
            }
            sum += f64::from_bits(part.sum().load(Ordering::Relaxed));
        }
        (counts, sum)
    }
}

/// Numbers that no thread has.
static FREE: Mutex<Free> = Mutex::new(Free { returned: Vec::new(), unused: 0 });

#[derive(Debug)]
struct Free {
    returned: Vec<usize>,
    /// From here on all are free.
    unused: usize,
}

/// The number of a thread, which it has until it ends.
struct Number(Cell<usize>);

/// In place of a number: the thread has not asked yet.
const NOT_ASKED: usize = usize::MAX;
/// In place of a number: all are taken, or the thread is about to end.
const NONE: usize = WRITERS;

impl Number {
    #[cold]
    fn ask(&self) -> usize {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let number = free.returned.pop().unwrap_or_else(|| {
            let next = free.unused;
            free.unused = (next + 1).min(WRITERS);
            next
        });
        self.0.set(number);
        number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let number = self.0.replace(NONE);
        if number < WRITERS {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).returned.push(number);
        }
    }
}

thread_local! {
    static NUMBER: Number = const { Number(Cell::new(NOT_ASKED)) };
}

/// Below [`WRITERS`], and nobody else's meanwhile; or no number at all.
#[inline]
fn number_of_thread() -> usize {
    let number = NUMBER.try_with(|number| match number.0.get() {
        NOT_ASKED => number.ask(),
        known => known,
    });
    number.unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;

    use super::*;

    /// Records from `threads` threads that live at the same time, each `values` times one half.
    fn record(counts: &Counts, threads: usize, values: usize) {
        let all_are_there = Barrier::new(threads);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let all_are_there = &all_are_there;
                scope.spawn(move || {
                    number_of_thread();
                    all_are_there.wait();
                    (0..values).for_each(|_| counts.record(thread % 3, 0.5));
                    all_are_there.wait();
                });
            }
        });
    }

    #[test]
    fn nothing_is_lost_whether_threads_have_parts_or_share_one() {
        let counts = Counts::new(17);
        for (round, threads) in [1, 3, WRITERS + 9].into_iter().enumerate() {
            let before = counts.read();
            record(&counts, threads, 1_000);
            let after = counts.read();
            let come = |(counts, _): &(Vec<u64>, f64)| counts.iter().sum::<u64>();
            assert_eq!(come(&after) - come(&before), threads as u64 * 1_000, "round {round}");
            assert_eq!(after.1 - before.1, threads as f64 * 500.0, "round {round}");
        }
        assert!(counts.shared.sum().load(Ordering::Relaxed) > 0, "some had to share");
        let own = counts.parts.iter().filter(|part| part.get().is_some()).count();
        assert!(own > 0 && counts.read().0[3..].iter().all(|count| *count == 0), "{own}");
    }

    #[test]
    fn threads_that_live_at_the_same_time_have_different_numbers_and_give_them_back() {
        for _ in 0..20 {
            let all_are_there = Barrier::new(8);
            let numbers: Vec<usize> = std::thread::scope(|scope| {
                let ask = || {
                    let number = number_of_thread();
                    all_are_there.wait();
                    assert_eq!(number_of_thread(), number, "it keeps it");
                    number
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            let own: Vec<_> = numbers.iter().filter(|number| **number < WRITERS).collect();
            assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), own.len(), "{numbers:?}");
        }
        let free = FREE.lock().expect("no panic");
        assert!(free.unused <= WRITERS && free.returned.len() <= WRITERS, "{free:?}");
    }

    #[test]
    fn no_line_of_the_cache_holds_numbers_of_two_threads() {
        let (one, other) = (Part::new(15), Part::new(15));
        for part in [&one, &other] {
            assert_eq!(std::ptr::from_ref(part.sum()).addr() % 64, 0);
        }
        assert_eq!(one.0.len(), 2);
        assert_eq!(Part::new(16).0.len(), 3);
    }
}
