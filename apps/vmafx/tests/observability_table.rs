//! The observability table of the guide, held against the program that is a whole fleet.

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use observability::testing::{End, Subject, check_program};
use support::otelcol::http_get;
use support::{DEADLINE, Ran, binary, demo_pair, free_ports, wait_for};

fn up(folder: &Path, ports: [u16; 2]) -> Command {
    let mut command = support::up(folder, ports);
    command
        .env_clear()
        // Its own level leaves out what a fleet says of each request.
        .env("VMAFX_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn submit_and_wait(grpc: u16) {
    let (reference, distorted) = demo_pair();
    let mut command = Command::new(binary("vmafx"));
    command.env_clear().args(["submit", &reference, &distorted, "--wait", "--json"]);
    let ran = Ran::of(command.args(["--controller", &format!("http://127.0.0.1:{grpc}")]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}

#[test]
fn vmafx_up_keeps_the_observability_table() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut runs = 0;
    check_program("vmafx", || {
        let [grpc, http] = free_ports();
        let work = move |_: &mut Child| {
            wait_for("vmafx up is ready", DEADLINE, || {
                http_get(http, "/readyz", "*/*")?.starts_with("HTTP/1.1 200").then_some(())
            });
            submit_and_wait(grpc);
        };
        runs += 1;
        let command = up(&folder.path().join(runs.to_string()), [grpc, http]);
        let metrics = Some(([127, 0, 0, 1], http).into());
        Subject { command, work: Box::new(work), metrics, end: End::Told }
    });
}
