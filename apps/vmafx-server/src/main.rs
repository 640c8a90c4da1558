//! `vmafx-server`: flags and environment in, signals handled, telemetry flushed.

use std::process::ExitCode;

use clap::Parser as _;
use vmafx_server::{Args, Config, Server};

/// As in the other services: messages are many and small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    scoring::refuse_huge_pages();
    let config = Config::from(Args::parse());
    service::program::run("vmafx-server", 0, |telemetry| Server::start(config, telemetry))
}
