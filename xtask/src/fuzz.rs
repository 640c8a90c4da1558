//! `cargo xtask fuzz`: the engine and its kernels on random input, for as long as told.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::command;

/// How long each of the five goes on where nothing is said.
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
    let of_kernels = ["vif_motion", "adm", "cambi", "ssim"].map(|test| ("kernels", test));
    let all = of_kernels.into_iter().chain([("engine", "fuzz")]);
    for (package, test) in all {
        let mut fuzz = Command::new("cargo");
        fuzz.args(["test", "--release", "--quiet", "--package", package, "--test", test, "--"]);
        fuzz.args(["--nocapture", if package == "kernels" { "fuzz_" } else { "random_requests" }]);
        fuzz.env("VMAFX_FUZZ_SECONDS", seconds.to_string());
        fuzz.env("VMAFX_FUZZ_SEED", seed.to_string());
        command::run(fuzz)?;
    }
    Ok(())
}
