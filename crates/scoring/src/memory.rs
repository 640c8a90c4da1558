//! How the process that scores keeps its memory small.

/// Asks for buffers in small pages, for the whole process. Buffers of a run are few and small: in
/// huge pages of 2 MB they would take twice the memory, and score no sooner. Child processes inherit
/// it, so it is not for programs that encode, whose encoders may gain from such pages. Called first;
/// where it cannot be had the process is only larger.
pub fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_kernel_says_that_the_process_has_none() {
        super::refuse_huge_pages();
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        // Kernels before 5.19 do not say it.
        let line = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        assert_eq!(line.unwrap_or("0").trim(), "0");
    }
}
