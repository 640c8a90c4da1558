//! The observability table of the guide, held against the real program.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use observability::testing::{End, Subject, check_program};
use support::{cut, ffmpeg};

#[test]
fn the_program_passes_the_observability_table() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = cut("bikes.mp4", 60, 12, &folder.path().join("source.y4m"));
    check_program("vmafx-tune", || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx-tune"));
        command
            .env_clear()
            .env("VMAFX_FFMPEG", ffmpeg())
            .env("VMAFX_LOG", "info")
            .args(["crf", &source, "-e", "x264", "-p", "veryfast", "-t", "80"])
            .args(["--json", "--no-journal"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        // It does its work from its start to its end.
        let work = |child: &mut Child| {
            while child.try_wait().expect("it is ours").is_none() {
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        Subject { command, work: Box::new(work), metrics: None, end: End::ByItself }
    });
}
