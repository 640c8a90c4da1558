//! `vmafx-tune`: flags and environment in, signals handled, events and outcome out.

mod cli;
mod console;

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use client::{Client, ClientConfig, ClientError};
use media::{CancelToken, FfmpegConfig, MediaConfig, SourcePolicy, Stop};
use observability::{OtelConfig, OtelGuard};
use scoring::RunConfig;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use types::{Failure, FailureKind};
use vmafx_tune::manifest::Manifests;
use vmafx_tune::report::Report;
use vmafx_tune::{
    Environment, Fleet, Standing, TuneError, TuneOutcome, TuneRequest, cost, run, show, write_whole,
};

use cli::{Args, Command, LadderFormat, ReportArgs, RunArgs};
use console::Console;

/// The frames of media are large and few; what is small and many are events and spans.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What shells give a process that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    let code = match (args.command.request(), &args.command) {
        (Some((request, how)), command) => tune(&request, how, command),
        (None, Command::Report(args)) => report(args),
        (None, _) => FailureKind::Internal.exit_code(),
    };
    ExitCode::from(code)
}

/// Carries a request out and gives the exit code.
fn tune(request: &TuneRequest, how: &RunArgs, command: &Command) -> u8 {
    let telemetry = telemetry();
    let console = Console::new(how.json);
    let outcome = within_runtime(request, how, command, &telemetry, &console);
    telemetry.shutdown();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let failure = error.to_failure();
            console.failure(&failure);
            match &error {
                TuneError::Controller(error) => controller_code(error),
                _ => failure.kind.exit_code(),
            }
        }
    }
}

fn within_runtime(
    request: &TuneRequest,
    how: &RunArgs,
    command: &Command,
    telemetry: &OtelGuard,
    console: &Console,
) -> Result<u8, TuneError> {
    let io =
        |what: &str, error: &dyn std::fmt::Display| TuneError::Request(format!("{what}: {error}"));
    // Calls to a controller run here, and signals are heard; everything else has its own threads.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("tune-io")
        .enable_all()
        .build()
        .map_err(|error| io("the runtime cannot be started", &error))?;
    let stop = Stop::never();
    cancel_when_told(&runtime, &stop.cancel)
        .map_err(|error| io("signals cannot be listened to", &error))?;
    // Called within a trace, as a build pipeline does by `TRACEPARENT`, it is part of that trace.
    let caller = telemetry.tracer().propagators().extract_env(|name| std::env::var(name).ok());
    let _within = caller.attach();
    let env = environment(how, telemetry, &runtime)?;
    let code = if how.dry_run {
        let cost = cost(request, &env, &stop)?;
        console.cost(&cost);
        0
    } else {
        let outcome = run(request, &env, &stop, console)?;
        print_outcome(console, command, &outcome)?;
        match outcome.standing() {
            Standing::Met => 0,
            Standing::Unreachable => cli::EXIT_UNREACHABLE,
            Standing::Missed => cli::EXIT_MISSED,
            Standing::Partial => cli::EXIT_PARTIAL,
        }
    };
    runtime.shutdown_background();
    Ok(code)
}

fn print_outcome(
    console: &Console,
    command: &Command,
    outcome: &TuneOutcome,
) -> Result<(), TuneError> {
    let text = match (command, outcome) {
        (Command::Ladder(args), TuneOutcome::Ladder(ladder)) => match args.format {
            LadderFormat::Text => show::outcome(outcome),
            LadderFormat::Json => serde_json::to_string_pretty(ladder).unwrap_or_default() + "\n",
            LadderFormat::Csv => Manifests::of(ladder)?.csv(),
            LadderFormat::Hls => Manifests::of(ladder)?.hls(),
            LadderFormat::Dash => Manifests::of(ladder)?.dash(),
        },
        _ => show::outcome(outcome),
    };
    console.outcome(outcome, &text);
    Ok(())
}

