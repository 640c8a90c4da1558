//! What `main` does around a service: a runtime, telemetry, signals, exit codes.

use std::error::Error;
use std::ffi::OsStr;
use std::future::Future;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use observability::{OtelGuard, Telemetry};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Could not start, or had to stop.
pub const EXIT_FAILED: u8 = 1;
/// A setting is not allowed; clap uses the same for flags.
pub const EXIT_USAGE: u8 = 2;
/// A second signal cut the end short.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Where tokio reads its number of threads. Read here, for what it cannot use it panics at.
const WORKER_THREADS: &str = "TOKIO_WORKER_THREADS";
/// More threads than any machine here has processors for.
const WORKER_THREADS_MAX: usize = 1_024;

/// The signals that ask a service to stop.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes them over from the system, which would end the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one, and says which.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// A service that runs.
pub trait Running: Send {
    /// Waits until it can no longer serve although nobody asked it to stop, and says why. Cancel
    /// safe.
    fn failed(&mut self) -> impl Future<Output = String>;

    /// Ends it in good order, within a time of its own.
    fn shutdown(self) -> impl Future<Output = ()>;
}

/// Why a service was not started.
pub trait Refusal: Error {
    /// Whether whoever configured it can mend it: the exit code is then [`EXIT_USAGE`].
    fn is_usage(&self) -> bool;
}

/// Runs a service until it is told to stop: starts telemetry and the service, serves, stops at the
/// first SIGTERM or SIGINT in good order and at the second at once.
///
/// The runtime's threads leave `busy_elsewhere` CPUs to threads of the service's own, but there is
/// one at least; `TOKIO_WORKER_THREADS`, tokio's own setting, sets another number.
pub fn run<S, E, F>(
    name: &str,
    busy_elsewhere: usize,
    start: impl FnOnce(Telemetry) -> F,
) -> ExitCode
where
    S: Running,
    E: Refusal,
    F: Future<Output = Result<S, E>>,
{
    let asked = std::env::var_os(WORKER_THREADS).unwrap_or_default();
    let Some(threads) = worker_threads(&asked, busy_elsewhere) else {
        eprintln!(
            "{name}: {WORKER_THREADS} is {asked:?}, but must be a whole number from 1 to {WORKER_THREADS_MAX}"
        );
        return ExitCode::from(EXIT_USAGE);
    };
    let runtime = match Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{name}: no runtime: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = runtime.block_on(async {
        let telemetry = observability::init_otel(name);
        let code = serve(start, &telemetry).await;
        telemetry.shutdown_async().await;
        code
    });
    // A thread that still reads from a hanging disk does not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// How many threads the runtime has; `None` where what was asked for is no number of threads. Empty is as
/// if unset.
fn worker_threads(asked: &OsStr, busy_elsewhere: usize) -> Option<usize> {
    if asked.is_empty() {
        let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        return Some(cpus.saturating_sub(busy_elsewhere).max(1));
    }
    asked.to_str()?.parse().ok().filter(|threads| (1..=WORKER_THREADS_MAX).contains(threads))
}

async fn serve<S, E, F>(start: impl FnOnce(Telemetry) -> F, telemetry: &OtelGuard) -> u8
where
    S: Running,
    E: Refusal,
    F: Future<Output = Result<S, E>>,
{
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be handled");
            return EXIT_FAILED;
        }
    };
    observability::reload_on_hangup(telemetry.tracer().sampling());
    let mut service = tokio::select! {
        started = start(telemetry.telemetry().clone()) => match started {
            Ok(service) => service,
            Err(error) => return refused(&error),
        },
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before it was ready");
            return 0;
        }
    };
    let code = tokio::select! {
        why = service.failed() => {
            tracing::error!("{why}");
            EXIT_FAILED
        }
        name = signals.next() => {
            tracing::info!(signal = name, "asked to stop; a second signal stops at once");
            0
        }
    };
    tokio::select! {
        () = service.shutdown() => code,
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once; work that had not ended is lost unless it was stored");
            // Nothing is waited for, not even telemetry.
            std::process::exit(i32::from(EXIT_INTERRUPTED));
        }
    }
}

/// Logs why nothing was started: with its causes, on one line.
fn refused(error: &impl Refusal) -> u8 {
    tracing::error!("not started: {}", with_causes(error));
    if error.is_usage() { EXIT_USAGE } else { EXIT_FAILED }
}

/// An error and what caused it, on one line.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_is_what_is_asked_for_or_what_is_left_of_the_processors() {
        let threads = |asked: &str, busy| worker_threads(OsStr::new(asked), busy);
        let all = threads("", 0).expect("a number");
        assert!(all >= 1);
        assert_eq!(threads("", 1), Some((all - 1).max(1)));
        assert_eq!(threads("", usize::MAX), Some(1));
        assert_eq!((threads("3", 1), threads("1024", 0)), (Some(3), Some(1_024)));
        for bad in ["0", "-1", "1025", "two", "1.5", " 2"] {
            assert_eq!(threads(bad, 0), None, "{bad:?}");
        }
    }
}
