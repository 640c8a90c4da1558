//! The command line of VMAFX: one table of subcommands, each in a module of its own.

pub mod exit;

mod clip;
mod demo;
mod doctor;
mod fleet;
mod models;
mod preset;
mod remote;
mod score;
mod show;
mod up;

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
    /// Starts a controller and two nodes, scores a built-in clip, explains where the time went.
    Demo(demo::DemoArgs),
    /// Runs a controller and nodes in this process until told to stop.
    Up(up::UpArgs),
    /// Hands a pair to the controller; with --wait prints its score.
    Submit(remote::SubmitArgs),
    /// Shows what happens to jobs, as it happens.
    Watch(remote::WatchArgs),
    /// Lists jobs, newest first.
    Jobs(remote::JobsArgs),
    /// Shows one job: scores, attempts, causes.
    Job(remote::JobArgs),
    /// Prints a finished job's per-frame values.
    Frames(remote::FramesArgs),
    /// Cancels jobs.
    Cancel(remote::CancelArgs),
    /// Queues failed jobs again.
    Retry(remote::RetryArgs),
    /// Shows where a job's time went.
    Explain(remote::ExplainArgs),
    /// Works with the traces of finished jobs.
    Trace(remote::TraceArgs),
    /// Shows or changes which new traces a running controller or node records.
    Sampling(remote::SamplingArgs),
    /// Lists nodes.
    Nodes(remote::NodesArgs),
    /// Lets a node finish what it has and take no more.
    Drain(remote::DrainArgs),
    /// Lists the built-in models.
    Models(models::ModelsArgs),
    /// Checks this installation with a clip whose score is known.
    Doctor(doctor::DoctorArgs),
    /// Prints a script that completes subcommands and flags in a shell.
    Completions(CompletionsArgs),
}

/// What `vmafx completions` takes.
#[derive(Debug, clap::Args)]
struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vmafx", &mut script);
    remote::finish(remote::print(&String::from_utf8_lossy(&script)))
}

impl Command {
    fn run(self) -> ExitCode {
        match self {
            Self::Score(args) => score::run(&args),
            Self::Demo(args) => demo::demo(&args),
            Self::Up(args) => up::up(&args),
            Self::Submit(args) => remote::submit(&args),
            Self::Watch(args) => remote::watch(&args),
            Self::Jobs(args) => remote::jobs(&args),
            Self::Job(args) => remote::job(&args),
            Self::Frames(args) => remote::frames(&args),
            Self::Cancel(args) => remote::cancel(&args),
            Self::Retry(args) => remote::retry(&args),
            Self::Explain(args) => remote::explain(&args),
            Self::Trace(args) => remote::trace(&args),
            Self::Sampling(args) => remote::sampling(&args),
            Self::Nodes(args) => remote::nodes(&args),
            Self::Drain(args) => remote::drain(&args),
            Self::Models(args) => models::models(&args),
            Self::Doctor(args) => doctor::doctor(&args),
            Self::Completions(args) => completions(&args),
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
