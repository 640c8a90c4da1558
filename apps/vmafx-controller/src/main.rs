//! `vmafx-controller`: flags and environment in, signals handled, telemetry flushed.

use std::process::ExitCode;

use clap::Parser as _;
use vmafx_controller::{Args, Config, Controller};

/// Messages are many and small: malloc was a fifth of the queue's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::from(Args::parse());
    service::program::run("vmafx-controller", |telemetry| Controller::start(config, telemetry))
}
