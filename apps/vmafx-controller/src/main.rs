//! `vmafx-controller`: flags and environment in, signals handled, telemetry flushed.

use std::process::ExitCode;

use clap::Parser as _;
use vmafx_controller::{Args, Config, Controller};

/// Messages are many and small: malloc was a fifth of the queue's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The store's writer has a thread of its own, which is as busy as all the others together.
const BUSY_ELSEWHERE: usize = 1;

fn main() -> ExitCode {
    let config = Config::from(Args::parse());
    service::program::run("vmafx-controller", BUSY_ELSEWHERE, |telemetry| {
        Controller::start(config, telemetry)
    })
}
