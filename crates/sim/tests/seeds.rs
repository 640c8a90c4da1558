//! Many seeds with everything in order, and the variants that must be caught.
//!
//! A failing run names its seed; `VMAFX_SIM_SEED` plays that one alone, `VMAFX_SIM_SEEDS` sets how
//! many are played.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::{Sabotage, Stats, run};

/// Seeds that are played where nothing else is said.
const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn no_seed_loses_doubles_or_mixes_up_anything() {
    let seeds = match number("VMAFX_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("VMAFX_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Stats::default());
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            match run(seed, Sabotage::None) {
                Ok(stats) => total.lock().expect("not poisoned").add(&stats),
                Err(violation) => panic!("VMAFX_SIM_SEED={seed}: {violation}"),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(play);
        }
    });
    let total = total.into_inner().expect("not poisoned");
    println!("{} seeds: {total:?}", seeds.end - seeds.start);
    if seeds.end - seeds.start >= SEEDS {
        // Runs in which nothing goes wrong prove nothing.
        for count in [
            total.duplicates,
            total.stale,
            total.cancelled,
            total.lost,
            total.controller_restarts,
            total.node_crashes,
            total.pauses,
            total.broken_streams,
            total.unknown_sessions,
        ] {
            assert!(count >= SEEDS / 10, "{total:?}");
        }
    }
}

/// The invariants that catch this variant, over enough seeds to meet its trouble.
fn caught(sabotage: Sabotage, by: &[&str]) {
    let mut found = Vec::new();
    for seed in 0..SEEDS {
        if let Err(violation) = run(seed, sabotage) {
            println!("seed {seed}: {violation}");
            assert!(by.contains(&violation.invariant), "seed {seed}: {violation}");
            found.push(seed);
            if found.len() == 3 {
                return;
            }
        }
    }
    panic!("{sabotage:?} was caught by the seeds {found:?} only");
}

#[test]
fn a_queue_without_a_fence_is_caught() {
    caught(Sabotage::NoFence, &["I3"]);
}

#[test]
fn a_queue_that_fences_by_attempt_number_is_caught() {
    caught(Sabotage::AttemptAsFence, &["I3"]);
}

#[test]
fn a_queue_that_answers_before_its_commit_is_caught() {
    caught(Sabotage::AckBeforeCommit, &["I1"]);
}
