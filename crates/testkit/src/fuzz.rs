//! Random cases until time is up, each repeatable by itself.

use std::time::{Duration, Instant};

use crate::random::{SplitMix64, mix};

/// For how many seconds to go on; without it a fixed number of cases runs.
pub const SECONDS_VARIABLE: &str = "VMAFX_FUZZ_SECONDS";

/// The seed of the first case; those that follow count up from it.
pub const SEED_VARIABLE: &str = "VMAFX_FUZZ_SEED";

/// The seed where none is given: every run of the suite makes the same cases.
const SEED: u64 = 20_261_126;

/// Gives out cases.
#[derive(Debug)]
pub struct Fuzz {
    seed: u64,
    cases: u64,
    until: Until,
}

#[derive(Debug)]
enum Until {
    Cases(u64),
    Time(Instant),
}

/// One case. Where it fails it says what repeats it.
#[derive(Debug)]
pub struct FuzzCase {
    /// What it is made from.
    pub random: SplitMix64,
    seed: u64,
}

impl Drop for FuzzCase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{SEED_VARIABLE}={} begins with this case", self.seed);
        }
    }
}

impl Fuzz {
    /// As the environment says, else `cases` cases.
    ///
    /// # Panics
    /// Where a variable is set and is not a number.
    #[must_use]
    pub fn from_env(cases: u64) -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse().unwrap_or_else(|_| panic!("{name} is no whole number: {text:?}")))
        };
        let seconds: Option<u64> = number(SECONDS_VARIABLE);
        let until = match seconds {
            Some(seconds) => Until::Time(Instant::now() + Duration::from_secs(seconds)),
            None => Until::Cases(cases),
        };
        Self { seed: number(SEED_VARIABLE).unwrap_or(SEED), cases: 0, until }
    }

    /// The next case, until there have been enough; always a first.
    pub fn next_case(&mut self) -> Option<FuzzCase> {
        let go_on = match self.until {
            Until::Cases(cases) => self.cases < cases,
            Until::Time(until) => self.cases == 0 || Instant::now() < until,
        };
        if !go_on {
            return None;
        }
        let seed = self.seed.wrapping_add(self.cases);
        self.cases += 1;
        Some(FuzzCase { random: SplitMix64::new(mix(seed)), seed })
    }

    /// How many there have been.
    #[must_use]
    pub const fn cases(&self) -> u64 {
        self.cases
    }
}
