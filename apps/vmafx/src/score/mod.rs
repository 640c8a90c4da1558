//! `vmafx score`: one pair of videos, scored in this process.

mod args;
mod interrupt;
mod output;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine::{LogOptions, Precision, write_log};
use media::Stop;
use scoring::{Progress, RunConfig, ScoreRequest};
use types::{Failure, ScoreReport, Stage};

pub(crate) use args::ScoreArgs;
use output::LogFile;

use crate::exit;

/// How often the progress line is drawn.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the subcommand.
pub(crate) fn run(args: &ScoreArgs) -> ExitCode {
    let request = match args.request() {
        Ok(request) => request,
        Err(text) => {
            say(&format!("error: {text}\n\nSee vmafx score --help.\n"));
            return ExitCode::from(exit::USAGE_OR_INTERNAL);
        }
    };
    match score(args, &request) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            say(&format!("error: {}\n", failure.message));
            exit::exit_code(failure.kind)
        }
    }
}

fn score(args: &ScoreArgs, request: &ScoreRequest) -> Result<(), Failure> {
    let stop = Stop::never();
    interrupt::cancel_when_told(&stop.cancel)?;
    let log = args.output.as_deref().map(LogFile::create).transpose()?;
    let mut report = run_with_progress(request, &args.config(), &stop, args.quiet)?;
    for warning in &report.warnings {
        say(&format!("warning: {}\n", warning.message));
    }
    if args.no_prediction {
        drop_predictions(&mut report);
    }
    if let Some(log) = log {
        let options = LogOptions {
            version: env!("CARGO_PKG_VERSION"),
            fps: frames_per_second(&report),
            precision: args.precision(),
        };
        let mut text = String::new();
        write_log(&mut text, &report, args.format(), &options)
            .expect("writing to a string does not fail");
        log.write(&text)?;
    }
    if !(args.quiet && args.output.is_some()) {
        print_scores(&report, args.precision());
    }
    Ok(())
}

/// Scores, and meanwhile shows how far it is on a terminal.
fn run_with_progress(
    request: &ScoreRequest,
    config: &RunConfig,
    stop: &Stop,
    quiet: bool,
) -> Result<ScoreReport, Failure> {
    let progress = Progress::new();
    let shown = !quiet && io::stderr().is_terminal();
    std::thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        if shown {
            let progress = progress.clone();
            scope.spawn(move || show_progress(&progress, &ended));
        }
        let result = scoring::run(request, config, stop, &progress);
        // Ends the display before anything else is written.
        drop(done);
        result
    })
    .map_err(|error| error.to_failure())
}

/// Draws one line over and over until the other end of `ended` is gone.
fn show_progress(progress: &Progress, ended: &mpsc::Receiver<()>) {
    const SPINNER: [char; 4] = ['|', '/', '-', '\\'];
    let began = Instant::now();
    for turn in 0.. {
        let over =
            ended.recv_timeout(PROGRESS_INTERVAL) == Err(mpsc::RecvTimeoutError::Disconnected);
        let frames = progress.frames_done();
        let total = progress.frames_total().map_or(String::new(), |total| format!("/{total}"));
        let fps = frames as f64 / began.elapsed().as_secs_f64();
        let spinner = SPINNER[turn % SPINNER.len()];
        say(&format!("\r{frames}{total} frames {spinner} {fps:.2} FPS\x1b[K"));
        if over {
            say("\n");
            return;
        }
    }
}

/// Frames by the wall time in which they were decoded and scored.
fn frames_per_second(report: &ScoreReport) -> f64 {
    let time = report.timings.stage(Stage::Decode) + report.timings.stage(Stage::Score);
    report.frames.frame_count() as f64 / time.as_secs_f64()
}

/// Leaves the features alone, as if no model had been asked.
fn drop_predictions(report: &mut ScoreReport) {
    let models = std::mem::take(&mut report.models);
    let predicted = |name: &str| models.iter().any(|model| model.name == name);
    report.frames.columns.retain(|column| !predicted(&column.name));
    report.pooled.retain(|(name, _)| !predicted(name));
}

/// One line a model, as libvmaf's tool writes it, on standard output.
fn print_scores(report: &ScoreReport, precision: Precision) {
    let mut text = String::new();
    for model in &report.models {
        let mean = model.pooled.mean;
        let line = match precision {
            Precision::Libvmaf => write!(text, "{}: {mean:.6}", model.version),
            Precision::Digits(digits) => {
                write!(text, "{}: {mean:.digits$}", model.version, digits = usize::from(digits))
            }
            Precision::Max => write!(text, "{}: {mean}", model.version),
        };
        line.expect("writing to a string does not fail");
        text.push('\n');
    }
    // Whoever closed the pipe does not want the score; the run is done all the same.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Writes to standard error; that nobody may read it is no error.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
