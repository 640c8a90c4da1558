//! Power cuts: what was committed is there, what was not is there whole or not at all.
//!
//! After each commit the files are kept as they are. A cut is the files after one commit, and of
//! what the next commit wrote over them an arbitrary part, in arbitrary order of sectors, one of
//! them torn: what a disk may hold that lost its power before the next commit was synced.

mod common;

use std::path::{Path, PathBuf};

use common::job_id;
use control::{Random, Store, Transition, Verdict};
use store::{SqliteConfig, SqliteStore};
use types::State;

const COMMITS: u64 = 40;
const CUTS: u64 = 1_000;
const SECTOR_BYTES: usize = 512;

/// A job whose row is large enough to be torn.
fn submit(number: u64) -> Transition {
    common::submit(number, &"/r".repeat(300))
}

/// Commit `number` submits this many jobs.
fn jobs_of(number: u64) -> std::ops::Range<u64> {
    let first = 1 + number * 10;
    first..first + 1 + number % 9
}

/// The database and its log.
#[derive(Clone)]
struct Files([Vec<u8>; 2]);

fn paths(directory: &Path) -> [PathBuf; 2] {
    [directory.join("queue.db"), directory.join("queue.db-wal")]
}

impl Files {
    fn read(directory: &Path) -> Self {
        Self(paths(directory).map(|path| std::fs::read(path).expect("an open store has both")))
    }

    fn write(&self, directory: &Path) {
        for (path, bytes) in paths(directory).iter().zip(&self.0) {
            std::fs::write(path, bytes).expect("room for small files");
        }
        let _ = std::fs::remove_file(directory.join("queue.db-shm"));
    }

    /// These files with some of the sectors that `next` changed.
    fn with_part_of(&self, next: &Self, random: &mut Random) -> Self {
        let mut cut = self.clone();
        let kept_per_mille = random.below(1_001);
        for (bytes, new) in cut.0.iter_mut().zip(&next.0) {
            bytes.resize(bytes.len().max(new.len()), 0);
            for (sector, new) in bytes.chunks_mut(SECTOR_BYTES).zip(new.chunks(SECTOR_BYTES)) {
                let sector = &mut sector[..new.len()];
                if sector == new || random.below(1_000) >= kept_per_mille {
                    continue;
                }
                let torn = random.below(50) == 0;
                let end = if torn { random.below(new.len() as u64) } else { new.len() as u64 };
                let end = usize::try_from(end).expect("a sector is short");
                sector[..end].copy_from_slice(&new[..end]);
            }
        }
        cut
    }
}

fn config(directory: &Path) -> SqliteConfig {
    let path = directory.join("queue.db");
    SqliteConfig { wal_prewarm_bytes: 256 << 10, ..SqliteConfig::new(path) }
}

#[test]
fn no_power_cut_loses_or_halves_a_commit() {
    let memory = || tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let (origin, after) = (memory().expect("room"), memory().expect("room"));
    let mut store = SqliteStore::open(config(origin.path())).expect("a fresh file");
    let mut states = vec![Files::read(origin.path())];
    for number in 0..COMMITS {
        let transitions: Vec<_> = jobs_of(number).map(submit).collect();
        let verdicts = store.commit(&transitions).expect("room");
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Applied));
        states.push(Files::read(origin.path()));
    }
    drop(store);
    let (mut random, mut whole, mut none) = (Random::new(1), 0, 0);
    for cut in 0..CUTS {
        let number = random.below(COMMITS);
        let index = usize::try_from(number).expect("small");
        states[index].with_part_of(&states[index + 1], &mut random).write(after.path());
        let mut store = SqliteStore::open(config(after.path())).expect("it opens after any cut");
        let mut there = |job| {
            let state = store.reader().state(job_id(job)).expect("it reads");
            assert!(state.is_none_or(|state| state == State::Queued));
            state.is_some()
        };
        for before in 0..number {
            assert!(jobs_of(before).all(&mut there), "cut {cut} lost commit {before}");
        }
        let kept = jobs_of(number).filter(|job| there(*job)).count() as u64;
        let size = jobs_of(number).end - jobs_of(number).start;
        assert!(kept == 0 || kept == size, "cut {cut}: {kept} of {size} jobs of one commit");
        *(if kept == 0 { &mut none } else { &mut whole }) += 1;
        // And it goes on from there.
        let fresh = store.commit(&[submit(10_000)]).expect("room");
        assert_eq!(fresh, [Verdict::Applied]);
    }
    println!("{CUTS} cuts: the commit under way was there {whole} times, not there {none} times");
    assert!(whole > 0 && none > 0, "the cuts fall on both sides of the commit");
}
