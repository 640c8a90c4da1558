//! SIGHUP: the rules of sampling are read again.
//!
//! A terminal that closes sends the same signal. Whoever started a program by hand expects it to
//! end then, so a program whose standard input was a terminal, and is none any more, is asked to
//! stop as by SIGTERM.

use std::io::IsTerminal as _;

use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::sampler::SamplerControl;

/// Reloads `sampling` at each SIGHUP, as long as the runtime runs. Where the signal cannot be
/// handled, one warning says so.
///
/// # Panics
/// Outside a tokio runtime.
pub fn reload_on_hangup(sampling: SamplerControl) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be handled: it does not reload sampling");
            return;
        }
    };
    let had_terminal = std::io::stdin().is_terminal();
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            if had_terminal && !std::io::stdin().is_terminal() {
                tracing::info!("the terminal is closed");
                if kill_process(getpid(), Signal::TERM).is_ok() {
                    return;
                }
            }
            // Reads a small file: on a thread that may wait for a disk.
            let sampling = sampling.clone();
            let _ = tokio::task::spawn_blocking(move || sampling.reload()).await;
        }
    });
}
