//! `vmafx-mcp`: flags and environment in, signals handled, telemetry flushed.

use std::process::ExitCode;

use clap::Parser as _;
use observability::OtelGuard;
use service::program::{self, EXIT_FAILED, EXIT_USAGE, Refusal as _, Signals};
use tokio_util::sync::CancellationToken;
use vmafx_mcp::{Args, Config, HttpServer, StdioServer, TransportKind};

/// What this program is called, in telemetry too.
const NAME: &str = "vmafx-mcp";

/// Messages are many and small: malloc was a fifth of the queue's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::from(Args::parse());
    match config.transport {
        TransportKind::Http => {
            program::run(NAME, 0, |telemetry| HttpServer::start(config, telemetry))
        }
        TransportKind::Stdio => stdio(&config),
    }
}

/// Serves the host that started this process, until it closes the input. Standard output belongs to
/// the protocol: everything that is said beside it goes to standard error.
fn stdio(config: &Config) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{NAME}: no runtime: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = runtime.block_on(async {
        let telemetry = observability::init_otel(NAME);
        let code = serve(config, &telemetry).await;
        telemetry.shutdown_async().await;
        code
    });
    // The thread that reads standard input cannot be stopped, and does not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn serve(config: &Config, telemetry: &OtelGuard) -> u8 {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be handled");
            return EXIT_FAILED;
        }
    };
    observability::reload_on_hangup(telemetry.tracer().sampling());
    let stop = CancellationToken::new();
    let serving = async {
        let started = tokio::select! {
            started = StdioServer::start(config, telemetry.telemetry()) => started,
            // Still waiting for the host's first message: nobody is served.
            () = stop.cancelled() => return 0,
        };
        match started {
            Ok(Some(server)) => u8::from(!server.wait(stop.clone()).await),
            Ok(None) => 0,
            Err(error) => {
                tracing::error!("not started: {}", program::with_causes(&error));
                if error.is_usage() { EXIT_USAGE } else { EXIT_FAILED }
            }
        }
    };
    tokio::pin!(serving);
    tokio::select! {
        code = &mut serving => return code,
        name = signals.next() => tracing::info!(signal = name, "asked to stop"),
    }
    stop.cancel();
    tokio::select! {
        // What runs is ended in good order, within `WORK_END_MAX`.
        code = &mut serving => code,
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once");
            program::EXIT_INTERRUPTED
        }
    }
}
