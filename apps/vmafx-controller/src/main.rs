//! `vmafx-controller`: flags and environment in, signals handled, telemetry flushed.

use std::process::ExitCode;

use clap::Parser as _;
use observability::OtelGuard;
use tokio::signal::unix::{Signal, SignalKind, signal};
use vmafx_controller::{Args, Config, Controller, ControllerHandle, StartError};

/// Messages are many and small: malloc was a fifth of the queue's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Could not start, or had to stop.
const EXIT_FAILED: u8 = 1;
/// A setting is not allowed; clap uses the same for flags.
const EXIT_USAGE: u8 = 2;
/// A second signal cut the shutdown short.
const EXIT_INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let config = Config::from(Args::parse());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("vmafx-controller: no runtime: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    runtime.block_on(async {
        let telemetry = observability::init_otel("vmafx-controller");
        let code = run(config, &telemetry).await;
        telemetry.shutdown_async().await;
        ExitCode::from(code)
    })
}

async fn run(config: Config, telemetry: &OtelGuard) -> u8 {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be handled");
            return EXIT_FAILED;
        }
    };
    observability::reload_on_hangup(telemetry.tracer().sampling());
    let handle = tokio::select! {
        started = Controller::start(config, telemetry.telemetry().clone()) => match started {
            Ok(handle) => handle,
            Err(error) => return refused(&error),
        },
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before it was ready");
            return 0;
        }
    };
    serve(handle, signals).await
}

async fn serve(mut handle: ControllerHandle, mut signals: Signals) -> u8 {
    let code = tokio::select! {
        why = handle.failed() => {
            tracing::error!("{why}");
            EXIT_FAILED
        }
        name = signals.next() => {
            tracing::info!(signal = name, "asked to stop; a second signal stops at once");
            0
        }
    };
    tokio::select! {
        () = handle.shutdown() => code,
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once; what was acknowledged is durable");
            // Nothing is waited for, not even telemetry.
            std::process::exit(EXIT_INTERRUPTED);
        }
    }
}

/// Logs why nothing was started: with its causes, on one line.
fn refused(error: &StartError) -> u8 {
    let mut causes = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!("not started: {causes}");
    if matches!(error, StartError::Config(_)) { EXIT_USAGE } else { EXIT_FAILED }
}

/// The signals that ask a service to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
