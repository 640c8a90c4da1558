//! On what was measured: figures mean nothing without it.

use std::process::Command;

use engine::{Isa, IsaLevel};

/// Lines that say on which machine, at which commit and under which load this ran.
pub(crate) fn describe() -> String {
    let cpu = line_of("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = line_of("/proc/meminfo", "MemTotal");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!(
        "CPU: {cpu}, {cores} CPUs, engine ISA {}; memory: {memory}\n\
         checkout: {}; date: {} UTC; load before: {}",
        Isa::detect(IsaLevel::Avx512),
        said("git", &["describe", "--always", "--dirty", "--abbrev=10"]),
        said("date", &["-u", "+%Y-%m-%d %H:%M"]),
        load.join(" "),
    )
}

/// The value of the first `key: value` line.
fn line_of(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_once(':'))
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}
