//! `cargo xtask bench`: builds the platform's programs and the benchmarks in release, all with the
//! same features, and runs the benchmarks.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{assets, command};

/// What the benchmarks need to lie beside them.
const PACKAGES: [&str; 3] = ["bench", "vmafx", "vmafx-controller"];

/// Runs one benchmark with its flags, or both without any.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let (benches, flags) = match arguments {
        ["telemetry"] => return telemetry(),
        [bench @ ("engine" | "queue" | "tune"), flags @ ..] => (vec![*bench], flags),
        flags => (vec!["queue", "engine"], flags),
    };
    let mut build = vec!["build", "--release"];
    build.extend(PACKAGES.iter().flat_map(|package| ["--package", package]));
    command::cargo(&build)?;
    let program = target_directory()?.join("release/bench");
    for bench in benches {
        let mut run = Command::new(&program);
        run.arg(bench).args(flags);
        if matches!(bench, "engine" | "tune") {
            run.envs(assets::set_up()?.environment());
        }
        command::run(run)?;
    }
    Ok(())
}

/// What telemetry costs a call: times and allocations, each with an allocator of its own; and what a
/// recorded span costs on its way to a collector.
fn telemetry() -> Result<(), String> {
    for example in ["span_cost", "span_allocations", "export_cost"] {
        let run = ["run", "--release", "--package", "observability", "--example", example];
        command::cargo(&run)?;
    }
    Ok(())
}

fn target_directory() -> Result<PathBuf, String> {
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&command::output(metadata)?)
        .map_err(|error| format!("cannot read cargo's metadata: {error}"))?;
    let directory = metadata["target_directory"].as_str();
    Ok(directory.ok_or("cargo's metadata names no target directory")?.into())
}
