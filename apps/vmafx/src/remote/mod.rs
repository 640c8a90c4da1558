//! The subcommands that ask a controller: submit, watch, jobs, job, frames, cancel, retry, nodes,
//! drain, explain, trace export; and sampling, which asks nodes too.
//!
//! What is asked for goes to standard output, as text or with `--json` as one JSON value; what is
//! said about it goes to standard error.

mod frames;
mod read;
mod sampling;
mod submit;
mod trace;
mod watch;

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use client::{Client, ClientConfig, ClientError};
use observability::{OtelConfig, OtelGuard};
use serde::Serialize;
use thiserror::Error;
use types::{FailureKind, JobId, Timestamp};

use crate::exit;

pub(crate) use frames::{FramesArgs, frames};
pub(crate) use read::{
    CancelArgs, DrainArgs, ExplainArgs, JobArgs, JobsArgs, NodesArgs, RetryArgs, cancel, drain,
    explain, job, jobs, nodes, retry,
};
pub(crate) use sampling::{SamplingArgs, sampling};
pub(crate) use submit::{SubmitArgs, ended_well, follow, submit};
pub(crate) use trace::{TraceArgs, trace};
pub(crate) use watch::{WatchArgs, watch};

/// Which controller, and in what form its answers are shown.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RemoteArgs {
    /// The controller's gRPC address
    #[arg(long, env = "VMAFX_CONTROLLER_ADDR", default_value = client::ADDRESS_DEFAULT, value_name = "URL")]
    controller: String,
    /// A file with the token the controller asks for
    #[arg(long, env = "VMAFX_CONTROLLER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one JSON value instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why a subcommand gave nothing.
#[derive(Debug, Error)]
pub(crate) enum RemoteError {
    /// The controller could not be asked, or refused.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// A process could not be asked over HTTP, or refused.
    #[error("{0}")]
    Http(#[from] sampling::HttpError),
    /// The token file could not be read.
    #[error("cannot read the token file {path}: {source}")]
    TokenFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing could be written.
    #[error("cannot write {what}: {source}")]
    Write {
        /// What.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The job ended without a score.
    #[error("{0}")]
    Job(types::Failure),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl RemoteError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Client(error) => ExitCode::from(match error.kind() {
                proto::ErrorKind::Unavailable | proto::ErrorKind::DeadlineExceeded => {
                    exit::UNREACHABLE
                }
                _ => exit::REFUSED,
            }),
            Self::Http(error) => ExitCode::from(error.exit_code()),
            Self::Job(failure) => exit::exit_code(failure.kind),
            Self::Write { .. } => exit::exit_code(FailureKind::Io),
            Self::TokenFile { .. } | Self::Usage(_) => ExitCode::from(exit::USAGE_OR_INTERNAL),
        }
    }
}

/// Telemetry of a command that a person types: as configured, but its log speaks from `warn` on
/// unless asked for more.
pub(crate) fn quiet_telemetry() -> OtelGuard {
    let mut config = OtelConfig::from_process_env("vmafx");
    let asked = ["VMAFX_LOG", "RUST_LOG"].iter().any(|name| std::env::var_os(name).is_some());
    if !asked {
        "warn".clone_into(&mut config.log.filter);
    }
    observability::init_with(&config)
}

/// Connects, and runs the subcommand as [`run_alone`] does.
pub(crate) fn run<F>(args: &RemoteArgs, command: impl FnOnce(Client, OtelGuardRef) -> F) -> ExitCode
where
    F: Future<Output = Result<(), RemoteError>>,
{
    run_alone(async |telemetry| {
        let client = connect(args, telemetry)?;
        command(client, OtelGuardRef { tracer: telemetry.tracer().clone() }).await
    })
}

/// Runs a subcommand to its end and turns an error into a message and an exit code. Called within a
/// trace, as a build pipeline does by `TRACEPARENT`, it is part of that trace.
fn run_alone(command: impl AsyncFnOnce(&OtelGuard) -> Result<(), RemoteError>) -> ExitCode {
    let telemetry = quiet_telemetry();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("vmafx: cannot start the runtime: {error}");
            return ExitCode::from(exit::USAGE_OR_INTERNAL);
        }
    };
    let caller = telemetry.tracer().propagators().extract_env(|name| std::env::var(name).ok());
    let outcome = runtime.block_on(observability::with_context(caller, command(&telemetry)));
    telemetry.shutdown();
    finish(outcome)
}

/// What a subcommand may know of telemetry.
pub(crate) struct OtelGuardRef {
    /// Makes the command's span.
    pub(crate) tracer: observability::Tracer,
}

/// Prints an error and gives its exit code.
pub(crate) fn finish(outcome: Result<(), RemoteError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(RemoteError::Write { source, .. })
            if source.kind() == std::io::ErrorKind::BrokenPipe =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vmafx: {error}");
            error.exit_code()
        }
    }
}

fn connect(args: &RemoteArgs, telemetry: &OtelGuard) -> Result<Client, RemoteError> {
    let token = match &args.token_file {
        None => None,
        Some(path) => Some(read_token(path)?.parse()?),
    };
    let config = ClientConfig {
        token,
        telemetry: telemetry.telemetry().clone(),
        ..ClientConfig::new(&args.controller)
    };
    Ok(Client::new(&config)?)
}

/// The token that a file holds.
fn read_token(path: &Path) -> Result<String, RemoteError> {
    let read = std::fs::read_to_string(path);
    let text = read.map_err(|source| RemoteError::TokenFile { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<(), RemoteError> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|source| RemoteError::Write { what: "to standard output".to_owned(), source })
}

/// Writes one JSON value and a line end to standard output.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), RemoteError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| RemoteError::Write { what: "JSON".to_owned(), source: error.into() })?;
    print(&format!("{text}\n"))
}

/// The wall clock, which the pure parts below are given.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.after(since_epoch)
}

/// Reads a job id as an argument.
pub(crate) fn parse_job_id(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|error: types::id::ParseIdError| error.to_string())
}

/// Reads `KEY=VALUE`.
pub(crate) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not a label; write KEY=VALUE")),
    }
}
