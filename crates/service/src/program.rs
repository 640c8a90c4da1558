//! What `main` does around a service: a runtime, telemetry, signals, exit codes.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

use observability::{OtelGuard, Telemetry};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Could not start, or had to stop.
pub const EXIT_FAILED: u8 = 1;
/// A setting is not allowed; clap uses the same for flags.
pub const EXIT_USAGE: u8 = 2;
/// A second signal cut the end short.
pub const EXIT_INTERRUPTED: u8 = 130;

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
/// one at least; `TOKIO_WORKER_THREADS` sets another number.
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
    let runtime = match runtime(busy_elsewhere) {
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

fn runtime(busy_elsewhere: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if busy_elsewhere > 0 && std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let cpus = std::thread::available_parallelism()?.get();
        builder.worker_threads(cpus.saturating_sub(busy_elsewhere).max(1));
    }
    builder.enable_all().build()
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
