//! Prometheus' own opinion of a page of metrics.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// What `promtool check metrics` says of a page in Prometheus' text form; nothing is best.
///
/// # Errors
/// What it finds wrong, or would have otherwise.
///
/// # Panics
/// When there is no `promtool`; `cargo xtask setup` installs it.
pub fn promtool_check(page: &str) -> Result<(), String> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; `cargo xtask setup` installs it");
    // The end of the input is the end of this handle.
    promtool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(said) }
}
