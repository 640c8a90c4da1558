//! Ctrl-C and SIGTERM end a run in order: decoders are gone and no half log is left. A second signal
//! ends the process at once.

use std::io;

use media::CancelToken;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use types::{Failure, FailureKind};

/// What shells give a process that SIGINT ended.
const EXIT_CODE_INTERRUPTED: i32 = 130;

/// From here on, the first signal cancels.
///
/// # Errors
/// When signals cannot be listened to.
pub(super) fn cancel_when_told(cancel: &CancelToken) -> Result<(), Failure> {
    listen(cancel.clone()).map_err(|error| {
        Failure::new(FailureKind::Io, format!("signals cannot be listened to: {error}"))
    })
}

fn listen(cancel: CancelToken) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Both are listened to from here on, not only once the thread runs.
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if last {
                std::process::exit(EXIT_CODE_INTERRUPTED);
            }
            cancel.cancel();
        }
    };
    // Ends with the process: a signal may come until then.
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}
