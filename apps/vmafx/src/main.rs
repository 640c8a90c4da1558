//! The command line of VMAFX.

use std::process::ExitCode;

/// Messages are many and small: malloc was a fifth of the queue's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vmafx::main(std::env::args_os())
}
