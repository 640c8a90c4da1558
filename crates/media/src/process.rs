//! What every child process here has in common: a group of its own, an environment that changes
//! nothing, limits, ears for what it says, and an end.
//!
//! Invariants: a child is killed with its whole group and reaped when its [`Process`] is dropped;
//! its number is signalled only while it is its own, that is, not yet reaped; its messages are read
//! until it closes them, so that it never blocks on a full pipe.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// What a child keeps of our environment: how programs and libraries are found. Nothing else (proxies,
/// log files, presets) may change what is decoded or encoded.
const ENVIRONMENT_KEPT: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// Bytes that are read of messages at once.
const CHUNK_BYTES: usize = 4_096;

/// Makes a command start as children here do.
pub(crate) fn prepare(command: &mut Command) {
    command.env_clear().process_group(0);
    for kept in ENVIRONMENT_KEPT {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
}

/// A child that leads its own group, and the thread that listens to it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    listener: Option<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Takes over a child that was started from a command that is [prepared](prepare).
    pub(crate) const fn new(child: Child) -> Self {
        Self { child, listener: None, status: None }
    }

    pub(crate) const fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(crate) const fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Hands each line of its standard error, cut to `line_bytes_max`, to `take_line`, on a thread of
    /// that name. Its standard error is a pipe, and nobody else reads it.
    pub(crate) fn listen(
        &mut self,
        thread_name: &str,
        line_bytes_max: usize,
        take_line: impl FnMut(&[u8]) + Send + 'static,
    ) -> io::Result<()> {
        let errors = self.child.stderr.take().expect("standard error is a pipe");
        let work = move || listen(errors, line_bytes_max, take_line);
        self.listener = Some(std::thread::Builder::new().name(thread_name.to_owned()).spawn(work)?);
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` until it is reaped.
    pub(crate) const fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// The process's number, which is its group's too.
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Whether it has ended. Does not reap it, so that its number stays its own.
    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        if self.status.is_some() {
            return Ok(true);
        }
        let pid = self.pid().ok_or(io::ErrorKind::NotFound)?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(pid), options) {
            Ok(status) => Ok(status.is_some()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reaps it and waits for its last words. What it left behind in its group, which would keep its
    /// messages open, is killed. To be called once it [has ended](Self::has_ended), or after
    /// [`kill`](Self::kill).
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.kill();
        let status = self.child.wait()?;
        self.status = Some(status);
        if let Some(listener) = self.listener.take() {
            // A panic there lost messages only.
            let _ = listener.join();
        }
        Ok(status)
    }

    pub(crate) fn kill(&mut self) {
        if self.status.is_none() {
            // Not yet reaped, so the number is still its own.
            if let Some(group) = self.pid() {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.child.kill();
        }
    }

    /// Holds it to so many bytes of address space.
    pub(crate) fn limit_memory(&self, bytes_max: u64) {
        #[cfg(target_os = "linux")]
        self.limit(rustix::process::Resource::As, bytes_max);
        // Only Linux lets one process limit another.
        #[cfg(not(target_os = "linux"))]
        let _ = bytes_max;
    }

    /// Holds every file it writes to so many bytes.
    pub(crate) fn limit_file(&self, bytes_max: u64) {
        #[cfg(target_os = "linux")]
        self.limit(rustix::process::Resource::Fsize, bytes_max);
        // Only Linux lets one process limit another.
        #[cfg(not(target_os = "linux"))]
        let _ = bytes_max;
    }

    #[cfg(target_os = "linux")]
    fn limit(&self, resource: rustix::process::Resource, bytes_max: u64) {
        use rustix::process::{Rlimit, prlimit};
        let limit = Rlimit { current: Some(bytes_max), maximum: Some(bytes_max) };
        // It may have ended already; then there is nothing to limit.
        let _ = prlimit(self.pid(), resource, limit);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // That it cannot be reaped can be told to nobody any more.
        let _ = self.reap();
    }
}

/// Reads lines until the process closes its standard error. Never stops early; what is over the
/// bound is dropped.
fn listen(mut errors: ChildStderr, line_bytes_max: usize, mut take_line: impl FnMut(&[u8])) {
    let mut chunk = [0; CHUNK_BYTES];
    let mut line = Vec::with_capacity(line_bytes_max);
    loop {
        let count = match errors.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for byte in &chunk[..count] {
            match byte {
                b'\n' | b'\r' => {
                    take_line(&line);
                    line.clear();
                }
                _ if line.len() < line_bytes_max => line.push(*byte),
                _ => {}
            }
        }
    }
    take_line(&line);
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::sync::{Arc, Mutex};

    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stderr(Stdio::piped());
        prepare(&mut command);
        Process::new(command.spawn().expect("a shell"))
    }

    #[test]
    fn lines_are_cut_and_the_last_needs_no_end() {
        let mut process = shell("printf 'abcdef\\ngh\\rij' >&2");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let take = move |line: &[u8]| heard.lock().expect("no panic").push(line.to_vec());
        process.listen("ears", 4, take).expect("a thread");
        while !process.has_ended().expect("it is ours") {
            std::thread::yield_now();
        }
        assert!(process.reap().expect("it is ours").success());
        let expected = [&b"abcd"[..], b"gh", b"ij"].map(<[u8]>::to_vec);
        assert_eq!(*lines.lock().expect("no panic"), expected);
    }

    #[test]
    fn what_a_child_leaves_in_its_group_goes_with_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("pid");
        let mut process = shell(&format!("sleep 600 & echo $! > {}", file.display()));
        process.listen("ears", 10, |_| {}).expect("a thread");
        while !process.has_ended().expect("it is ours") {
            std::thread::yield_now();
        }
        // Would wait for the sleeper, which holds standard error open, were it not killed.
        process.reap().expect("it is ours");
        assert!(process.has_ended().expect("known"), "also once it is reaped");
        let sleeper = std::fs::read_to_string(&file).expect("written").trim().to_owned();
        let began = std::time::Instant::now();
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            // Whoever adopted it may not have reaped it yet.
            if stat.is_empty() || stat.contains(") Z ") {
                break;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(10), "{stat}");
            std::thread::yield_now();
        }
    }
}
