//! The platform's benchmarks: every figure stands beside its goal, and beside what the machine
//! could do in the same run: how fast the disk makes bytes durable and how fast a gRPC call is
//! echoed, or what another engine reached on the same clips.
//!
//! `cargo xtask bench queue`, `engine` and `tune` build everything and run it; recorded
//! results are in `bench/README.md`.

mod baseline;
mod engine_bench;
mod fleet;
mod machine;
mod process;
mod queue;
mod statistics;
mod table;
mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Messages are many and small: malloc was a fifth of the queue's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Anything that ends a benchmark early.
type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(name = "bench", about = "VMAFX's benchmarks, each beside what it is measured against")]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// The durable queue: a controller process, clients and nodes over gRPC
    Queue(queue::Args),
    /// Whole scoring runs against libvmaf's
    Engine(engine_bench::Args),
    /// Searches for a target quality against trying everything
    Tune(tune::Args),
    /// A node that holds what it is given until it is killed
    #[command(hide = true)]
    HoldingNode(fleet::HoldingNode),
}

fn main() -> ExitCode {
    let outcome = match Args::parse().bench {
        Bench::Queue(args) => on_runtime(queue::run(args)),
        Bench::Engine(args) => engine_bench::run(&args),
        Bench::Tune(args) => tune::run(&args),
        Bench::HoldingNode(args) => on_runtime(fleet::hold(args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn on_runtime(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::runtime::Runtime::new()?.block_on(work)
}
