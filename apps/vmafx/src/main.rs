//! The command line of VMAFX.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmafx::main(std::env::args_os())
}
