//! What runs that were killed have left behind.

use std::path::Path;

/// Removes files and folders whose names are `prefix`, the number of a process that is gone, a dash,
/// anything, and `suffix`. Where it cannot be told whether a process is gone, nothing is removed.
pub(crate) fn remove(folder: &Path, prefix: &str, suffix: &str) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(prefix)
            .filter(|rest| rest.ends_with(suffix))
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(owner, _)| owner.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            // Somebody else may be faster.
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _ =
                if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_dead_have_left_is_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // No process has this number: it is above what the kernel gives out.
        let dead = u32::MAX;
        let own = std::process::id();
        let names = [
            (format!("t-{dead}-1.mkv"), false),
            (format!("t-{own}-1.mkv"), true),
            (format!("u-{dead}-1.mkv"), true),
            (format!("t-{dead}-1.mp4"), true),
            ("t-x-1.mkv".to_owned(), true),
        ];
        for (name, _) in &names {
            std::fs::write(folder.path().join(name), b"x").expect("written");
        }
        let dir = format!("t-{dead}-dir.mkv");
        std::fs::create_dir(folder.path().join(&dir)).expect("made");
        remove(folder.path(), "t-", ".mkv");
        for (name, stays) in &names {
            assert_eq!(folder.path().join(name).exists(), *stays, "{name}");
        }
        assert!(!folder.path().join(dir).exists());
    }
}
