//! A file that the user may not read. Alone in its process: it runs a program that it has just written,
//! which fails while another thread's child still holds the file open.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use testkit::ClipSpec;

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}

#[test]
fn a_file_that_may_not_be_read_is_not_permitted() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = |name: &str| folder.path().join(name);
    let pair = ClipSpec::texture(7, 40, 40, 1).make();
    fs::write(at("reference.y4m"), pair.reference.y4m_bytes()).expect("written");
    fs::write(at("secret.y4m"), pair.distorted.y4m_bytes()).expect("written");
    set_mode(&at("secret.y4m"), 0o000);
    // Root may read everything, so the program runs as somebody else then, from where they may.
    fs::copy(env!("CARGO_BIN_EXE_vmafx"), at("vmafx")).expect("copied");
    set_mode(&at("vmafx"), 0o755);
    set_mode(folder.path(), 0o755);
    let mut command = Command::new(at("vmafx"));
    command.current_dir(folder.path()).args(["score", "-r", "reference.y4m", "-d", "secret.y4m"]);
    if fs::File::open(at("secret.y4m")).is_ok() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("started");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{message}");
    assert!(message.contains("secret.y4m may not be read"), "{message}");
}
