//! The command line of VMAFX: one table of subcommands, each in a module of its own.

pub mod exit;

mod score;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Scores how much worse a distorted video looks than its reference (VMAF).
#[derive(Debug, Parser)]
#[command(name = "vmafx", version, infer_subcommands = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Scores one pair of videos here and now, with the flags of libvmaf's vmaf tool.
    Score(score::ScoreArgs),
}

impl Command {
    fn run(self) -> ExitCode {
        match self {
            Self::Score(args) => score::run(&args),
        }
    }
}

/// Runs the command line. Usage errors go to standard error with
/// [`exit::USAGE_OR_INTERNAL`].
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Cli::command().mut_subcommands(|command| command.after_long_help(exit::help()));
    let parsed = command
        .try_get_matches_from(args)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    match parsed {
        Ok(cli) => cli.command.run(),
        Err(error) => {
            // A closed pipe loses only the text that nobody reads.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { exit::USAGE_OR_INTERNAL } else { exit::OK })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_subcommands_is_well_formed() {
        Cli::command().debug_assert();
    }
}
