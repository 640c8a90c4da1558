//! `cargo xtask test`: every check in order, each counted, the totals last.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::assets::{self, Assets};
use crate::{command, tidy};

/// Test cases that passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    const fn of(outcome: &Result<(), String>) -> Self {
        match outcome {
            Ok(()) => Self { passed: 1, failed: 0 },
            Err(_) => Self { passed: 0, failed: 1 },
        }
    }
}

const STEPS: [&str; 5] = ["fmt", "clippy", "tidy", "build", "test"];

/// Runs the steps named, or all, and prints the totals. An error when anything failed.
pub(crate) fn run(steps: &[&str]) -> Result<(), String> {
    if let Some(unknown) = steps.iter().find(|step| !STEPS.contains(step)) {
        return Err(format!("{unknown:?} is not a step; use {}", STEPS.join(", ")));
    }
    let chosen = |step: &&str| steps.is_empty() || steps.contains(step);
    let assets = assets::set_up()?;
    let mut totals = Totals::default();
    let mut failures = Vec::new();
    for step in STEPS.iter().filter(|step| chosen(step)) {
        let started = Instant::now();
        eprintln!("== {step}");
        let (counted, outcome) = one(step, &assets);
        eprintln!("== {step}: {} ({:.0} s)", verdict(&outcome), started.elapsed().as_secs_f64());
        totals.add(counted);
        if let Err(message) = outcome {
            failures.push(format!("{step}: {message}"));
        }
    }
    for failure in &failures {
        eprintln!("failed: {failure}");
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("{} of the steps failed", failures.len()))
    }
}

fn verdict(outcome: &Result<(), String>) -> &'static str {
    if outcome.is_ok() { "ok" } else { "FAILED" }
}

fn one(step: &str, assets: &Assets) -> (Totals, Result<(), String>) {
    let outcome = match step {
        "fmt" => command::cargo(&["fmt", "--all", "--check"]),
        "clippy" => command::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ]),
        "tidy" => tidy::run(),
        "build" => command::cargo(&["build", "--workspace", "--bins", "--examples", "--quiet"]),
        _ => return cargo_test(assets),
    };
    (Totals::of(&outcome), outcome)
}

/// Runs every test of the workspace, passing its output on and adding up its result lines.
fn cargo_test(assets: &Assets) -> (Totals, Result<(), String>) {
    let mut totals = Totals::default();
    let outcome = stream_tests(assets, &mut totals);
    let outcome = outcome.and_then(|()| match totals {
        Totals { passed: 0, .. } => Err("no test ran".to_owned()),
        Totals { failed: 0, .. } => Ok(()),
        Totals { failed, .. } => Err(format!("{failed} tests failed")),
    });
    if outcome.is_err() && totals.failed == 0 {
        totals.failed = 1;
    }
    (totals, outcome)
}

fn stream_tests(assets: &Assets, totals: &mut Totals) -> Result<(), String> {
    let mut child = Command::new("cargo")
        .args(["test", "--workspace", "--no-fail-fast"])
        .envs(assets.environment())
        .current_dir(command::workspace_root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start cargo test: {error}"))?;
    let stdout = child.stdout.take().ok_or("cargo test has no standard output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| format!("cannot read what cargo test prints: {error}"))?;
        if let Some(counted) = result_line(&line) {
            totals.add(counted);
        }
        println!("{line}");
    }
    let status = child.wait().map_err(|error| format!("cannot wait for cargo test: {error}"))?;
    if status.success() || totals.failed > 0 {
        Ok(())
    } else {
        Err(format!("cargo test failed ({status})"))
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn result_line(line: &str) -> Option<Totals> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        counts.split("; ").find_map(|field| field.strip_suffix(word)?.trim().parse::<u64>().ok())
    };
    Some(Totals { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read_and_others_are_not() {
        let line = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(result_line(line), Some(Totals { passed: 3, failed: 2 }));
        assert_eq!(result_line("test a ... ok"), None);
    }

    #[test]
    fn an_unknown_step_is_refused_by_name() {
        assert!(run(&["lint"]).expect_err("no such step").contains("lint"));
    }
}
