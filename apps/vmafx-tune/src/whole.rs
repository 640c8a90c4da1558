//! Small files that are there whole or not at all.

use std::ffi::OsString;
use std::path::Path;

/// Writes a file that is there whole or not at all; into what is no file, such as a terminal, at once.
///
/// # Errors
/// When it cannot be written; what was there before is there still.
pub fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    if path.exists() && !path.is_file() {
        return std::fs::write(path, text);
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".unfinished");
    let unfinished = path.with_file_name(name);
    let written =
        std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, path));
    if written.is_err() {
        // It may never have been made.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ladder.csv");
        for text in ["one", "two"] {
            write_whole(&path, text).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 1);
        write_whole(&folder.path().join("none/ladder.csv"), "x").expect_err("no folder");
    }
}
