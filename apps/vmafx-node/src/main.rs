//! `vmafx-node`: flags and environment in, signals handled, telemetry flushed.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use observability::OtelGuard;
use service::program::{EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, Signals};
use vmafx_node::{Args, Config, Node, NodeHandle, StartError, WAIT_MAX};

/// Messages are many and small: malloc was a fifth of the queue's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads for signs of life and all other input and output; scoring has its own.
const RUNTIME_THREADS: usize = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let drain_grace = args.drain_grace.min(WAIT_MAX);
    let config = Config::from(args);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("node-io")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("vmafx-node: no runtime: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = runtime.block_on(async {
        let telemetry = observability::init_otel("vmafx-node");
        let code = run(config, drain_grace, &telemetry).await;
        telemetry.shutdown_async().await;
        code
    });
    // A thread that still writes to a hanging disk does not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run(config: Config, drain_grace: Duration, telemetry: &OtelGuard) -> u8 {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be handled");
            return EXIT_FAILED;
        }
    };
    observability::reload_on_hangup(telemetry.tracer().sampling());
    let handle = match Node::start(config, telemetry.telemetry().clone()).await {
        Ok(handle) => handle,
        Err(error) => {
            tracing::error!("not started: {error}");
            let usage = matches!(error, StartError::Config(_) | StartError::Client(_));
            return if usage { EXIT_USAGE } else { EXIT_FAILED };
        }
    };
    serve(handle, drain_grace, &mut signals).await
}

async fn serve(handle: NodeHandle, drain_grace: Duration, signals: &mut Signals) -> u8 {
    let name = tokio::select! {
        name = signals.next() => name,
        // An operator drains a node to lose no work: what runs is finished, unless a signal comes.
        () = async { handle.asked_to_leave().await; handle.drain(WAIT_MAX).await } => return 0,
    };
    tracing::info!(signal = name, "asked to stop; a second signal stops at once");
    tokio::select! {
        () = handle.drain(drain_grace) => 0,
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once; the controller gives the work to others");
            EXIT_INTERRUPTED
        }
    }
}
