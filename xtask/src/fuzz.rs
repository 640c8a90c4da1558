//! `cargo xtask fuzz`: the engine and its kernels on random input, for as long as told.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::command;

/// How long each of the nine goes on where nothing is said.
const SECONDS: u64 = 60;

/// Runs all of them, one after the other.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let number = |at: usize, otherwise: u64| match arguments.get(at) {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no whole number")),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, seed) = (number(0, SECONDS)?, number(1, now.as_secs())?);
    eprintln!("{seconds} s each, seed {seed}");
    let of_kernels = ["vif_motion", "adm", "cambi", "ssim", "psnr", "psnr_hvs", "ciede", "speed"]
        .map(|test| ("kernels", test, "fuzz_"));
    for (package, test, filter) in
        of_kernels.into_iter().chain([("engine", "fuzz", "random_requests")])
    {
        let cargo = || {
            let mut cargo = Command::new("cargo");
            cargo.args(["test", "--release", "--quiet", "--package", package, "--test", test]);
            cargo.args(["--", filter]);
            cargo
        };
        let mut list = cargo();
        list.arg("--list");
        if count_of(&command::output(list)?) == 0 {
            // A run of no tests succeeds: a fuzzer that was renamed would pass from then on.
            return Err(format!("{package}'s tests {test:?} have none that is named {filter}*"));
        }
        let mut fuzz = cargo();
        fuzz.arg("--nocapture");
        fuzz.env("VMAFX_FUZZ_SECONDS", seconds.to_string());
        fuzz.env("VMAFX_FUZZ_SEED", seed.to_string());
        command::run(fuzz)?;
    }
    Ok(())
}

/// How many tests a test program lists.
fn count_of(list: &str) -> usize {
    list.lines().filter(|line| line.ends_with(": test")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_and_what_else_is_listed_is_not() {
        assert_eq!(count_of("fuzz_a: test\nnaive::fuzz_b: test\n\n2 tests, 0 benchmarks\n"), 2);
        assert_eq!(count_of("0 tests, 0 benchmarks\n"), 0);
        assert_eq!(count_of("fuzz_a: benchmark\n"), 0);
    }
}