/// Telemetry of a command that a person types: as configured, but its log speaks from `warn` on
/// unless asked for more.
fn telemetry() -> OtelGuard {
    let mut config = OtelConfig::from_process_env("vmafx-tune");
    let asked = ["VMAFX_LOG", "RUST_LOG"].iter().any(|name| std::env::var_os(name).is_some());
    if !asked {
        "warn".clone_into(&mut config.log.filter);
    }
    observability::init_with(&config)
}

fn environment(
    how: &RunArgs,
    telemetry: &OtelGuard,
    runtime: &Runtime,
) -> Result<Environment, TuneError> {
    let ffmpeg = FfmpegConfig { program: how.ffmpeg.clone(), ..FfmpegConfig::default() };
    let media = MediaConfig { ffmpeg, ..MediaConfig::new(SourcePolicy::unrestricted_local()) };
    let mut scoring = RunConfig::new(media);
    if let Some(threads) = how.threads {
        scoring.threads = threads;
    }
    let fleet = match &how.controller {
        None => None,
        Some(address) => {
            let token = token(how)?;
            let _inside = runtime.enter();
            let client = Client::new(&ClientConfig {
                token,
                telemetry: telemetry.telemetry().clone(),
                ..ClientConfig::new(address)
            })?;
            Some(Fleet { client, runtime: runtime.handle().clone() })
        }
    };
    Ok(Environment {
        telemetry: telemetry.telemetry().clone(),
        fleet,
        journal_dir: (!how.no_journal)
            .then(|| how.journal_dir.clone().or_else(default_journal_dir))
            .flatten(),
        scratch_dir: how.scratch_dir.clone().unwrap_or_else(std::env::temp_dir),
        force_trace: how.trace,
        parallel: how.parallel,
        ..Environment::new(scoring)
    })
}

fn token(how: &RunArgs) -> Result<Option<client::Token>, TuneError> {
    let Some(path) = &how.token_file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        TuneError::Request(format!("the token file {} cannot be read: {error}", path.display()))
    })?;
    Ok(Some(text.trim().parse()?))
}

/// Where journals are kept unless told otherwise; `None` where there is no home.
fn default_journal_dir() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let xdg = var("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
    let state = xdg.or_else(|| var("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("vmafx/tune"))
}

/// From here on, the first signal cancels and the second ends the process at once.
fn cancel_when_told(runtime: &Runtime, cancel: &CancelToken) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let cancel = cancel.clone();
    runtime.spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if last {
                std::process::exit(EXIT_INTERRUPTED);
            }
            cancel.cancel();
        }
    });
    Ok(())
}

fn controller_code(error: &ClientError) -> u8 {
    match error.kind() {
        proto::ErrorKind::Unavailable | proto::ErrorKind::DeadlineExceeded => {
            cli::EXIT_UNREACHABLE_CONTROLLER
        }
        _ => cli::EXIT_REFUSED,
    }
}

/// Writes the HTML file and gives the exit code.
fn report(args: &ReportArgs) -> u8 {
    let write = || -> Result<(), Failure> {
        let io = |path: &PathBuf| {
            let path = path.display().to_string();
            move |error: std::io::Error| Failure::new(FailureKind::Io, format!("{path}: {error}"))
        };
        let same = |input: &PathBuf| match (input.canonicalize(), args.output.canonicalize()) {
            (Ok(input), Ok(output)) => input == output,
            _ => false,
        };
        if let Some(input) = args.inputs.iter().find(|input| same(input)) {
            let text = format!("{} is read; name another file for the report", input.display());
            return Err(Failure::new(FailureKind::InvalidJob, text));
        }
        let mut report = Report::new();
        for input in &args.inputs {
            let file = File::open(input).map_err(io(input))?;
            report
                .read(&input.display().to_string(), BufReader::new(file))
                .map_err(|error| Failure::new(FailureKind::InvalidJob, error.to_string()))?;
        }
        write_whole(&args.output, &report.html()).map_err(io(&args.output))
    };
    match write() {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("vmafx-tune: {}", failure.message);
            failure.kind.exit_code()
        }
    }
}
